"""The engine "ray": the shards of a run done by actors of a cluster.

The journal, on the file system that all machines share, decides what is done: an actor reports a shard when its images
and its entry in the journal are durable. A worker or node that is lost takes its shard with it, which another then does
again, to the same bytes; should both finish, one of them makes the entry.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fastblur.need import need
from fastblur.pipeline.boxes.box_index import BoxIndex
from fastblur.pipeline.boxes.matching import BoxAssignment, Claim, SharedBoxes
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.execution.concurrency import BATCH, default_workers, max_in_flight, readers
from fastblur.pipeline.execution.engine import RunContext
from fastblur.pipeline.execution.journal import Journal
from fastblur.pipeline.execution.shard_flow import ShardFlow, batch_stages
from fastblur.pipeline.execution.stages import StageReport
from fastblur.pipeline.shards.interfaces import Shard
from fastblur.pipeline.storage.sink import open_sink
from fastblur.pipeline.summary import COUNTS

need("ray", "ray")
import ray  # noqa: E402
from ray.exceptions import RayActorError, RayTaskError  # noqa: E402

MAX_TRIES = 5  # of one shard, each with another worker lost
MAX_FAILED_STARTS = 3  # workers that fail to start, one after the other, before the run gives up


class RayEngine:
    """Actors of a Ray cluster, one CPU each (one GPU on CUDA).

    Connects to the cluster that RAY_ADDRESS names, or that runs on this machine, or starts one in this process. Workers
    that are lost are replaced as far as the cluster has room for them, and the others go on meanwhile.

    Args:
        config: the run's options; `workers` None stands for one for each CPU of the cluster, or each GPU on CUDA.

    Raises as `RunConfig.build_stages`.
    """

    name = "ray"

    def __init__(self, config: RunConfig) -> None:
        self.workers = config.workers or default_workers()  # until the cluster is known
        self._config = config
        _, self._parameters = config.build_stages()
        self._started_here = False

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that decide the result."""
        return dict(self._parameters)

    def process(self, shards: Iterator[Shard], context: RunContext) -> None:
        """Do the shards; raises as `Engine.process`, but an interrupt abandons the shards in flight."""
        if not ray.is_initialized():
            ray.init(log_to_driver=False, configure_logging=False, include_dashboard=False)
            self._started_here = True
        on_gpu = self._config.device == "cuda"
        cpus_or_gpus = int(ray.cluster_resources().get("GPU" if on_gpu else "CPU", 1))
        self.workers = self._config.workers or max(1, cpus_or_gpus)
        actor = ray.remote(num_cpus=1, num_gpus=1 if on_gpu else 0, max_restarts=0)(ShardWorker)
        index = ray.put(None if context.boxes is None else context.boxes.index)
        pool = _Pool(lambda: actor.remote(self._config, context.root, index), self.workers, context)
        try:
            pool.run(shards)
        finally:
            pool.kill()
        with suppress(OSError):
            context.sink.clean()  # what workers that were lost have left half written

    def close(self) -> None:
        """End the cluster, if it was started here."""
        if self._started_here:
            ray.shutdown()
            self._started_here = False


@dataclass
class ShardResult:
    """What an actor reports of a shard that it has done.

    Attributes:
        counts: of its images, by their names in `Tally`.
        failures: (name, reason) of its images that failed.
        stages: what the stages took.
        found: what `BoxAssignment.drain` gave.
    """

    counts: dict[str, int]
    failures: list[tuple[str, str]]
    stages: StageReport
    found: list[Claim]


class ShardWorker:
    """Does shards, one after the other, in a process of one CPU (and one GPU on CUDA)."""

    def __init__(self, config: RunConfig, root: Path, index: BoxIndex | None) -> None:
        torch.set_num_threads(1)
        self._config, self._root = config, root
        self._boxes = None if index is None else BoxAssignment(index, root, log=True)
        stages, _ = config.build_stages()
        self._stages = batch_stages(stages.stages(readers(config.sources), config.device))
        self._sink = open_sink(config.output)
        self._journal = Journal(self._sink)

    def ready(self) -> None:
        """Return when the worker has started."""

    def do(self, shard: Shard) -> ShardResult:
        """Do a shard; raises RunStopped where the run cannot go on."""
        failures: list[tuple[str, str]] = []
        context = RunContext(
            self._config,
            self._root,
            self._sink,
            self._journal,
            record_failure=lambda name, reason: failures.append((name, reason)),
            boxes=self._boxes,
        )
        ShardFlow(
            context, self._stages, workers=1, batch_size=BATCH[self._config.device], max_in_flight=max_in_flight(1)
        ).run(iter([shard]))
        found = [] if self._boxes is None else self._boxes.drain()
        counts = {name: getattr(context.tally, name) for name in (*COUNTS, "shards")}
        return ShardResult(counts, failures, context.stages, found)


@dataclass
class _Assignment:
    """What an actor has to do: a shard for the `tries`-th time, or, with none, to start."""

    worker: Any
    shard: Shard | None = None
    tries: int = 0


class _Pool:
    """Workers, and the shard that each is doing."""

    def __init__(self, start: Callable[[], Any], count: int, context: RunContext) -> None:
        self._start, self._context = start, context
        self._assigned: dict[Any, _Assignment] = {}  # by the reference of the result to come
        self._retries: list[tuple[Shard, int]] = []
        self._workers: list[Any] = []
        self._failed_starts = 0
        for _ in range(count):
            self._add()

    def run(self, shards: Iterator[Shard]) -> None:
        idle: list[Any] = []
        left = True
        while True:
            while idle and (left or self._retries):
                shard, tries = self._retries.pop() if self._retries else (next(shards, None), 1)
                if shard is None:
                    left = False
                    break
                worker = idle.pop()
                self._assigned[worker.do.remote(shard)] = _Assignment(worker, shard, tries)
            busy = any(one.shard is not None for one in self._assigned.values())
            if not left and not self._retries and not busy:
                return
            done, _ = ray.wait(list(self._assigned), timeout=0.2)
            for reference in done:
                assignment = self._assigned.pop(reference)
                if self._receive(reference, assignment):
                    idle.append(assignment.worker)
                else:
                    self._add()
            if self._context.on_tick is not None:
                self._context.on_tick()

    def kill(self) -> None:
        """End all workers."""
        for worker in self._workers:
            ray.kill(worker)

    def _add(self) -> None:
        worker = self._start()
        self._workers.append(worker)
        self._assigned[worker.ready.remote()] = _Assignment(worker)

    def _receive(self, reference: Any, assignment: _Assignment) -> bool:
        """Take the result of a worker; return whether it lives."""
        try:
            result: ShardResult | None = ray.get(reference)
        except RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, RunStopped) else RunStopped(f"the run stopped: {cause}") from error
        except RayActorError as error:
            self._lose(assignment, error)
            return False
        self._failed_starts = 0
        if result is not None and assignment.shard is not None:
            self._count(result, assignment.shard)
        return True

    def _lose(self, assignment: _Assignment, error: Exception) -> None:
        """Have the shard of a lost worker done again; raises RunStopped where that has gone on for too long."""
        shard, tries = assignment.shard, assignment.tries
        if shard is None:
            self._failed_starts += 1
            if self._failed_starts == MAX_FAILED_STARTS:
                raise RunStopped(f"the run stopped because no Ray worker starts: {_last_line(error)}") from error
        elif tries == MAX_TRIES:
            raise RunStopped(f"the run stopped: {tries} Ray workers were lost with the shard {shard.name!r}") from error
        else:
            self._retries.append((shard, tries + 1))

    def _count(self, result: ShardResult, shard: Shard) -> None:
        context = self._context
        if context.boxes is not None:
            try:
                context.boxes.claim(result.found)
            except SharedBoxes as error:
                raise RunStopped(f"the run stopped at {shard.name!r}: {error}") from error
        context.tally.add(result.counts)
        for name, reason in result.failures:
            context.record_failure(name, reason)
        context.stages.add(result.stages)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()

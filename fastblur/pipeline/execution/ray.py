"""Ray: the shards of a run done by actors of a cluster, and faces hidden within a Ray Data job.

The journal on the file system that all machines share stays the truth: an actor reports a shard when its images and its
entry in the journal are durable. A worker or node that is lost takes its shard with it, which another then does again,
to the same bytes; should both come to the end, one of them makes the entry.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from fastblur.pipeline.boxes.assignment import BoxAssignment, Claim, SharedBoxes
from fastblur.pipeline.boxes.box_index import BoxIndex
from fastblur.pipeline.boxes.lookup import assign_boxes
from fastblur.pipeline.config import Job
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.execution.journal import Journal
from fastblur.pipeline.execution.shard_flow import Flow
from fastblur.pipeline.execution.workers import BATCH, readers
from fastblur.pipeline.shards.interfaces import Shard
from fastblur.pipeline.storage.sink import open_sink
from fastblur.pipeline.summary import COUNTS, Tally

try:
    import ray
    from ray.exceptions import RayActorError, RayTaskError
except ImportError:
    raise ImportError("the engine 'ray' needs the package ray, expected it installed (fastblur[ray])") from None

TRIES = 5  # of one shard, each with another worker lost
STARTS = 3  # workers that fail to start, one after the other, before the run gives up


class ShardWorker:
    """Does shards, one after the other, in a process of one CPU (and one GPU on CUDA)."""

    def __init__(
        self, job: Job, index: BoxIndex | None, root: Path, source: str, destination: str, stop_on_error: bool
    ) -> None:
        torch.set_num_threads(1)
        self._job, self._stop_on_error, self._readers = job, stop_on_error, readers(source)
        self._assignment = None if index is None else BoxAssignment(index, root, log=True)
        self._boxed = partial(assign_boxes, assignment=self._assignment, unlisted=job.unlisted or "fail")
        self._work, _ = job.work()
        self._sink = open_sink(destination)
        self._journal = Journal(self._sink)

    def ready(self) -> None:
        """Return when the worker has started."""

    def do(
        self, shard: Shard
    ) -> tuple[dict[str, int], list[tuple[str, str]], dict[str, dict[str, float]], list[Claim]]:
        """Do a shard; return its counts, failures as (name, reason), what the stages took, and `BoxAssignment.drain`.

        Raises RunStopped where the run cannot go on.
        """
        tally = Tally()
        failures: list[tuple[str, str]] = []
        flow = Flow(
            self._work.stages(self._readers, self._job.device),
            self._sink,
            self._journal,
            tally,
            lambda name, reason: failures.append((name, reason)),
            workers=1,
            batch=BATCH[self._job.device],
            boxed=self._boxed,
            most=7,
            stop_on_error=self._stop_on_error,
        )
        flow.run(iter([shard]))
        found = [] if self._assignment is None else self._assignment.drain()
        return {name: getattr(tally, name) for name in (*COUNTS, "shards")}, failures, flow.line.report(), found


def run_shards(
    shards: Iterator[Shard],
    job: Job,
    assignment: BoxAssignment | None,
    root: Path,
    source: str,
    destination: str,
    tally: Tally,
    fail: Callable[[str, str], None],
    workers: int | None,
    tick: Callable[[], None] | None,
    stages: dict[str, dict[str, float]],
    *,
    stop_on_error: bool,
) -> None:
    """Let a Ray cluster do the shards.

    Connects to the cluster that RAY_ADDRESS names, or that runs on this machine, or starts one in this process. Workers
    that are lost are replaced as far as the cluster has room for them, and the others go on meanwhile.

    Args:
        shards: those to do.
        job: what is done.
        assignment: the boxes given, or None.
        root: the folder that images' names are relative to.
        source: the source, as all machines name it.
        destination: the output folder, on a file system that all machines share, or its URL.
        tally: counts images.
        fail: takes the name and reason of each failure.
        workers: how many; None for one for each CPU of the cluster, or each GPU on CUDA.
        tick: called a few times a second.
        stages: gets what the stages took, summed over all workers.
        stop_on_error: whether the first failure stops the run.

    Raises RunStopped where the run cannot go on; KeyboardInterrupt after giving up the shards in hand.
    """
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(log_to_driver=False, configure_logging=False, include_dashboard=False)
    kind = "GPU" if job.device == "cuda" else "CPU"
    count = workers or max(1, int(ray.cluster_resources().get(kind, 1)))
    actor = ray.remote(num_cpus=1, num_gpus=1 if job.device == "cuda" else 0, max_restarts=0)(ShardWorker)
    index = ray.put(None if assignment is None else assignment.index)
    arguments = (job, index, root, source, destination, stop_on_error)
    pool = _Pool(lambda: actor.remote(*arguments), count, stages, assignment)
    try:
        pool.run(shards, tally, fail, tick)
    finally:
        pool.kill()
        if started_here:
            ray.shutdown()


class _Pool:
    """Workers, and which shard each has in hand."""

    def __init__(
        self,
        start: Callable[[], Any],
        count: int,
        stages: dict[str, dict[str, float]],
        assignment: BoxAssignment | None,
    ) -> None:
        self._start, self._assignment = start, assignment
        self._in_hand: dict[Any, tuple[Any, Shard | None, int]] = {}  # reference -> worker, its shard, its try
        self._again: list[tuple[Shard, int]] = []
        self._workers: list[Any] = []
        self._failed_starts = 0
        self._stages = stages
        for _ in range(count):
            self._add()

    def run(
        self,
        shards: Iterator[Shard],
        tally: Tally,
        fail: Callable[[str, str], None],
        tick: Callable[[], None] | None,
    ) -> None:
        idle: list[Any] = []
        left = True
        while True:
            while idle and (left or self._again):
                shard, tries = self._again.pop() if self._again else (next(shards, None), 1)
                if shard is None:
                    left = False
                    break
                worker = idle.pop()
                self._in_hand[worker.do.remote(shard)] = (worker, shard, tries)
            busy = any(shard is not None for _, shard, _ in self._in_hand.values())
            if not left and not self._again and not busy:
                return
            done, _ = ray.wait(list(self._in_hand), timeout=0.2)
            for reference in done:
                worker, shard, tries = self._in_hand.pop(reference)
                if self._result(reference, shard, tries, tally, fail):
                    idle.append(worker)
                else:
                    self._add()
            if tick is not None:
                tick()

    def kill(self) -> None:
        """End all workers."""
        for worker in self._workers:
            ray.kill(worker)

    def _add(self) -> None:
        worker = self._start()
        self._workers.append(worker)
        self._in_hand[worker.ready.remote()] = (worker, None, 0)

    def _result(
        self, reference: Any, shard: Shard | None, tries: int, tally: Tally, fail: Callable[[str, str], None]
    ) -> bool:
        """Take what a worker has to say; return whether it lives."""
        try:
            said = ray.get(reference)
        except RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, RunStopped) else RunStopped(f"the run stopped: {cause}") from error
        except RayActorError as error:
            if shard is None:
                self._failed_starts += 1
                if self._failed_starts == STARTS:
                    raise RunStopped(f"the run stopped because no Ray worker starts: {_last_line(error)}") from error
            elif tries == TRIES:
                raise RunStopped(
                    f"the run stopped: {TRIES} Ray workers were lost with the shard {shard.name!r}"
                ) from error
            else:
                self._again.append((shard, tries + 1))
            return False
        self._failed_starts = 0
        if shard is not None:
            counts, failures, stages, found = said
            if self._assignment is not None:
                try:
                    self._assignment.claim(found)
                except SharedBoxes as error:
                    raise RunStopped(f"the run stopped at {shard.name!r}: {error}") from error
            tally.add(counts)
            for name, reason in failures:
                fail(name, reason)
            for stage, values in stages.items():
                row = self._stages.setdefault(stage, {})
                for name, value in values.items():
                    row[name] = row.get(name, 0) + value
        return True


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()

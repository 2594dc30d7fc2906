"""Batches done by processes of this machine, one for each CPU, none of which holds another's GIL.

A process receives the items of a batch, takes them through all stages from reading on, writes those results that may be
written in any order, and answers with the outcomes. All else (listing, tar and table files, the journal) stays with the
run.

`concurrent.futures.ProcessPoolExecutor` was measured in the place of this pool and not taken: it gives a process one
batch at a time, so that nothing is read ahead, and its two threads between the run and the processes cost a quarter of
a millisecond a batch. On 8,000 ImageNet files with given boxes in memory and 2 processes (ten runs each, in turns) it
took 5.8 s against 3.4 s in the median, 3.4 s against 2.5 s at best.
"""

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from typing import Any

from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.errors import RunStopped, stopping_the_run
from fastblur.pipeline.execution.engine import RunContext
from fastblur.pipeline.execution.shard_flow import ShardFlow
from fastblur.pipeline.execution.shard_run import BatchTask, write_results
from fastblur.pipeline.execution.stages import Stage, StageReport, Stages
from fastblur.pipeline.execution.workers import BATCH, readers
from fastblur.pipeline.images.task import ImageStage, ImageTask, Result
from fastblur.pipeline.shards.folder import FolderOutput
from fastblur.pipeline.shards.interfaces import Batch, Item, Shard
from fastblur.pipeline.storage.sink import open_sink

AHEAD = 3  # batches that each process has at once: one is read while another is worked on
PATIENCE = 10  # seconds that a process has to end before it is killed
LOST = (
    "the run stopped because a worker process was lost (was it killed, or is memory short?); the same command goes on "
    "from here"
)


class ProcessEngine:
    """Processes of this machine.

    Args:
        config: the run's options.
        workers: how many processes.
        context: how they are started.
    """

    name = "processes"

    def __init__(self, config: RunConfig, workers: int, context: BaseContext) -> None:
        self.workers = workers
        self._config = config
        self._choosing = threading.Lock()
        self._processes = [WorkerProcess(context, config) for _ in range(workers)]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that decide the result, once a process is ready; raises what kept it from that."""
        return dict(self._processes[0].ready.result())

    def process(self, shards: Iterator[Shard], context: RunContext) -> None:
        """Do the shards; raises as `Engine.process`."""
        ahead = AHEAD * self.workers
        flow = ShardFlow(
            context,
            [Stage("work", self._do, threads=ahead)],
            workers=1,
            batch_size=BATCH[self._config.device],
            max_in_flight=ahead + 2,
        )
        try:
            flow.run(shards)
        finally:
            for process in self._processes:
                process.end()
            for process in self._processes:
                context.stages.add(process.join())

    def close(self) -> None:
        """Kill the processes that have not ended."""
        for process in self._processes:
            process.kill()

    def _do(self, task: BatchTask) -> None:
        """Let the process that has least to do take a batch to its outcomes."""
        with self._choosing:
            process = min(self._processes, key=lambda one: one.assigned)
            process.assigned += 1
        try:
            results = process.submit(task.batch.items, task.any_order).result()
        finally:
            with self._choosing:
                process.assigned -= 1
        for image, result in zip(task.images, results, strict=True):
            image.accept(result)
        task.is_written = task.any_order


@dataclass(frozen=True, slots=True)
class Ready:
    """A process's first message: the parameters that decide the result."""

    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """A batch for a process."""

    number: int
    items: list[Item]
    any_order: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcomes of a batch's images."""

    number: int
    results: list[Result]


@dataclass(frozen=True, slots=True)
class Ended:
    """A process's last message: what its stages took."""

    stages: StageReport


@dataclass(frozen=True, slots=True)
class Failed:
    """The last message of a process that cannot go on: why, and where in its code."""

    error: Exception
    trace: str


class WorkerProcess:
    """A process, as the run sees it.

    Attributes:
        ready: its parameters, once it can work.
        assigned: how many batches it has to do.
    """

    def __init__(self, context: BaseContext, config: RunConfig) -> None:
        self.ready: Future[dict[str, Any]] = Future()
        self.assigned = 0
        self._stages: Future[StageReport] = Future()
        self._answers: dict[int, Future[list[Result]]] = {}
        self._submitted = 0
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._error: Exception | None = None
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, config), daemon=True)  # type: ignore[attr-defined]
        self._process.start()
        theirs.close()
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()

    def submit(self, items: list[Item], any_order: bool) -> "Future[list[Result]]":
        """Send a batch; return its outcomes to come."""
        answer: Future[list[Result]] = Future()
        with self._lock:
            if self._error is not None:
                answer.set_exception(self._error)
                return answer
            number, self._submitted = self._submitted, self._submitted + 1
            self._answers[number] = answer
        with self._sending, suppress(OSError):  # the receiver finds out what has happened
            self._pipe.send(Request(number, items, any_order))
        return answer

    def end(self) -> None:
        """Let it end: there are no more batches."""
        with self._sending, suppress(OSError):
            self._pipe.send(None)

    def join(self) -> StageReport:
        """Wait for its end; return what its stages took, nothing where it failed."""
        self._receiver.join(PATIENCE)
        self._process.join(PATIENCE)
        self.kill()
        return self._stages.result() if self._stages.done() else StageReport()

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        if self._process.is_alive():
            self._process.kill()

    def _receive(self) -> None:
        try:
            while True:
                message = self._pipe.recv()
                if isinstance(message, Answer):
                    with self._lock:
                        answer = self._answers.pop(message.number)
                    answer.set_result(message.results)
                elif isinstance(message, Ready):
                    self.ready.set_result(message.parameters)
                elif isinstance(message, Failed):
                    message.error.__cause__ = WorkerTraceback(message.trace)
                    self._lose(message.error)
                    return
                else:
                    self._stages.set_result(message.stages)
                    return
        except (EOFError, OSError):
            self._lose(RunStopped(LOST))
        except Exception as error:  # of reading a message
            self._lose(RunStopped(f"the run stopped because a worker process's answer cannot be read: {error!r}"))

    def _lose(self, error: Exception) -> None:
        with self._lock:
            self._error = error
            waiting = list(self._answers.values())
        for answer in waiting:
            answer.set_exception(error)
        if not self.ready.done():
            self.ready.set_exception(error)


class WorkerTraceback(Exception):
    """The cause of an exception that came from a worker process: its traceback there, as text."""


@dataclass(slots=True)
class Received:
    """A batch in a worker process."""

    request: Request
    images: list[ImageTask] = field(init=False)

    def __post_init__(self) -> None:
        """Begin a task for each image."""
        self.images = [ImageTask(item) for item in self.request.items]


class RunPipe:
    """The run, as a worker process sees it; several threads may send."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()

    def batches(self) -> Iterator[Received]:
        """Yield batches until there are no more, or the run is gone."""
        with suppress(EOFError, OSError):
            while (request := self._pipe.recv()) is not None:
                yield Received(request)

    def send(self, message: Ready | Answer | Ended | Failed) -> None:
        """Send a message; a run that is gone wants none."""
        with self._sending, suppress(OSError):
            self._pipe.send(message)

    @contextmanager
    def failures_sent(self) -> Iterator[None]:
        """Send what is raised in the block, then raise it."""
        try:
            yield
        except Exception as error:
            self.send(Failed(_transferable(error), traceback.format_exc()))
            raise

    def stage(self, name: str, work: Callable[[Received], None], threads: int = 0) -> Stage[Received]:
        """Return a stage whose failure is sent at once: the thread that waits for batches would hold it up."""

        def guarded(batch: Received) -> None:
            with self.failures_sent():
                work(batch)

        return Stage(name, guarded, threads)


def work(pipe: Connection, config: RunConfig) -> None:
    """Be a worker process: do batches until the run says that there are no more, or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the run decides what they mean
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    run = RunPipe(pipe)
    with suppress(Exception), run.failures_sent():
        config.use_one_torch_thread()
        hiding, parameters = config.build_stages()
        run.send(Ready(parameters))
        stages = [_on_images(run, stage) for stage in hiding.stages(readers(config.source), config.device)]
        line = Stages([*stages, _last_stage(run, config)], 1, AHEAD, config.use_one_torch_thread)
        line.run(run.batches())
        run.send(Ended(line.report()))


def _on_images(run: RunPipe, stage: ImageStage) -> Stage[Received]:
    return run.stage(stage.name, lambda batch: stage.work(batch.images), stage.threads)


def _last_stage(run: RunPipe, config: RunConfig) -> Stage[Received]:
    """Return the stage that writes the results that may be written in any order, and answers the run."""

    @cache  # opened with the first batch, which makes the folder
    def output() -> FolderOutput:
        return FolderOutput(open_sink(config.output))

    def write(batch: Received) -> None:
        request = batch.request
        if request.any_order:
            with stopping_the_run():
                write_results(output(), Batch(request.items), batch.images)
        run.send(Answer(request.number, [image.report(with_data=not request.any_order) for image in batch.images]))

    return run.stage("write", write)


def _transferable(error: Exception) -> Exception:
    """Return an error as another process can read it: itself, or a RunStopped that says what it was."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:
        pass
    return RunStopped(f"the run stopped because a worker process raised {type(error).__name__}: {error}")


def _end_with_the_run() -> None:
    """End this process at once when the run is killed: what it has begun must not meet what the next run writes."""
    run = parent_process()
    assert run is not None
    run.join()
    os._exit(1)

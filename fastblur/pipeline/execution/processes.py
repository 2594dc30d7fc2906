"""Batches done by processes of this machine, one for each CPU, none of which holds another's GIL.

A process receives the items of a batch, takes them through all stages from reading on, writes those results that may be
written in any order, and answers with the outcomes. All else (listing, tar and table files, the journal) stays with the
run.

`concurrent.futures.ProcessPoolExecutor` was measured in place of this pool and rejected: it gives a process one
batch at a time, so that nothing is read ahead, and its two threads between the run and the processes cost a quarter of
a millisecond a batch. On 8,000 ImageNet files with given boxes in memory and 2 processes (ten runs each, in turns) it
took 5.8 s against 3.4 s in the median, 3.4 s against 2.5 s at best.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from multiprocessing.context import BaseContext
from typing import Any

from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.execution.concurrency import AHEAD, BATCH, max_in_flight
from fastblur.pipeline.execution.engine import RunContext
from fastblur.pipeline.execution.shard_flow import ShardFlow
from fastblur.pipeline.execution.shard_run import BatchTask
from fastblur.pipeline.execution.stages import Stage, StageReport
from fastblur.pipeline.execution.worker_process import Answer, Failed, Ready, Request, work
from fastblur.pipeline.images.task import Result
from fastblur.pipeline.shards.interfaces import Item, Shard

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
        starts: how they are started.
    """

    name = "processes"

    def __init__(self, config: RunConfig, workers: int, starts: BaseContext) -> None:
        self.workers = workers
        self._config = config
        self._choosing = threading.Lock()
        self._processes = [WorkerProcess(starts, config) for _ in range(workers)]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that decide the result, once a process is ready; raises what kept it from that."""
        return dict(self._processes[0].ready.result())

    def process(self, shards: Iterator[Shard], context: RunContext) -> None:
        """Do the shards; raises as `Engine.process`."""
        flow = ShardFlow(
            context,
            [Stage("work", self._do, threads=AHEAD * self.workers)],
            workers=1,
            batch_size=BATCH[self._config.device],
            max_in_flight=max_in_flight(self.workers),
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


class WorkerProcess:
    """A process, as the run sees it.

    Attributes:
        ready: its parameters, once it can work.
        assigned: how many batches it has to do.
    """

    def __init__(self, starts: BaseContext, config: RunConfig) -> None:
        self.ready: Future[dict[str, Any]] = Future()
        self.assigned = 0
        self._stages: Future[StageReport] = Future()
        self._answers: dict[int, Future[list[Result]]] = {}
        self._submitted = 0
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._error: Exception | None = None
        self._pipe, theirs = starts.Pipe()
        self._process = starts.Process(target=work, args=(theirs, config), daemon=True)  # type: ignore[attr-defined]
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

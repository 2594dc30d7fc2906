"""A worker process of a run: batches come in, results are written, outcomes go back.

The messages are named tuples: pickle is twice as fast with them as with frozen dataclasses.
"""

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.errors import RunStopped, stopping_the_run
from fastblur.pipeline.execution.concurrency import AHEAD, readers
from fastblur.pipeline.execution.shard_run import write_results
from fastblur.pipeline.execution.stages import Stage, StageReport, Stages
from fastblur.pipeline.images.task import ImageStage, ImageTask, Result
from fastblur.pipeline.shards.folder import FolderOutput
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.storage.sink import open_sink


class Ready(NamedTuple):
    """A process's first message: the parameters that decide the result."""

    parameters: dict[str, Any]


class Request(NamedTuple):
    """A batch for a process."""

    number: int
    items: list[Item]
    any_order: bool


class Answer(NamedTuple):
    """The outcomes of a batch's images."""

    number: int
    results: list[Result]


class Ended(NamedTuple):
    """A process's last message: what its stages took."""

    stages: StageReport


class Failed(NamedTuple):
    """The last message of a process that cannot go on: why, and where in its code."""

    error: Exception
    trace: str


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
        stages = [_on_images(run, stage) for stage in hiding.stages(readers(config.sources), config.device)]
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

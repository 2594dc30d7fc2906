"""The engine "processes" with stages of the test's own: what its processes do, and how each way to fail is reported."""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fastblur.errors import UsageError
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.execution import forkserver
from fastblur.pipeline.execution.engine import RunContext
from fastblur.pipeline.execution.journal import Journal
from fastblur.pipeline.execution.processes import ProcessEngine, WorkerTraceback
from fastblur.pipeline.images.task import Images, ImageStage, Outcome
from fastblur.pipeline.shards.folder import FolderShard
from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.storage.local import LocalSink

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals and processes as on POSIX")]


class CannotBePickled(Exception):
    """As many exceptions are: pickle calls the class with one argument again."""

    def __init__(self, one: str, other: threading.Lock) -> None:
        super().__init__(one)
        self.other = other


class CannotBeRead(Exception):
    """Pickled without complaint, but not read again: its class takes two arguments."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(f"{one} and {other}")


class Stages:
    """Copies images, but for what a test asks for."""

    def __init__(self, trouble: str) -> None:
        self._trouble = trouble

    def stages(self, readers: int, device: str) -> list[ImageStage]:
        return [ImageStage("read", self._nothing, readers), ImageStage("copy", self._copy)]

    def _nothing(self, images: Images) -> None:
        pass

    def _copy(self, images: Images) -> None:
        for image in images:
            if image.item.name == "bad.jpg":
                trouble(self._trouble)
            image.finish(Outcome.COPIED, f"{image.item.name} {os.getpid()}".encode())


def trouble(kind: str) -> None:
    if kind == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "unpicklable":
        raise CannotBePickled("a lock is held", threading.Lock())
    if kind == "unreadable":
        raise CannotBeRead("one", "other")
    if kind == "usage":
        raise UsageError("threshold is 7, expected 0..1")
    if kind == "bug":
        raise ZeroDivisionError("division by zero")
    if kind == "disk":
        raise OSError(28, "No space left on device")


@dataclass(frozen=True)
class Config(RunConfig):
    """A run's options, whose stages are the test's own and fail at the start or at the image "bad.jpg"."""

    at_start: str = ""
    at_work: str = ""

    def build_stages(self) -> Any:
        trouble(self.at_start)
        return Stages(self.at_work), {"parameter": 1}


def shards(count: int, bad: int | None = None) -> Iterator[FolderShard]:
    for first in range(0, count, 20):
        names = [f"{number:04}.jpg" if number != bad else "bad.jpg" for number in range(first, min(first + 20, count))]
        yield FolderShard(tuple(Item(name) for name in names))


class Run:
    """A run with an engine of two processes."""

    def __init__(self, root: Path, **trouble: str) -> None:
        config = Config("src", str(root / "out"), boxes="boxes.json", **trouble)
        self.failed: dict[str, str] = {}
        sink = LocalSink(root / "out")
        journal = Journal(sink)
        journal.begin({}, {}, overwrite=False)
        self.context = RunContext(config, Path("src"), sink, journal, self.failed.__setitem__)
        self.engine = ProcessEngine(config, 2, forkserver.start(detecting=False))

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        processes = [one._process for one in self.engine._processes]
        self.engine.close()
        for process in processes:
            process.join(60)
            assert not process.is_alive()


def test_both_processes_work_and_their_stages_are_summed(tmp_path: Path) -> None:
    with Run(tmp_path) as run:
        assert run.engine.parameters() == {"parameter": 1}
        run.engine.process(shards(400), run.context)
    written = {path.name: path.read_bytes().decode().split() for path in (tmp_path / "out").glob("*.jpg")}
    assert written.keys() == {f"{number:04}.jpg" for number in range(400)}
    assert all(name == told for name, (told, _) in written.items())
    assert str(os.getpid()) not in {pid for _, pid in written.values()}
    assert (run.context.tally.images, run.context.tally.copied, run.context.tally.shards) == (400, 400, 20)
    batches = 20 * 3  # of 8, 8 and 4 images a shard
    assert {name: run.context.stages[name]["batches"] for name in ("work", "read", "copy", "write")} == {
        "work": batches,
        "read": batches,
        "copy": batches,
        "write": 2 * batches,  # in the process that has the results, and in this one, where it is recorded
    }


@pytest.mark.parametrize(
    ("kind", "error", "sentence"),
    [
        ("dies", RunStopped, "a worker process was lost .* the same command goes on"),
        ("unpicklable", RunStopped, "a worker process raised CannotBePickled: a lock is held"),
        ("unreadable", RunStopped, "a worker process raised CannotBeRead: one and other"),
        ("usage", UsageError, "threshold is 7, expected 0..1"),
        ("bug", ZeroDivisionError, "division by zero"),
        ("disk", OSError, "No space left on device"),
    ],
)
@pytest.mark.parametrize("when", ["at_start", "at_work"])
def test_what_stops_a_process_is_reported_as_what_it_was(
    tmp_path: Path, kind: str, error: type[Exception], sentence: str, when: str
) -> None:
    with Run(tmp_path, **{when: kind}) as run:
        if when == "at_start":
            with pytest.raises(error, match=sentence) as caught:
                run.engine.parameters()
        else:
            with pytest.raises(error, match=sentence) as caught:
                run.engine.process(shards(400, bad=130), run.context)
            assert not (tmp_path / "out" / "bad.jpg").exists()
            assert run.context.tally.images < 400
    if kind != "dies":
        assert isinstance(caught.value.__cause__, WorkerTraceback)
        assert "in trouble" in str(caught.value.__cause__), "where it was raised in the process"


def test_a_process_that_dies_with_nothing_left_to_send_to_it_is_noticed(tmp_path: Path) -> None:
    with Run(tmp_path, at_work="dies") as run, pytest.raises(RunStopped, match="a worker process was lost"):
        run.engine.process(shards(8, bad=3), run.context)


def test_an_error_with_nothing_left_to_send_is_noticed(tmp_path: Path) -> None:
    with Run(tmp_path, at_work="bug") as run, pytest.raises(ZeroDivisionError):
        run.engine.process(shards(8, bad=3), run.context)


def test_an_interrupt_finishes_what_was_begun(tmp_path: Path) -> None:
    with Run(tmp_path) as run:

        def tick() -> None:
            if run.context.tally.images:
                raise KeyboardInterrupt

        def endless() -> Iterator[FolderShard]:
            yield from shards(10**9)

        run.context.on_tick = tick
        with pytest.raises(KeyboardInterrupt):
            run.engine.process(endless(), run.context)
    names = {path.name for path in (tmp_path / "out").glob("*.jpg")}
    assert len(names) == run.context.tally.images > 0
    assert run.context.stages["write"]["batches"] > 0


def test_an_engine_that_was_not_used_leaves_no_process(tmp_path: Path) -> None:
    with Run(tmp_path):
        pass

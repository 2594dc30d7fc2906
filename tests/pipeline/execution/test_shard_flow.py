"""Shards through a flow, with shards, outputs and sinks of the test's own: what is written, when, and recorded."""

import errno
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.execution.engine import RunContext
from fastblur.pipeline.execution.journal import Journal
from fastblur.pipeline.execution.shard_flow import ShardFlow
from fastblur.pipeline.execution.shard_run import BatchTask, ShardPart, ShardRun
from fastblur.pipeline.execution.stages import Stage
from fastblur.pipeline.images.task import Outcome
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.storage.local import LocalSink

LIMIT = 60  # seconds that no thread may wait


@dataclass
class RecordedOutput:
    """An output that records its calls.

    Attributes:
        ordered: as of `Output`.
        refuse: names that it cannot write, with the reason.
        error: what `write` raises at the image `bad`.
    """

    ordered: bool
    refuse: dict[str, str] = field(default_factory=dict)
    bad: str = ""
    error: OSError | None = None
    put_images: list[tuple[str, bytes | None]] = field(default_factory=list)
    batches: list[tuple[str, ...]] = field(default_factory=list)
    at_once: int = 0
    commits: int = 0
    aborts: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, batch: Batch, results: list[bytes | None]) -> dict[int, str]:
        with self._lock:
            self._now += 1
            self.at_once = max(self.at_once, self._now)
            self.batches.append(tuple(item.name for item in batch.items))
        assert self.commits == self.aborts == 0
        time.sleep(0.001)
        names = [item.name for item in batch.items]
        if self.error is not None and self.bad in names:
            raise self.error
        self.put_images += zip(names, results, strict=True)
        with self._lock:
            self._now -= 1
        return {place: self.refuse[name] for place, name in enumerate(names) if name in self.refuse}

    def commit(self) -> None:
        assert self._now == 0
        self.commits += 1

    def abort(self) -> None:
        self.aborts += 1


@dataclass
class NumberedShard:
    """A shard of so many images, that breaks after `breaks` batches if that is not None."""

    name: str
    images: int
    to: RecordedOutput
    breaks: int | None = None
    error: Exception = field(default_factory=lambda: ValueError("the file ends in the middle"))

    def fingerprint(self) -> str:
        return "as ever"

    def batches(self, size: int) -> Iterator[Batch]:
        for number, first in enumerate(range(0, self.images, size)):
            if number == self.breaks:
                raise self.error
            yield Batch([Item(f"{self.name}/{place:04}") for place in range(first, min(first + size, self.images))])
        if self.breaks is not None:
            raise self.error

    def output(self, sink: Any) -> RecordedOutput:
        return self.to


def names(shard: str, count: int) -> list[str]:
    return [f"{shard}/{place:04}" for place in range(count)]


def out_of_order(task: BatchTask) -> None:
    """Finish the images of a batch after a random time."""
    time.sleep(random.random() / 100)
    for image in task.images:
        image.finish(Outcome.COPIED, image.item.name.encode())


class Run:
    """A flow into a folder, and what it has recorded."""

    def __init__(
        self,
        root: Path,
        work: Callable[[BatchTask], None] = out_of_order,
        assign_boxes: Callable[[Item], Item] | None = None,
        max_in_flight: int = 12,
        on_error: str = "continue",
    ) -> None:
        self.sink = LocalSink(root)
        self.journal = Journal(self.sink)
        self.journal.begin({}, {}, overwrite=False)
        self.failed: dict[str, str] = {}
        config = RunConfig(("src",), str(root), on_error=on_error)
        self.context = RunContext(config, Path("src"), self.sink, self.journal, self.fail)
        if assign_boxes is not None:
            self.context.assign_boxes = assign_boxes
        self.tally = self.context.tally
        self._flow = ShardFlow(
            self.context, [Stage("work", work)], workers=4, batch_size=3, max_in_flight=max_in_flight
        )

    def run(self, shards: Iterable[Any], on_tick: Callable[[], None] | None = None) -> None:
        self.context.on_tick = on_tick
        self._flow.run(iter(shards))

    def fail(self, name: str, reason: str) -> None:
        assert name not in self.failed
        self.failed[name] = reason

    def entries(self) -> dict[str, tuple[dict[str, Any], list[str]]]:
        """The journal: for each shard its first line, and the paths of its images."""
        found = {}
        for name in self.sink.names(".fastblur/journal"):
            head, *lines = map(json.loads, self.sink.read(f".fastblur/journal/{name}").splitlines())
            assert head["shard"] not in found
            found[head["shard"]] = (head, [line["path"] for line in lines])
        return found


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    random.seed(0)


@pytest.mark.parametrize("ordered", [True, False])
def test_shards_are_put_whole_and_committed_once(tmp_path: Path, ordered: bool) -> None:
    sizes = {"a": 100, "b": 1, "c": 3, "d": 4, "e": 50}
    shards = [NumberedShard(name, size, RecordedOutput(ordered)) for name, size in sizes.items()]
    run = Run(tmp_path)
    run.run(shards)
    for shard in shards:
        put = shard.to.put_images if ordered else sorted(shard.to.put_images)
        assert put == [(name, name.encode()) for name in names(shard.name, shard.images)]
        assert (shard.to.commits, shard.to.aborts) == (1, 0)
    if ordered:
        assert {shard.to.at_once for shard in shards} == {1}
    else:
        assert shards[0].to.at_once > 1
        assert shards[0].to.batches != sorted(shards[0].to.batches), "the test shows nothing if all came in order"
    assert (run.tally.images, run.tally.copied, run.tally.failed, run.tally.shards) == (158, 158, 0, 5)
    entries = run.entries()
    assert {name: paths for name, (_, paths) in entries.items()} == {name: names(name, n) for name, n in sizes.items()}
    assert all(head["images"] == head["copied"] == sizes[name] for name, (head, _) in entries.items())


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_a_shard_is_whole_with_its_last_missing_batch(ordered: bool, order: tuple[int, ...]) -> None:
    output = RecordedOutput(ordered)
    shard = ShardRun(NumberedShard("a", 8, output), output)
    tasks = [batch(shard, index, names("a", 8)[2 * index : 2 * index + 2], is_last=index == 3) for index in range(4)]
    written = [shard.write(tasks[index]) for index in order]
    assert [any(task.finishes_shard for task in some) for some in written] == [False, False, False, True]
    assert sorted(id(task) for some in written for task in some) == sorted(map(id, tasks))
    if ordered:
        assert [name for name, _ in output.put_images] == names("a", 8)
    assert [json.loads(line)["path"] for lines in shard.lines() for line in lines.splitlines()] == names("a", 8)
    assert shard.counts["images"] == 8


def batch(shard: ShardRun, index: int, names: list[str], *, is_last: bool) -> BatchTask:
    """A batch of a shard, with all images copied."""
    task = BatchTask(Batch([Item(name) for name in names]), ShardPart(shard, index, is_last))
    for image in task.images:
        image.finish(Outcome.COPIED, b"x")
    return task


@pytest.fixture
def _threads_change_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_change_often")
def test_many_threads_make_a_shard_whole_exactly_once() -> None:
    for ordered in (True, False) * 30:
        output = RecordedOutput(ordered)
        shard = ShardRun(NumberedShard("a", 12, output), output)
        tasks = [batch(shard, index, [name], is_last=index == 11) for index, name in enumerate(names("a", 12))]
        outcomes: list[list[BatchTask]] = []
        together = threading.Barrier(12)
        for task in tasks:
            task.is_written = not ordered  # so that threads finish writing at the same time

        def write(task: BatchTask, shard: ShardRun = shard, outcomes: Any = outcomes, together: Any = together) -> None:
            together.wait(LIMIT)
            outcomes.append(shard.write(task))

        threads = [threading.Thread(target=write, args=(task,)) for task in random.sample(tasks, 12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        written = [task for some in outcomes for task in some]
        assert [task.finishes_shard for task in written].count(True) == 1
        assert sorted(map(id, written)) == sorted(map(id, tasks))


def test_an_empty_shard_is_committed(tmp_path: Path) -> None:
    for ordered in (True, False):
        shard = NumberedShard(f"empty {ordered}", 0, RecordedOutput(ordered))
        run = Run(tmp_path / str(ordered))
        run.run([shard])
        assert (shard.to.commits, shard.to.aborts, shard.to.put_images) == (1, 0, [])
        assert run.entries()[shard.name][0]["images"] == 0
        assert (run.tally.images, run.tally.shards) == (0, 1)


@pytest.mark.parametrize("breaks", [0, 1, 3, 10])
@pytest.mark.parametrize("ordered", [True, False])
def test_a_broken_shard_gives_what_came_before_and_counts_as_a_failure(
    tmp_path: Path, breaks: int, ordered: bool
) -> None:
    shard = NumberedShard("a.tar", 30, RecordedOutput(ordered), breaks)
    good = NumberedShard("b.tar", 5, RecordedOutput(ordered))
    run = Run(tmp_path)
    run.run([shard, good])
    assert sorted(shard.to.put_images) == [(name, name.encode()) for name in names("a.tar", 3 * breaks)]
    assert (shard.to.commits, shard.to.aborts) == (1, 0)
    assert run.failed == {"a.tar": "the file ends in the middle"}
    head, paths = run.entries()["a.tar"]
    assert (head["images"], head["copied"], head["failed"]) == (3 * breaks + 1, 3 * breaks, 1)
    assert head["broken"] == "the file ends in the middle"
    assert paths == names("a.tar", 3 * breaks)
    assert (run.tally.images, run.tally.failed, run.tally.shards) == (3 * breaks + 6, 1, 2)
    assert run.entries()["b.tar"][0]["broken"] == ""


def test_a_shard_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    shard = NumberedShard("a.tar", 9, RecordedOutput(True), 1, PermissionError(errno.EACCES, "Permission denied", "a"))
    run = Run(tmp_path)
    run.run([shard])
    assert run.failed == {"a.tar": "Permission denied"}


def test_images_that_cannot_be_written_fail_alone(tmp_path: Path) -> None:
    shard = NumberedShard("a", 7, RecordedOutput(False, refuse={"a/0004": "write: File name too long"}))
    run = Run(tmp_path)
    run.run([shard])
    assert run.failed == {"a/0004": "write: File name too long"}
    assert (run.tally.images, run.tally.copied, run.tally.failed) == (7, 6, 1)
    head, _ = run.entries()["a"]
    assert (head["images"], head["copied"], head["failed"]) == (7, 6, 1)


@pytest.mark.parametrize("ordered", [True, False])
def test_images_that_failed_are_put_as_none(tmp_path: Path, ordered: bool) -> None:
    def work(task: BatchTask) -> None:
        out_of_order(task)
        for one in task.images:
            if one.item.name.endswith("2"):
                one.fail("decode: broken")

    shard = NumberedShard("a", 10, RecordedOutput(ordered))
    run = Run(tmp_path, work)
    run.run([shard])
    assert dict(shard.to.put_images)["a/0002"] is None
    assert sum(result is None for _, result in shard.to.put_images) == 1
    assert run.failed == {"a/0002": "decode: broken"}


@pytest.mark.parametrize("ordered", [True, False])
def test_an_output_that_cannot_be_written_stops_the_run_and_aborts_what_is_open(tmp_path: Path, ordered: bool) -> None:
    full = RecordedOutput(ordered, bad="b/0007", error=OSError(errno.ENOSPC, "No space left on device"))
    shards = [
        NumberedShard("a", 4, RecordedOutput(ordered)),
        NumberedShard("b", 30, full),
        NumberedShard("c", 5000, RecordedOutput(ordered)),
    ]
    run = Run(tmp_path)
    with pytest.raises(RunStopped, match=r"DST cannot be written: No space left on device; .* the same command goes"):
        run.run(shards)
    assert (full.commits, full.aborts) == (0, 1)
    assert shards[2].to.commits == 0
    assert shards[2].to.aborts == (1 if shards[2].to.put_images or shards[2].to.aborts else 0)
    assert set(run.entries()) <= {"a"}


def test_a_journal_that_cannot_be_written_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run.journal, "finish", full)
    shard = NumberedShard("a", 4, RecordedOutput(False))
    with pytest.raises(RunStopped, match="No space left on device"):
        run.run([shard])
    assert run.tally.shards == 0


def test_a_shard_is_recorded_after_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    shard = NumberedShard("a", 10, RecordedOutput(True))
    real = run.journal.finish
    seen = []
    monkeypatch.setattr(run.journal, "finish", lambda *args: (seen.append(shard.to.commits), real(*args)))
    run.run([shard])
    assert seen == [1]


@pytest.mark.parametrize("kind", ["image", "shard"])
def test_the_first_failure_stops_the_run_where_that_is_asked_for(tmp_path: Path, kind: str) -> None:
    def work(task: BatchTask) -> None:
        for one in task.images:
            one.finish(Outcome.COPIED, b"x")
            if one.item.name == "a/0004" and kind == "image":
                one.fail("decode: broken")

    shard = NumberedShard("a", 10, RecordedOutput(True), breaks=2 if kind == "shard" else None)
    run = Run(tmp_path, work, on_error="stop")
    name, why = ("a/0004", "decode: broken") if kind == "image" else ("a", "the file ends in the middle")
    with pytest.raises(RunStopped, match=f"the run stopped at '{name}': {why}"):
        run.run([shard])
    assert (shard.to.commits, shard.to.aborts) == (0, 1)
    assert run.entries() == {}
    assert run.failed == {name: why}


def test_an_interrupt_commits_no_shard_that_is_not_whole(tmp_path: Path) -> None:
    shards = [NumberedShard("a", 30, RecordedOutput(True)), NumberedShard("b", 100_000, RecordedOutput(True))]
    run = Run(tmp_path)

    def tick() -> None:
        if shards[1].to.put_images:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(shards, tick)
    assert (shards[0].to.commits, shards[0].to.aborts) == (1, 0)
    assert (shards[1].to.commits, shards[1].to.aborts) == (0, 1)
    assert list(run.entries()) == ["a"]
    put = [name for name, _ in shards[1].to.put_images]
    assert put == names("b", len(put))
    assert run.tally.images == 30 + len(put)


def test_boxes_are_asked_for_in_the_order_of_the_shards(tmp_path: Path) -> None:
    asked: list[str] = []

    def assign(item: Item) -> Item:
        asked.append(item.name)
        return item

    shards = [NumberedShard(name, 10, RecordedOutput(False)) for name in "abc"]
    Run(tmp_path, assign_boxes=assign).run(shards)
    assert asked == [name for shard in "abc" for name in names(shard, 10)]


def test_shards_are_asked_for_as_there_is_space(tmp_path: Path) -> None:
    made = 0
    committed: list[RecordedOutput] = []
    ahead = 0

    def shards() -> Iterator[NumberedShard]:
        nonlocal made, ahead
        for _ in range(60):
            made += 1
            output = RecordedOutput(True)
            committed.append(output)
            ahead = max(ahead, sum(not one.commits for one in committed))
            yield NumberedShard(f"{made}", 1, output)

    Run(tmp_path, max_in_flight=5).run(shards())
    assert made == 60
    assert 1 < ahead <= 5 + 1, "no more at once than batches in flight, and the one that is being listed"

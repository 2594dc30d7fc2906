"""Shards through the stages: batches in, results put in order, finished shards made durable."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fastblur.pipeline.errors import RunStopped, stopped
from fastblur.pipeline.execution.journal import Journal, count, journal_line
from fastblur.pipeline.execution.stages import Stage, Stages
from fastblur.pipeline.images.task import FAILED, Hand
from fastblur.pipeline.shards.interfaces import Batch, Item, Output, Shard
from fastblur.pipeline.storage.paths import error_reason
from fastblur.pipeline.storage.sink import Sink
from fastblur.pipeline.summary import COUNTS, Tally


class ShardRun:
    """One shard on its way.

    Attributes:
        shard: the shard.
        output: what becomes of it.
        broken: why it ended too early, or "".
        counts: of its images that have been put.
    """

    def __init__(self, shard: Shard, output: Output) -> None:
        self.shard, self.output = shard, output
        self.broken = ""
        self.counts = dict.fromkeys(COUNTS, 0)
        self._waiting: dict[int, Hand] = {}
        self._lines: dict[int, bytes] = {}
        self._next = 0
        self._last: int | None = None
        self._putting = self._whole = False
        self._lock = threading.Lock()

    def lines(self) -> Iterator[bytes]:
        """Yield the journal's lines of the images, in their order."""
        for index in range(len(self._lines)):
            yield self._lines[index]

    def put(self, hand: Hand) -> tuple[list[Hand], bool]:
        """Put a batch, and those that have waited for it; return those put, and whether they make the shard whole."""
        _, index, last = hand.part
        ordered = self.output.ordered
        with self._lock:
            if last:
                self._last = index
            self._waiting[index] = hand
            if ordered and self._putting:
                return [], False  # the thread that is putting will come to it
            self._putting = True
        put: list[Hand] = []
        while True:
            with self._lock:
                if ordered:
                    index = self._next
                if index not in self._waiting:
                    self._putting = False
                    whole = len(self._lines) - 1 == self._last and not self._whole
                    self._whole |= whole
                    return put, whole
                ready = self._waiting.pop(index)
                self._next += 1
            if not ready.is_put:
                put_results(self.output, ready)
            lines = b"".join(map(journal_line, ready.images))
            with self._lock:
                self._lines[index] = lines
                for name, value in count(ready.images).items():
                    self.counts[name] += value
            put.append(ready)


def put_results(output: Output, hand: Hand) -> None:
    """Put a batch; images that cannot be written fail. Raises OSError where the sink fails."""
    for place, reason in (output.write(hand.batch, [one.result for one in hand.images]) or {}).items():
        hand.images[place].reason = reason
        hand.images[place].end(FAILED)
    hand.is_put = True


@dataclass
class Flow:
    """What takes shards through the stages.

    Attributes:
        stages: from read to encode, as (name, what is done to a batch, threads of its own or 0 for the workers).
        sink: where results go.
        journal: where finished shards are recorded; None for a single image.
        tally: counts images.
        fail: called with the name of an image that failed, or of a broken shard, and the reason.
        workers: threads.
        batch: images that go through the stages together.
        boxed: gives an image the boxes that are given for it.
        most: batches in hand at once; enough that no worker waits for another, each batch more costs memory.
        begin: called first in each thread.
        stop_on_error: whether the first failure stops the run.
    """

    stages: Sequence[tuple[str, Callable[[Hand], None], int]]
    sink: Sink
    journal: Journal | None
    tally: Tally
    fail: Callable[[str, str], None]
    workers: int
    batch: int
    boxed: Callable[[Item], Item]
    most: int
    begin: Callable[[], None] = lambda: None
    stop_on_error: bool = False

    def __post_init__(self) -> None:
        """Lay the stages out."""
        self._open: set[ShardRun] = set()

        stages: list[Stage[Hand]] = [Stage(name, function, threads) for name, function, threads in self.stages]
        stages += [Stage("write", self._write), Stage("commit", self._commit, 1)]
        self.line = Stages(stages, self.workers, self.most, self.begin)

    def run(self, shards: Iterable[Shard], tick: Callable[[], None] | None = None) -> None:
        """Do the shards; raises as `Stages.run`, and RunStopped where the sink fails."""
        try:
            self.line.run(self._feed(iter(shards)), tick)
        finally:
            for part in self._open:
                part.output.abort()

    def _feed(self, shards: Iterator[Shard]) -> Iterator[Hand]:
        for shard in shards:
            part = ShardRun(shard, shard.output(self.sink))
            self._open.add(part)
            held: Hand | None = None  # back, so that the last batch is known to be the last
            index = 0
            batches = shard.batches(self.batch)
            while True:
                try:
                    batch = next(batches, None)
                except (ValueError, OSError) as error:
                    part.broken = error_reason(error)
                    batch = None
                if batch is None:
                    break
                if held is not None:
                    yield held
                held = Hand(replace(batch, items=[self.boxed(item) for item in batch.items]), not part.output.ordered)
                held.part = (part, index, False)
                index += 1
            if held is None:
                held = Hand(Batch([]), not part.output.ordered)
            held.part = (part, max(0, index - 1), True)
            yield held

    def _write(self, hand: Hand) -> list[Hand]:
        part: ShardRun = hand.part[0]
        try:
            put, whole = part.put(hand)
        except OSError as error:
            raise stopped(error) from error
        for each in put:
            self.tally.add(count(each.images))
            for one in each.images:
                if one.fate == FAILED:
                    self._failed(one.item.name, one.reason)
        if whole:
            put[-1].part = (part, -1, True)
        return put

    def _commit(self, hand: Hand) -> None:
        part, index, _ = hand.part
        if index != -1:
            return
        try:
            if part.broken:
                part.counts["failed"] += 1
                part.counts["images"] += 1
                self.tally.add({"images": 1, "failed": 1})
                self._failed(part.shard.name, part.broken)
            part.output.commit()
            if self.journal is not None:
                self.journal.finish(part.shard, part.counts, part.broken, part.lines())
        except OSError as error:
            raise stopped(error) from error
        self.tally.add({"shards": 1})
        self._open.discard(part)

    def _failed(self, name: str, reason: str) -> None:
        try:
            self.fail(name, reason)
        except OSError as error:
            raise stopped(error) from error
        if self.stop_on_error:
            raise RunStopped(f"the run stopped at {name!r}: {reason}")

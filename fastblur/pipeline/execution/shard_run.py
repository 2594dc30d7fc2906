"""A shard on its way: its batches, their places in it, and what is written of it so far."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from fastblur.pipeline.execution.in_order import InOrder
from fastblur.pipeline.execution.journal import count, journal_line
from fastblur.pipeline.images.task import ImageTask
from fastblur.pipeline.shards.interfaces import Batch, Output, Shard
from fastblur.pipeline.summary import COUNTS


class ShardRun:
    """One shard on its way: its batches come in any order, and its results leave in the output's.

    Attributes:
        shard: the shard.
        output: where its results go.
        broken: why reading it ended too early, or "".
        counts: of its images that have been written.
    """

    def __init__(self, shard: Shard, output: Output) -> None:
        self.shard, self.output = shard, output
        self.broken = ""
        self.counts = dict.fromkeys(COUNTS, 0)
        self._lines: dict[int, bytes] = {}
        self._batches: int | None = None  # how many there are, once the last one is known
        self._in_order: InOrder[BatchTask] = InOrder()
        self._lock = threading.Lock()

    def lines(self) -> Iterator[bytes]:
        """Yield the journal's lines of the images, in their order."""
        for index in range(len(self._lines)):
            yield self._lines[index]

    def write(self, task: "BatchTask") -> list["BatchTask"]:
        """Write a batch, and those that waited for it; return those written, of which one may finish the shard.

        Raises OSError where the sink fails.
        """
        if not self.output.ordered:
            self._write(task)
            return [task]
        written: list[BatchTask] = []
        todo = self._in_order.push(task.part.index, task)
        while todo:
            for one in todo:
                self._write(one)
            written += todo
            todo = self._in_order.pop()
        return written

    def _write(self, task: "BatchTask") -> None:
        if not task.is_written:
            write_results(self.output, task.batch, task.images)
            task.is_written = True
        lines = b"".join(map(journal_line, task.images))
        counts = count(task.images)
        with self._lock:
            self._lines[task.part.index] = lines
            for name, value in counts.items():
                self.counts[name] += value
            if task.part.is_last:
                self._batches = task.part.index + 1
            task.finishes_shard = len(self._lines) == self._batches


@dataclass(frozen=True, slots=True)
class ShardPart:
    """A batch's place in its shard.

    Attributes:
        run: of the shard.
        index: the batch's number in the shard, from 0.
        is_last: whether it is the shard's last batch.
    """

    run: ShardRun
    index: int
    is_last: bool


@dataclass(slots=True)
class BatchTask:
    """A batch on its way through the stages.

    Attributes:
        batch: as the shard gave it.
        part: its place in the shard.
        images: its images.
        is_written: whether its results have been written; a worker process may have done that.
        finishes_shard: whether all batches of its shard have been written, this one last; decided by `ShardRun.write`.
    """

    batch: Batch
    part: ShardPart
    images: list[ImageTask] = field(init=False)
    is_written: bool = False
    finishes_shard: bool = False

    def __post_init__(self) -> None:
        """Begin a task for each image."""
        self.images = [ImageTask(item) for item in self.batch.items]

    @property
    def any_order(self) -> bool:
        """Whether its results may be written by any thread or process, in any order."""
        return not self.part.run.output.ordered


def write_results(output: Output, batch: Batch, images: list[ImageTask]) -> None:
    """Write the results of a batch; images that cannot be written fail. Raises OSError where the sink fails."""
    refused = output.write(batch, [image.result for image in images]) or {}
    for place, reason in refused.items():
        images[place].fail(reason)

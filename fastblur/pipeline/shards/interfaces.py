"""Shards: the unit of work, of resume and of distribution.

A shard is a part of the source whose result is made durable in one step: some hundred images of a folder tree, a tar
file, a Parquet or Arrow file. It is read as batches in an order that never changes, and no batch holds images of two
shards, so that a shard done again, after a run was killed, in another process or on another machine, gives the same
bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from fastblur.boxes import Boxes, Size
from fastblur.pipeline.storage.sink import Sink


@dataclass(frozen=True, slots=True)
class Item:
    """One image of the source.

    Attributes:
        name: what messages call it, unique in the run: its path below the root, and for an image in a shard's file the
            file's path and its place there, as "a/0001.tar/n01440764_3.jpg" or "a/0001.parquet/17".
        path: the file to read, where `data` is None.
        problem: why the image must not be read, or None.
        data: its bytes, where it came with them.
        key: what box files call it, where that is not its name.
        boxes: its boxes, where it came with them: (n, 4) float32, xyxy in pixels, or relative to its sides if
            `relative`; of the stored or the upright picture.
        relative: see `boxes`.
        coordinates: "stored" where the file says that its boxes are of the stored picture; None where it does not.
        size: the width and height of the image that its boxes are of, where that is known.
        unsearched: "copy" for a file that is written as it is, "skip" for one that is left out, because the user said
            so: it is, or may hold, an image and is not searched.
    """

    name: str
    path: str = ""
    problem: str | None = None
    data: bytes | None = None
    key: str | None = None
    boxes: Boxes | None = None
    relative: bool = False
    coordinates: str | None = None
    size: Size | None = None
    unsearched: str | None = None


@dataclass(slots=True)
class Batch:
    """Images that go through the stages together.

    Attributes:
        items: the images, in the order of the shard.
        info: what the shard's output needs to write the batch: the members or columns that go with the images.
    """

    items: list[Item]
    info: Any = None


class Output(Protocol):
    """What becomes of one shard."""

    @property
    def ordered(self) -> bool:
        """Whether batches must be written in the shard's order, one at a time; otherwise by any thread at any time."""

    def write(self, batch: Batch, results: list[bytes | None]) -> dict[int, str]:
        """Write the images of a batch: the new file of each, or None for one that failed and must be left out.

        Returns why images could not be written after all, by their place in the batch. Raises OSError where the sink
        fails.
        """

    def commit(self) -> None:
        """Make the shard's result durable and visible, all batches having been written; raises OSError."""

    def abort(self) -> None:
        """Give the shard up; what is not whole is removed."""


class Shard(Protocol):
    """A part of the source."""

    @property
    def name(self) -> str:
        """Unique in the run, stable over runs, with "/" between folders: the shard's name in the journal."""

    def fingerprint(self) -> str:
        """Return a short text that differs when the shard's images may have changed; raises OSError."""

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the images, up to `size` in a batch, lazily.

        Raises ValueError or OSError where the shard ends too early or is broken; what was yielded before is good.
        """

    def output(self, sink: Sink) -> Output:
        """Return where the shard's results go; nothing is made before the first `write` or `commit`."""

"""Shards of a folder tree: some hundred images that follow each other in the listing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.storage.paths import error_reason, is_name_error
from fastblur.pipeline.storage.sink import Sink

IMAGES = 256  # of a shard: the most that each worker of a run that was killed has to do again


@dataclass(frozen=True)
class FolderShard:
    """Images of a folder tree, at least one."""

    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """The first image's name."""
        return self.items[0].name

    def fingerprint(self) -> str:
        """Return a hash of the images' names. Sizes and times would cost a request a file on network disks."""
        return names_hash(item.name for item in self.items)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the images in their order."""
        for first in range(0, len(self.items), size):
            yield Batch(list(self.items[first : first + size]))

    def output(self, sink: Sink) -> "FolderOutput":
        """Return the output, which writes the files as they come."""
        return FolderOutput(sink)


class FolderOutput:
    """Writes images as files of their names."""

    ordered = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def write(self, batch: Batch, results: list[bytes | None]) -> dict[int, str]:
        """Write the files; return why images could not be written under their names, by their place in the batch.

        An image that failed leaves no older file of its name.
        """
        refused = {}
        for place, (item, result) in enumerate(zip(batch.items, results, strict=True)):
            try:
                if result is None:
                    self._sink.remove(item.name)
                else:
                    self._sink.write(item.name, result)
            except (ValueError, OSError) as error:
                if not is_name_error(error):
                    raise
                if result is not None:
                    refused[place] = f"write: {error_reason(error)}"
        return refused

    def commit(self) -> None:
        """Return when all files are durable."""
        self._sink.flush()

    def abort(self) -> None:
        """Do nothing: every file is whole, and the same when the shard is done again."""


def names_hash(names: Iterable[str]) -> str:
    """Return the fingerprint of a shard with images of these names."""
    return blake2b("\0".join(names).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

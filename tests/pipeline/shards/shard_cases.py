"""What the tests of tars and tables share: a sink in memory, and the way of a shard without any stages."""

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastblur.pipeline.shards.interfaces import Item, Shard

Change = Callable[[Item], bytes | None]
"""Stands for the stages: gives an image's new file, or None where it fails."""


class MemoryFile:
    """A file of a `MemorySink`."""

    def __init__(self, sink: "MemorySink", name: str) -> None:
        self.file: Any = io.BytesIO()
        self._sink, self._name = sink, name
        sink.begun.append(name)

    def commit(self) -> None:
        self._sink.files[self._name] = self.file.getvalue()
        self.file.close()

    def abort(self) -> None:
        self.file.close()
        self._sink.aborted.append(self._name)


@dataclass
class MemorySink:
    """A sink in memory, as far as shards use it."""

    files: dict[str, bytes] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    aborted: list[str] = field(default_factory=list)

    def write(self, name: str, data: bytes) -> None:
        self.files[name] = data

    def create(self, name: str) -> MemoryFile:
        return MemoryFile(self, name)

    def remove(self, name: str) -> None:
        self.files.pop(name, None)

    def flush(self) -> None:
        pass


@dataclass
class Done:
    """What became of a shard.

    Attributes:
        batches: the items of each batch.
        broken: why it broke off, or "".
        file: the new file, or None.
        refused: what the output could not write, by the items' names.
    """

    batches: list[list[Item]] = field(default_factory=list)
    broken: str = ""
    file: bytes | None = None
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        return [item for batch in self.batches for item in batch]

    @property
    def good(self) -> dict[str, bytes]:
        return {item.key or "": item.data for item in self.items if item.problem is None and item.data is not None}

    @property
    def problems(self) -> dict[str, str]:
        return {item.name: item.problem for item in self.items if item.problem is not None}


def marked(item: Item) -> bytes | None:
    """Change every image."""
    return None if item.problem is not None or item.data is None else b"new " + item.data


def same(item: Item) -> bytes | None:
    """Change no image."""
    return None if item.problem is not None else item.data


def run_shard(shard: Shard, change: Change = marked, size: int = 8, *, send: bool = False) -> Done:
    """Take a shard through its output, each batch sent as to another process if `send`."""
    sink: Any = MemorySink({shard.name: b"an older file"})
    output = shard.output(sink)
    assert output.ordered
    done = Done()
    batches = shard.batches(size)
    while True:
        try:
            batch = next(batches, None)
        except ValueError as error:
            done.broken = str(error)
            break
        if batch is None:
            break
        if send:
            batch = pickle.loads(pickle.dumps(batch))
        refused = output.write(batch, [change(item) for item in batch.items])
        done.refused |= {batch.items[place].name: reason for place, reason in refused.items()}
        done.batches.append(batch.items)
    assert sink.files == {shard.name: b"an older file"}, "a file that is not whole has its name"
    output.commit()
    done.file = sink.files.get(shard.name)
    assert set(sink.files) <= {shard.name}
    assert not sink.aborted
    names = [item.name for item in done.items]
    assert len(set(names)) == len(names)
    return done

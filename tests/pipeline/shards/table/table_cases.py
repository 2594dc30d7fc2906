"""What the tests of tables share: a sink in memory, files made by pyarrow, and a run over one without any stages."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.shards.table.shard import TableShard

Change = Callable[[Item], bytes | None]


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
    """A sink in memory."""

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
    """What became of a table: the items of each batch, why it broke off or "", and the new file or None."""

    batches: list[list[Item]]
    broken: str
    file: bytes | None

    @property
    def items(self) -> list[Item]:
        return [item for batch in self.batches for item in batch]


def marked(item: Item) -> bytes | None:
    """Stand for the stages: an image with a problem fails, any other gets new bytes."""
    return None if item.problem is not None or item.data is None else b"new " + item.data


def run(data: bytes, name: str = "a/0001.parquet", change: Change = marked, size: int = 8, **options: Any) -> Done:
    """Take a table through a shard and its output."""
    shard = TableShard(name, lambda: io.BytesIO(data), "stamp", **options)
    sink = MemorySink()
    output = shard.output(sink)
    assert output.ordered
    done = Done([], "", None)
    batches = shard.batches(size)
    while True:
        try:
            batch = next(batches, None)
        except ValueError as error:
            done.broken = str(error)
            break
        if batch is None:
            break
        assert len(batch.items) <= size
        assert not output.put(batch, [change(item) for item in batch.items])
        done.batches.append(batch.items)
    assert sink.files == {}, "a file that is not whole has its name"
    output.commit()
    done.file = sink.files.get(name)
    assert set(sink.files) <= {name}
    return done


def parquet(table: pa.Table, **options: Any) -> bytes:
    """Return a Parquet file; skips the test where this pyarrow cannot write one with the table's types."""
    buffer = io.BytesIO()
    try:
        pq.write_table(table, buffer, **options)
    except pa.ArrowNotImplementedError as error:
        pytest.skip(f"this pyarrow cannot write it: {error}")
    return buffer.getvalue()


def arrow(table: pa.Table, kind: str = "stream", rows: int | None = None, **options: Any) -> bytes:
    """Return an Arrow file of the kind "stream" or "file", with `rows` in each record batch."""
    buffer = io.BytesIO()
    with {"stream": pa.ipc.new_stream, "file": pa.ipc.new_file}[kind](buffer, table.schema, **options) as writer:
        for batch in table.combine_chunks().to_batches(max_chunksize=rows):
            writer.write_batch(batch)
    return buffer.getvalue()


def read(data: bytes | None, name: str = "a.parquet") -> pa.Table:
    """Return a table file's content."""
    assert data is not None
    if name.endswith(".parquet"):
        return pq.ParquetFile(io.BytesIO(data)).read()
    opened = pa.ipc.open_file if data[:6] == b"ARROW1" else pa.ipc.open_stream
    return opened(io.BytesIO(data)).read_all()


def group_rows(data: bytes | None, name: str = "a.parquet") -> list[int]:
    """Return how many rows each row group or record batch has."""
    assert data is not None
    if name.endswith(".parquet"):
        metadata = pq.ParquetFile(io.BytesIO(data)).metadata
        return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    if data[:6] == b"ARROW1":
        reader = pa.ipc.open_file(io.BytesIO(data))
        return [len(reader.get_batch(number)) for number in range(reader.num_record_batches)]
    return [len(batch) for batch in pa.ipc.open_stream(io.BytesIO(data))]

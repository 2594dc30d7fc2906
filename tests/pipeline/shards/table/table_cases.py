"""What the tests of tables share: files made by pyarrow, and a run over one without any stages."""

import io
import random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastblur.pipeline.shards.table.shard import TableShard
from tests.pipeline.shards.shard_cases import Change, Done, marked, run_shard

RANDOM = random.Random(5)
IMAGES = [RANDOM.randbytes(RANDOM.randrange(500, 3000)) for _ in range(40)]
TABLE = pa.table(
    {
        "image": pa.array([{"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(IMAGES)]),
        "label": pa.array(range(40)),
        "caption": [f"caption {n}" for n in range(40)],
        "kind": pa.array([f"kind {n % 3}" for n in range(40)]).dictionary_encode(),
    }
)
"""40 rows of images that are no images, with a label, a caption and a kind."""


def run(data: bytes, name: str = "a/0001.parquet", change: Change = marked, size: int = 8, **options: Any) -> Done:
    """Take a table through a shard and its output."""
    done = run_shard(TableShard(name, lambda: io.BytesIO(data), "stamp", **options), change, size)
    assert all(len(batch) <= size for batch in done.batches)
    assert not done.refused
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

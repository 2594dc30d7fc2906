"""Table files: which reader a file needs."""

from typing import Any, BinaryIO

import pyarrow as pa

from fastblur.pipeline.shards.table.arrow import ArrowReader
from fastblur.pipeline.shards.table.group import call_pyarrow
from fastblur.pipeline.shards.table.parquet import ParquetReader


def open_table(name: str, file: BinaryIO) -> ParquetReader | ArrowReader:
    """Open a table file, whose name says of which kind it is; raises ValueError where it is cut short or broken."""
    reader = ParquetReader(file) if name.lower().endswith(".parquet") else ArrowReader(file)
    names = call_pyarrow("table", _names, reader.schema)
    for column in names:
        if names.count(column) > 1:
            raise ValueError(f"the table has two columns called {column!r}, expected each name once")
    return reader


def _names(schema: Any) -> list[str]:
    """Return the columns' names; raises UnicodeDecodeError for one that is no text, of a struct's field too."""
    for field in schema:
        if pa.types.is_struct(field.type):
            [part.name for part in field.type]
    return list(schema.names)

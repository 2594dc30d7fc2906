"""Parquet files as pyarrow reads and writes them, one row group at a time.

How a file was laid out cannot be read off in all respects, and pyarrow's writer has to be told: `_options` writes up to
twelve empty trial files, in memory, and takes the first set of options that gives back the same schema.
"""

from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from itertools import product
from typing import Any, BinaryIO

import pyarrow.parquet as pq

from fastblur.pipeline.shards.table.group import Group, Groups, Writer, call_pyarrow

PIECE_BYTES = 16 << 20  # of the image columns of a row group, read at once
PIECE_ROWS = 256
PEEK_ROWS = 32  # in which a column of no telling name may show that it has images
BUFFER = 1 << 20  # for each column of a Parquet file that is being read


class ParquetReader:
    """Reads a Parquet file.

    Held at once: a page of each part of the image columns, packed and unpacked; `PIECE_BYTES` of images (as many rows
    as that is by the mean of the row group, but no more than `PIECE_ROWS`); and the other columns of the row group.

    Attributes:
        schema: of the file, as Arrow has it.
        begin: begins a file like this one, from a file to write to.

    Raises ValueError where the file is cut short or broken.
    """

    def __init__(self, file: BinaryIO) -> None:
        # With a buffer, pages are read one after the other; without, the whole column of a row group is.
        self._file: Any = call_pyarrow(
            "Parquet", pq.ParquetFile, file, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True
        )
        self.schema: Any = call_pyarrow("Parquet", lambda: self._file.schema_arrow)
        self.begin: Callable[[BinaryIO], Writer] = partial(
            ParquetWriter, schema=self.schema, options=call_pyarrow("Parquet", _options, self._file)
        )

    def peek(self, names: list[str]) -> Iterator[tuple[str, Any]]:
        """Yield the first rows of columns, as (name, array)."""
        if self._file.num_row_groups:
            batches = self._file.iter_batches(PEEK_ROWS, row_groups=[0], columns=names, use_threads=False)
            batch = call_pyarrow("Parquet", next, batches, None)
            yield from () if batch is None else ((name, batch.column(name)) for name in names)

    def groups(self, names: list[str]) -> Groups:
        """Yield the row groups, with the image columns of these names in pieces; ValueError for a broken one."""
        others = [name for name in self.schema.names if name not in names]
        for number in range(self._file.num_row_groups):
            rows = call_pyarrow("Parquet", lambda number=number: self._file.metadata.row_group(number).num_rows)
            columns: dict[str, Any] = {}
            if others:
                table = call_pyarrow("Parquet", self._file.read_row_group, number, columns=others, use_threads=False)
                columns = {name: table.column(name) for name in others}
            if any(len(each) != rows for each in columns.values()):
                raise ValueError(f"row group {number} of the Parquet file has columns of different lengths")
            yield Group(self.schema, tuple(names), columns), self._pieces(number, rows, names)

    def _pieces(self, number: int, rows: int, names: list[str]) -> Iterator[list[Any]]:
        size = self._file.metadata.row_group(number).total_byte_size
        batch_size = max(1, min(PIECE_ROWS, PIECE_BYTES * rows // max(1, size)))
        batches = self._file.iter_batches(batch_size, row_groups=[number], columns=names, use_threads=False)
        seen = 0
        while (batch := call_pyarrow("Parquet", next, batches, None)) is not None:
            seen += len(batch)
            yield [batch.column(name) for name in names]
        if seen != rows:
            raise ValueError(f"row group {number} of the Parquet file holds {seen} images, expected {rows}")


class ParquetWriter:
    """Writes a Parquet file with `options` of pyarrow's writer."""

    def __init__(self, file: BinaryIO, schema: Any, options: dict[str, Any]) -> None:
        self._writer = pq.ParquetWriter(file, schema, **options)

    def write(self, table: Any, metadata: Any) -> None:
        """Write a row group."""
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def _options(source: Any) -> dict[str, Any]:
    """Return how to write a Parquet file that is laid out as `source`."""
    metadata = source.metadata
    options: dict[str, Any] = {"store_schema": b"ARROW:schema" in (metadata.metadata or {})}
    if metadata.num_row_groups:
        # Broken metadata of a column ends the process when it is asked for, but raises an error when the column is
        # read: so read a row first.
        next(source.iter_batches(1, row_groups=[0], use_threads=False), None)
        group = metadata.row_group(0)
        leaves = [group.column(index) for index in range(group.num_columns)]
        options["compression"] = {
            leaf.path_in_schema: leaf.compression.replace("UNCOMPRESSED", "NONE") for leaf in leaves
        }
        options["use_dictionary"] = [leaf.path_in_schema for leaf in leaves if leaf.has_dictionary_page]
        options["write_page_index"] = any(leaf.has_offset_index for leaf in leaves)
    # How the types were written cannot be read off in all cases: take the first way that gives the same schema.
    near = None
    for version, compliant, int96 in product((metadata.format_version, "2.6", "2.4"), (True, False), (False, True)):
        options |= {
            "version": version, "use_compliant_nested_type": compliant, "use_deprecated_int96_timestamps": int96
        }  # fmt: skip
        buffer = BytesIO()
        pq.ParquetWriter(buffer, source.schema_arrow, **options).close()
        written = pq.ParquetFile(buffer)
        if written.schema.equals(source.schema):
            return options
        if near is None and written.schema_arrow.equals(source.schema_arrow):
            near = dict(options)
    if near is None:
        raise ValueError("it has types that pyarrow reads but cannot write")
    return near

"""Parquet and Arrow files as pyarrow reads and writes them, one row group or record batch at a time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import product
from typing import Any, BinaryIO, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from fastblur.pipeline.shards.table.columns import BYTES, is_struct

T = TypeVar("T")

PIECE_BYTES = 16 << 20  # of the image column of a row group, read at once
PIECE_ROWS = 256
BUFFER = 1 << 20  # for each column of a Parquet file that is being read

_END = (b"\xff\xff\xff\xff\0\0\0\0", b"\0\0\0\0")  # of an IPC stream; the second as Arrow before 0.15 wrote it


@dataclass(frozen=True, eq=False)
class Group:
    """A row group of a Parquet file, or a record batch of an Arrow file, without its images.

    Attributes:
        schema: of the file.
        column: the image column.
        others: the other columns, by name.
        beside: what stands beside the bytes in an image column of structs, by name.
        metadata: of the record batch.
    """

    schema: Any
    column: str
    others: Mapping[str, Any]
    beside: Mapping[str, Any]
    metadata: Any = None

    def images(self, data: list[bytes]) -> Any:
        """Return images' bytes as an array."""
        type = self.schema.field(self.column).type
        return pa.array(data, type=type.field(BYTES).type if is_struct(type) else type)

    def table(self, kept: list[bool], images: list[Any]) -> Any:
        """Return the group with other images.

        Args:
            kept: for each of the first rows, whether it is kept; rows behind them are not.
            images: for the kept rows, in arrays.
        """
        runs = _runs(kept)
        columns = [
            self._image_column(runs, images) if field.name == self.column else _take(self.others[field.name], runs)
            for field in self.schema
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _image_column(self, runs: list[tuple[int, int]], images: list[Any]) -> Any:
        type = self.schema.field(self.column).type
        if not is_struct(type):
            return pa.chunked_array(images, type=type)
        beside = {name: _take(column, runs) for name, column in self.beside.items()}
        structs, first = [], 0
        for array in images:
            parts = {name: pa.concat_arrays(c.slice(first, len(array)).chunks) for name, c in beside.items()}
            fields = [array if field.name == BYTES else parts[field.name] for field in type]
            structs.append(pa.StructArray.from_arrays(fields, fields=list(type)))
            first += len(array)
        return pa.chunked_array(structs, type=type)


class Writer(Protocol):
    """Writes a file of the same kind as the one read."""

    def write(self, table: Any, metadata: Any) -> None:
        """Write a row group or record batch; raises OSError."""

    def close(self) -> None:
        """Write the end of the file, and leave it open; raises OSError."""


Groups = Iterator[tuple[Group, Iterator[Any]]]  # with the images of each, in arrays


class ParquetReader:
    """Reads a Parquet file.

    Held at once: a page of each part of the image column, packed and unpacked; `PIECE_BYTES` of images (as many rows as
    that is by the mean of the row group, but no more than `PIECE_ROWS`); and the other columns of the row group.

    Attributes:
        schema: of the file, as Arrow has it.
        begin: begins a file like this one, from a file to write to.

    Raises ValueError where the file is cut short or broken.
    """

    def __init__(self, file: BinaryIO) -> None:
        # With a buffer, pages are read one after the other; without, the whole column of a row group is.
        self._file: Any = _reading(
            "Parquet", pq.ParquetFile, file, buffer_size=BUFFER, pre_buffer=False, page_checksum_verification=True
        )
        self.schema: Any = _reading("Parquet", lambda: self._file.schema_arrow)
        self.begin: Callable[[BinaryIO], Writer] = partial(
            ParquetWriter, schema=self.schema, options=_reading("Parquet", _options, self._file)
        )

    def groups(self, column: str) -> Groups:
        """Yield the row groups; ValueError for a broken one."""
        type = self.schema.field(column).type
        names = [name for name in self.schema.names if name != column]
        below = [f"{column}.{field.name}" for field in type if field.name != BYTES] if is_struct(type) else []
        for number in range(self._file.num_row_groups):
            rows = _reading("Parquet", lambda number=number: self._file.metadata.row_group(number).num_rows)
            columns: dict[str, Any] = {}
            if names or below:
                table = _reading(
                    "Parquet", self._file.read_row_group, number, columns=[*names, *below], use_threads=False
                )
                columns = {name: table.column(name) for name in (*names, *([column] if below else []))}
            if any(len(each) != rows for each in columns.values()):
                raise ValueError(f"row group {number} of the Parquet file has columns of different lengths")
            yield _group(self.schema, column, columns), self._images(number, rows, column)

    def _images(self, number: int, rows: int, column: str) -> Iterator[Any]:
        size = self._file.metadata.row_group(number).total_byte_size
        batch_size = max(1, min(PIECE_ROWS, PIECE_BYTES * rows // max(1, size)))
        batches = self._file.iter_batches(batch_size, row_groups=[number], columns=[column], use_threads=False)
        seen = 0
        while (batch := _reading("Parquet", next, batches, None)) is not None:
            seen += len(batch)
            yield batch.column(column)
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


class ArrowReader:
    """Reads an Arrow file in the IPC file or stream format; one record batch is held at once.

    Attributes:
        schema: of the file.
        begin: begins a file like this one, from a file to write to.

    Raises ValueError where the file is cut short or broken.
    """

    def __init__(self, file: BinaryIO) -> None:
        start = file.read(6)
        file.seek(0)
        if start[:4] == b"FEA1":
            raise ValueError("the file is of Feather version 1, expected version 2, which is an Arrow file")
        self._file = file
        self._stream = start != b"ARROW1"
        opened = pa.ipc.open_stream if self._stream else pa.ipc.open_file
        self._reader: Any = _reading("Arrow", opened, file)
        self.schema: Any = self._reader.schema
        self.begin: Callable[[BinaryIO], Writer] = partial(ArrowWriter, schema=self.schema, stream=self._stream)

    def groups(self, column: str) -> Groups:
        """Yield the record batches; ValueError for a broken one, or where the stream has no end."""
        for batch, metadata in self._batches():
            # Arrow files carry positions that nothing has checked yet: a wrong one would lead out of the memory.
            _reading("Arrow", batch.validate, full=True)
            columns = {name: pa.chunked_array([batch.column(name)]) for name in self.schema.names}
            yield _group(self.schema, column, columns, metadata), iter([batch.column(column)])

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        if not self._stream:
            for number in range(self._reader.num_record_batches):
                yield _reading("Arrow", self._reader.get_batch_with_custom_metadata, number)
            return
        while True:
            end = self._file.tell()
            try:
                read = _reading("Arrow", self._reader.read_next_batch_with_custom_metadata)
            except StopIteration:
                break
            yield read
        self._file.seek(end)
        if self._file.read(8) not in _END:
            raise ValueError("the Arrow stream has no end, it may have been cut short")


class ArrowWriter:
    """Writes an Arrow file in the IPC stream or file format."""

    def __init__(self, file: BinaryIO, schema: Any, stream: bool) -> None:
        self._writer = (pa.ipc.new_stream if stream else pa.ipc.new_file)(file, schema)

    def write(self, table: Any, metadata: Any) -> None:
        """Write a record batch: more than one only where binary columns have grown beyond 2 GiB."""
        table = table.combine_chunks()
        empty = [] if len(table) else [column.combine_chunks() for column in table.columns]
        batches = table.to_batches() if len(table) else [pa.RecordBatch.from_arrays(empty, schema=table.schema)]
        for batch in batches:
            self._writer.write_batch(batch, custom_metadata=metadata)

    def close(self) -> None:
        """Write the end."""
        self._writer.close()


def open_table(name: str, file: BinaryIO) -> ParquetReader | ArrowReader:
    """Open a table file, told from its name; raises ValueError where it is cut short or broken."""
    reader = ParquetReader(file) if name.lower().endswith(".parquet") else ArrowReader(file)
    names = _reading("table", _names, reader.schema)
    for column in names:
        if names.count(column) > 1:
            raise ValueError(f"the table has two columns called {column!r}, expected each name once")
    return reader


def _group(schema: Any, column: str, columns: dict[str, Any], metadata: Any = None) -> Group:
    image = columns.pop(column, None)
    beside = {}
    if image is not None and is_struct(image.type):
        parts = zip(image.type, image.flatten(), strict=True)
        beside = {field.name: part for field, part in parts if field.name != BYTES}
    return Group(schema, column, columns, beside, metadata)


def _names(schema: Any) -> list[str]:
    """Return the columns' names; raises UnicodeDecodeError for one that is no text, of a struct's field too."""
    for field in schema:
        if is_struct(field.type):
            [part.name for part in field.type]
    return list(schema.names)


def _options(source: Any) -> dict[str, Any]:
    """Return how to write a Parquet file that is laid out as `source`."""
    metadata = source.metadata
    options: dict[str, Any] = {"store_schema": b"ARROW:schema" in (metadata.metadata or {})}
    if metadata.num_row_groups:
        # What is wrong with a column's metadata ends the process where Python asks for it, and is an error where the
        # column is read: so read a row first.
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


def _runs(kept: list[bool]) -> list[tuple[int, int]]:
    """Return the runs of True as (first, length)."""
    runs: list[tuple[int, int]] = []
    for place, keep in enumerate(kept):
        if keep and runs and sum(runs[-1]) == place:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif keep:
            runs.append((place, 1))
    return runs


def _take(column: Any, runs: list[tuple[int, int]]) -> Any:
    """Return the rows of the runs. Slices work for every type, which pyarrow's filters do not."""
    if runs == [(0, len(column))]:
        return column
    chunks = [chunk for first, length in runs for chunk in column.slice(first, length).chunks]
    return pa.chunked_array(chunks, type=column.type)


def _reading(kind: str, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Call a function of pyarrow's, and say whatever it makes of broken bytes in one sentence, as a ValueError."""
    try:
        return function(*arguments, **named)
    except StopIteration:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file could not be read; what pyarrow says of broken bytes has no number
        said = " ".join(str(error).split()) or type(error).__name__
        said = said if len(said) <= 160 else said[:157] + "..."
        raise ValueError(f"the {kind} file is cut short or broken ({said})") from None

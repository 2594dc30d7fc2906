"""Arrow files in the IPC file or stream format as pyarrow reads and writes them, one record batch at a time."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO

import pyarrow as pa

from fastblur.pipeline.shards.table.group import Group, Groups, Writer, call_pyarrow
from fastblur.pipeline.shards.table.parquet import PEEK_ROWS, PIECE_BYTES, PIECE_ROWS

_END = (b"\xff\xff\xff\xff\0\0\0\0", b"\0\0\0\0")  # of an IPC stream; the second as Arrow before 0.15 wrote it


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
        self._reader: Any = call_pyarrow("Arrow", opened, file)
        self.schema: Any = self._reader.schema
        self.begin: Callable[[BinaryIO], Writer] = partial(ArrowWriter, schema=self.schema, stream=self._stream)

    def peek(self, names: list[str]) -> Iterator[tuple[str, Any]]:
        """Yield the first rows of columns, as (name, array); reading starts over after that."""
        batch, _ = next(self._batches(), (None, None))
        if batch is not None:
            call_pyarrow("Arrow", batch.validate, full=True)
            yield from ((name, batch.column(name)[:PEEK_ROWS]) for name in names)
        self._file.seek(0)
        self._reader = call_pyarrow("Arrow", pa.ipc.open_stream if self._stream else pa.ipc.open_file, self._file)

    def groups(self, names: list[str]) -> Groups:
        """Yield the record batches, with the image columns of these names in pieces.

        Raises ValueError for a broken one, where the stream has no end, and for a file whose images are in a
        dictionary, of which a file can have but one.
        """
        for name in names:
            if pa.types.is_dictionary(self.schema.field(name).type) and not self._stream:
                raise ValueError(f"the image column {name!r} of an Arrow file is a dictionary, expected a stream")
        for batch, metadata in self._batches():
            # Arrow files hold offsets that nothing has checked yet: a wrong one would read outside the buffer.
            call_pyarrow("Arrow", batch.validate, full=True)
            columns = {name: pa.chunked_array([batch.column(name)]) for name in self.schema.names if name not in names}
            yield Group(self.schema, tuple(names), columns, metadata), self._pieces(batch, names)

    def _pieces(self, batch: Any, names: list[str]) -> Iterator[list[Any]]:
        size = sum(batch.column(name).nbytes for name in names)
        rows = max(1, min(PIECE_ROWS, PIECE_BYTES * len(batch) // max(1, size)))
        for first in range(0, len(batch), rows):
            yield [batch.column(name)[first : first + rows] for name in names]

    def _batches(self) -> Iterator[tuple[Any, Any]]:
        if not self._stream:
            for number in range(self._reader.num_record_batches):
                yield call_pyarrow("Arrow", self._reader.get_batch_with_custom_metadata, number)
            return
        while True:
            end = self._file.tell()
            try:
                read = call_pyarrow("Arrow", self._reader.read_next_batch_with_custom_metadata)
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

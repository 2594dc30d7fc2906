"""Tars and tables of the output: their images, and what is beside these."""

import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol

from fastblur.audit.output import Output
from fastblur.pipeline.execution.record import RunRecord
from fastblur.pipeline.shards.interfaces import Batch, Item, Shard
from fastblur.pipeline.shards.table.shard import is_table_name
from fastblur.pipeline.storage.local import LocalSink

PIECE = 1 << 20  # bytes compared at once


class Container:
    """A tar or table of the output, read in step with the source, and what the run makes of the source but for images.

    It is written again, from what the source has beside its images and from the images of the output; nothing but the
    versions of packages may make the two files differ.

    Args:
        record, output: of the run.
        shard: of the source.
        written: the names of its images that the run wrote.
    """

    def __init__(self, record: RunRecord, output: Output, shard: Shard, written: set[str]) -> None:
        self._record, self._name, self._written = record, shard.name, written
        self._named = output.has_own_names(shard.name)
        self._images = self._readable(output.items(shard.name))
        self._next = next(self._images, None)
        self._is_whole, self._gz = True, False
        self._folder = TemporaryDirectory(prefix="fastblur-audit-")
        self._rebuilt = shard.output(LocalSink(Path(self._folder.name)))

    def next(self, name: str) -> bytes | None:
        """Return the output of the source's next written image; None where it is missing."""
        while self._next is not None and self._named and self._next.name not in self._written:
            self._skip()  # nobody expects it, which the account says
        if self._next is None or (self._named and self._next.name != name):
            self._is_whole = False
            return None
        data, self._next = self._next.data, next(self._images, None)
        return data

    def add(self, batch: Batch, images: list[bytes | None]) -> None:
        """Take a batch of the source and the output's images of it, None for those that were left out.

        Raises OSError where there is no room for temporary files.
        """
        if not is_table_name(self._name):
            self._gz = batch.info.gz
            batch.info.gz = False  # other versions of zlib compress otherwise
        if self._is_whole:
            self._rebuilt.write(batch, images)

    def difference(self) -> str | None:
        """Say that something beside the images is not the source's; None where it is, or images are missing or extra.

        To be called when all batches were added. Raises OSError or ValueError where the output's file cannot be read.
        """
        self._rebuilt.commit()
        path = Path(self._folder.name) / self._name
        if not self._is_whole or self._next is not None or not path.exists():
            return None  # the account says what is missing or extra
        with open(path, "rb") as mine, self._record.open_container(self._name) as theirs:
            if is_table_name(self._name):
                same = _same_bytes(mine, theirs) or _same_rows(self._name, mine, theirs)
            else:
                same = _same_bytes(mine, OneGzip(theirs) if self._gz else theirs)
        if same:
            return None
        parts = "columns, rows or metadata" if is_table_name(self._name) else "members or their headers"
        return f"{self._name!r} has other {parts} beside its images than the source"

    def close(self) -> None:
        """Remove the temporary files."""
        self._rebuilt.abort()
        self._folder.cleanup()

    def _skip(self) -> None:
        self._next, self._is_whole = next(self._images, None), False

    @staticmethod
    def _readable(items: Iterator[Item]) -> Iterator[Item]:
        """Yield items as long as the file can be read: the account says where it cannot."""
        with suppress(ValueError, OSError):
            yield from items


class Readable(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, none only at the end."""


class OneGzip:
    """What a gzip file holds that is written as a run writes it: one member, whose header has no more than it must.

    `gzip` passes comments and names in headers, and further members.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._out = file, bytearray()
        self._reader = zlib.decompressobj(wbits=31)
        head = file.read(10)
        if len(head) < 10 or head[3] != 0:
            raise ValueError("its gzip header has names, comments or other fields, expected none")
        self._feed(head)

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes; raises ValueError where the file is cut short, or goes on after its end."""
        while not self._out and not self._reader.eof:
            data = self._file.read(PIECE)
            if not data:
                raise ValueError("it is cut short, expected the end of its gzip member")
            self._feed(data)
        if not self._out and (self._reader.unused_data or self._file.read(1)):
            raise ValueError("it goes on behind its gzip member, expected the end of the file")
        data = bytes(self._out[:size])
        del self._out[:size]
        return data

    def _feed(self, data: bytes) -> None:
        try:
            self._out += self._reader.decompress(data)
        except zlib.error as error:
            raise ValueError(f"its gzip data are damaged ({error})") from error


def _same_bytes(one: Readable, other: Readable) -> bool:
    mine = theirs = b""
    while True:
        mine, theirs = mine or one.read(PIECE), theirs or other.read(PIECE)
        size = min(len(mine), len(theirs))
        if size == 0 or mine[:size] != theirs[:size]:
            return not mine and not theirs
        mine, theirs = mine[size:], theirs[size:]


def _same_rows(name: str, one: BinaryIO, other: BinaryIO) -> bool:
    """Return whether two tables, written by different versions of pyarrow, have the same schema, metadata and rows."""
    (mine, rows, maker), (theirs, other_rows, other_maker) = (_opened(name, file) for file in (one, other))
    if maker and maker == other_maker:
        return False
    return bool(mine.equals(theirs, check_metadata=True)) and all(
        a is not None and b is not None and _same_batch(a, b) for a, b in zip_longest(rows, other_rows)
    )


def _same_batch(one: Any, other: Any) -> bool:
    """Return whether two record batches have the same values; NaN is the same as NaN."""
    return bool(one.schema.equals(other.schema, check_metadata=True)) and all(
        mine.equals(theirs) or repr(mine.to_pylist()) == repr(theirs.to_pylist())
        for mine, theirs in zip(one.columns, other.columns, strict=True)
    )


def _opened(name: str, file: BinaryIO) -> tuple[Any, Iterator[Any], str]:
    """Return a table's schema and rows, and what wrote the file where it says so."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file.seek(0)
    if name.lower().endswith(".parquet"):
        parquet: Any = pq.ParquetFile(file)
        return parquet.schema_arrow, parquet.iter_batches(64, use_threads=False), str(parquet.metadata.created_by)
    stream = file.read(6) != b"ARROW1"
    file.seek(0)
    if stream:
        reader = pa.ipc.open_stream(file)
        return reader.schema, iter(reader), ""
    table = pa.ipc.open_file(file)
    return table.schema, (table.get_batch(number) for number in range(table.num_record_batches)), ""

"""Shards that are Parquet or Arrow files with a column of images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from fastblur.need import need
from fastblur.options import BoxFormat
from fastblur.pipeline.shards.file_output import FileOutput
from fastblur.pipeline.shards.interfaces import Batch
from fastblur.pipeline.storage.sink import Sink

if TYPE_CHECKING:
    from fastblur.pipeline.shards.table.group import Group, Piece, TableBatchInfo, Writer

SUFFIXES = (".parquet", ".arrow", ".feather", ".ipc")
STATE_FILES = ("state.json", "dataset_info.json", "dataset_dict.json")  # of Hugging Face's save_to_disk
BATCH_BYTES = 64 << 20  # of images in a batch; one that is larger stands alone


def is_table_name(name: str) -> bool:
    """Return whether a file of this name is taken for a table."""
    return name.lower().endswith(SUFFIXES)


@dataclass(frozen=True)
class TableShard:
    """A Parquet file, or an Arrow file in the IPC file or stream format (Feather version 2 is the former).

    The image columns are binary, or structs of bytes and path as Hugging Face's datasets write them, or lists of these.
    All columns that look like images are searched, or those that are named; where another column may hold images, the
    row fails unless `others` says otherwise. A row is kept whole or left out whole; one without any image is kept.

    An image is called by the file's name and its row, "a/0001.parquet/17", and where there are several image columns,
    or lists, by its column and place too, "a/0001.parquet/17/views/0"; box files find it by its path in the struct
    where it has one, or else by its name.

    Args:
        name: the file's path below the source.
        open: opens the file to read bytes from; it must be able to seek.
        stamp: a text that differs when the file may have changed.
        columns: the image columns; empty for all columns that look like one.
        boxes: a column with the boxes of every image, list<list<float>> or of whole numbers, or structs with such a
            field "bbox" or "boxes"; None where there is none. There can be only one image column then.
        box_format: what the four numbers of those boxes are; None for what a struct says of its own, or else "xyxy".
        others: what happens to rows in which other columns may hold images: "fail", "copy" to keep them, or "skip" to
            empty those cells.
    """

    name: str
    open: Callable[[], BinaryIO]
    stamp: str
    columns: tuple[str, ...] = ()
    boxes: str | None = None
    box_format: BoxFormat | None = None
    others: str = "fail"

    def fingerprint(self) -> str:
        """Return the stamp."""
        return self.stamp

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the images: at most `size` in a batch, and `BATCH_BYTES` of images, or those of a single row.

        Besides the batch, of a Parquet file some pages and the row group's other columns are held, of an Arrow file a
        record batch: see `ParquetReader` and `ArrowReader`. A table without rows gives one batch without images.

        Raises ValueError where the file is cut short or broken, has no image column, or its boxes are of another type;
        OSError where it cannot be read; MissingPackage without pyarrow. What was yielded before is good.
        """
        need("pyarrow", "tables")
        from fastblur.pipeline.shards.table.files import open_table
        from fastblur.pipeline.shards.table.group import TableBatchInfo
        from fastblur.pipeline.shards.table.rows import read_rows

        with self.open() as file:
            table = open_table(self.name, file)
            batch, held = Batch([], TableBatchInfo(table.begin)), 0
            broken: ValueError | OSError | None = None
            rows = read_rows(table, self.name, self.columns, self.boxes, self.box_format, self.others)
            while True:
                try:
                    row = next(rows, None)
                except (ValueError, OSError) as error:
                    broken = error
                    break
                if row is None:
                    break
                length = sum(len(item.data or b"") for item in row.items)
                if batch.items and (len(batch.items) + len(row.items) > size or held + length > BATCH_BYTES):
                    yield batch
                    batch, held = Batch([], TableBatchInfo(table.begin)), 0
                row.join(batch)
                held += length
            if batch.info.slices or broken is None:
                yield batch
            if broken is not None:
                raise broken

    def output(self, sink: Sink) -> "TableOutput":
        """Return the output, a file of the same name, columns, row groups or record batches."""
        return TableOutput(sink, self.name)


class TableOutput(FileOutput["Writer"]):
    """Writes a table with new images; rows whose image failed are left out, and groups without any row that is kept.

    All other columns, and the metadata of schema, fields and record batches, are kept. A Parquet file keeps its
    version, and for each column the codec and whether it has a dictionary, as its first row group has them; Arrow files
    are written without compression. The same images make the same bytes, whatever the batches.

    Until a row group or record batch is complete its new images are held, with its other columns; an Arrow file's new
    images for a moment twice.
    """

    def __init__(self, sink: Sink, name: str) -> None:
        super().__init__(sink, name)
        self._group: Group | None = None
        self._piece: Piece | None = None
        self._rows: list[list[bytes | None] | None] = []  # of the piece
        self._kept: list[bool] = []  # of the group
        self._arrays: dict[str, list[Any]] = {}

    def open_writer(self, file: BinaryIO, info: "TableBatchInfo") -> "Writer":
        """Begin a file like the one read."""
        return info.begin(file)

    def write_batch(self, writer: "Writer", batch: Batch, results: list[bytes | None]) -> dict[int, str]:
        """Take the images of a batch, and write the groups that it completes.

        Returns which images are left out because others of their row failed.
        """
        info: TableBatchInfo = batch.info
        refused: dict[int, str] = {}
        place = 0
        for rows in info.slices:
            self._group = rows.group
            if rows.piece is not None:
                self._piece = rows.piece
            for count, empty in zip(rows.counts, rows.empty, strict=True):
                images = results[place : place + count]
                failed = next((place + number for number, image in enumerate(images) if image is None), None)
                reason = None if failed is None else f"its row is left out because {batch.items[failed].name!r} failed"
                filled = iter(images)
                row = [None if is_empty else next(filled) for is_empty in empty]
                if reason is None and rows.piece is not None:
                    reason = rows.piece.misfit(len(self._rows), row)
                self._rows.append(row if reason is None else None)
                if reason is not None:
                    refused |= {place + number: reason for number, image in enumerate(images) if image is not None}
                place += count
            if rows.ends_piece:
                self._end_piece()
            if rows.ends_group:
                self._write_group(writer, rows.group)
        return refused

    def end(self, writer: "Writer") -> None:
        """Write the group in which the file broke off, if it did, and the end."""
        if self._group is not None:
            self._end_piece()
            self._write_group(writer, self._group)
        writer.close()

    def abandon(self, writer: "Writer") -> None:
        """Close the writer, so that it does not try when it is garbage collected."""
        writer.close()

    def _end_piece(self) -> None:
        if self._piece is not None:
            for name, array in zip(self._piece.names, self._piece.arrays(self._rows), strict=True):
                self._arrays.setdefault(name, []).append(array)
            self._kept += [row is not None for row in self._rows]
        self._piece, self._rows = None, []

    def _write_group(self, writer: "Writer", group: "Group") -> None:
        arrays = {name: self._arrays.get(name, []) for name in group.columns}
        if any(self._kept) or not self._kept:
            writer.write(group.table(self._kept, arrays), group.metadata)
        self._group, self._kept, self._arrays = None, [], {}

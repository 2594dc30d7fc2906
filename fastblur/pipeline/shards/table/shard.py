"""Shards that are Parquet or Arrow files with a column of images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO

from fastblur.need import need
from fastblur.pipeline.shards.file_output import FileOutput
from fastblur.pipeline.shards.interfaces import Batch
from fastblur.pipeline.storage.sink import Sink

if TYPE_CHECKING:
    from fastblur.pipeline.shards.table.group import Group, Writer

SUFFIXES = (".parquet", ".arrow", ".feather", ".ipc")
BATCH_BYTES = 64 << 20  # of images in a batch; one that is larger stands alone
ARRAY_BYTES = 64 << 20  # of new images that are made into one array


def is_table_name(name: str) -> bool:
    """Return whether a file of this name is taken for a table."""
    return name.lower().endswith(SUFFIXES)


@dataclass(slots=True)
class GroupSlice:
    """Rows of a batch that are of one group.

    Attributes:
        group: the row group or record batch, without its images.
        rows: how many of its rows are in the batch.
        last: whether the batch ends the group.
    """

    group: "Group"
    rows: int = 0
    last: bool = False


@dataclass(slots=True)
class TableBatchInfo:
    """What the output needs to write a batch.

    Attributes:
        begin: begins a file like the one read.
        slices: the batch's rows, in their order.
    """

    begin: "Callable[[BinaryIO], Writer]"
    slices: list[GroupSlice] = field(default_factory=list)


@dataclass(frozen=True)
class TableShard:
    """A Parquet file, or an Arrow file in the IPC file or stream format (Feather version 2 is the former).

    The image column is binary, or a struct of bytes and path as Hugging Face's datasets write it. Only this column is
    worked on: whatever another column shows of the images, a thumbnail or a second image, goes to the output as it is.

    An image is called by the file's name and its row, "a/0001.parquet/17"; box files find it by its path in the struct
    where it has one, or else by its name.

    Args:
        name: the file's path below the source.
        open: opens the file to read bytes from; it must be able to seek.
        stamp: a text that differs when the file may have changed.
        column: the image column; None for the only column that looks like one.
        boxes: a column with the boxes of every image, list<list<float>>: [x_min, y_min, x_max, y_max] relative to the
            image's sides, as img2dataset keeps them; None where there is none.
    """

    name: str
    open: Callable[[], BinaryIO]
    stamp: str
    column: str | None = None
    boxes: str | None = None

    def fingerprint(self) -> str:
        """Return the stamp."""
        return self.stamp

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the images: at most `size` rows in a batch, and `BATCH_BYTES` of images or a single one.

        Besides the batch, of a Parquet file some pages and the row group's other columns are held, of an Arrow file a
        record batch: see `ParquetReader` and `ArrowReader`. A table without rows gives one batch without images.

        Raises ValueError where the file is cut short or broken, has no image column or several, or its boxes are of
        another type; OSError where it cannot be read; MissingPackage without pyarrow. What was yielded before is good.
        """
        need("pyarrow", "tables")
        from fastblur.pipeline.shards.table.columns import check_box_column, image_column, items
        from fastblur.pipeline.shards.table.files import open_table

        with self.open() as file:
            table = open_table(self.name, file)
            column = image_column(table.schema, self.column)
            if self.boxes is not None:
                check_box_column(table.schema, self.boxes)
            batch, held, row = Batch([], TableBatchInfo(table.begin)), 0, 0
            broken: ValueError | OSError | None = None
            groups = table.groups(column)
            try:
                for group, pieces in groups:
                    batch.info.slices.append(GroupSlice(group))
                    boxes = None if self.boxes is None else group.other_columns[self.boxes]
                    start = row
                    for images in pieces:
                        near = None if boxes is None else boxes.slice(row - start, len(images))
                        for item in items(self.name, row, images, near):
                            length = len(item.data or b"")
                            if batch.items and (len(batch.items) == size or held + length > BATCH_BYTES):
                                yield batch
                                batch, held = Batch([], TableBatchInfo(table.begin, [GroupSlice(group)])), 0
                            batch.items.append(item)
                            batch.info.slices[-1].rows += 1
                            held += length
                        row += len(images)
                    batch.info.slices[-1].last = True
            except (ValueError, OSError) as error:
                broken = error
            if batch.items or broken is None:
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
        self._kept: list[bool] = []
        self._data: list[bytes] = []
        self._held = 0
        self._arrays: list[Any] = []

    def open_writer(self, file: BinaryIO, info: TableBatchInfo) -> "Writer":
        """Begin a file like the one read."""
        return info.begin(file)

    def write_batch(self, writer: "Writer", batch: Batch, results: list[bytes | None]) -> dict[int, str]:
        """Take the images of a batch, and write the groups that it completes."""
        info: TableBatchInfo = batch.info
        place = 0
        for part in info.slices:
            self._group = part.group
            for result in results[place : place + part.rows]:
                self._add(part.group, result)
            place += part.rows
            if part.last:
                self._write_group(writer, part.group)
        return {}

    def end(self, writer: "Writer") -> None:
        """Write the group in which the file broke off, if it did, and the end."""
        if self._group is not None:
            self._write_group(writer, self._group)
        writer.close()

    def abandon(self, writer: "Writer") -> None:
        """Close the writer, so that it does not try when it is garbage collected."""
        writer.close()

    def _add(self, group: "Group", result: bytes | None) -> None:
        self._kept.append(result is not None)
        if result is not None:
            self._data.append(result)
            self._held += len(result)
            if self._held >= ARRAY_BYTES:
                self._make_array(group)

    def _make_array(self, group: "Group") -> None:
        if self._data:
            self._arrays.append(group.images(self._data))
        self._data, self._held = [], 0

    def _write_group(self, writer: "Writer", group: "Group") -> None:
        self._make_array(group)
        if any(self._kept) or not self._kept:
            writer.write(group.table(self._kept, self._arrays), group.metadata)
        self._group, self._kept, self._arrays = None, [], []

"""A row group or record batch of a table, taken apart and put together again with other images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol, TypeVar

import pyarrow as pa

from fastblur.annotations.rows import shortened
from fastblur.pipeline.shards.table.cells import split_cells

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Group:
    """A row group of a Parquet file, or a record batch of an Arrow file, without its images.

    Attributes:
        schema: of the file.
        columns: the image columns.
        other_columns: the other columns, by name.
        metadata: of the record batch.
    """

    schema: Any
    columns: tuple[str, ...]
    other_columns: dict[str, Any]
    metadata: Any = None

    def table(self, kept: list[bool], images: Mapping[str, list[Any]]) -> Any:
        """Return the group with other images.

        Args:
            kept: for each of the first rows, whether it is kept; rows behind them are not.
            images: for each image column the cells of the kept rows, in arrays.
        """
        runs = _runs(kept)
        columns = [
            pa.chunked_array(images[field.name], type=field.type)
            if field.name in self.columns
            else _take(self.other_columns[field.name], runs)
            for field in self.schema
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)


class Piece:
    """Rows of a group that are read and written together, without their images.

    Attributes:
        names: of the image columns.
        cells: of the rows, in the order of `names`; their data is dropped by `items`.
        problems: rows that fail whatever becomes of their images: for each the column, and what is wrong.
    """

    def __init__(
        self, names: tuple[str, ...], arrays: list[Any], problems: dict[int, tuple[str, str]], *, follows_paths: bool
    ) -> None:
        self.names = names
        self.cells = [split_cells(array, follows_paths=follows_paths) for array in arrays]
        self.problems = problems

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.cells[0].counts)

    def misfit(self, number: int, row: list[bytes | None]) -> str | None:
        """Return why the images of a row cannot be written, None where they can: columns may be of a fixed size."""
        start = 0
        for name, cells in zip(self.names, self.cells, strict=True):
            for image in row[start : start + cells.counts[number]]:
                if cells.width is not None and image is not None and len(image) > cells.width:
                    return f"write: a new image has {len(image)} bytes, the column {name!r} takes {cells.width}"
            start += cells.counts[number]
        return None

    def arrays(self, rows: list[list[bytes | None] | None]) -> list[Any]:
        """Return the cells of the kept rows with other images, for each column.

        Args:
            rows: for each of the first rows its images in the order of the columns, None in place of an empty cell; or
                None for a row that is not kept.
        """
        kept = [row is not None for row in rows]
        arrays = []
        starts = [0] * len(rows)
        for cells in self.cells:
            data: list[bytes | None] = []
            for number, row in enumerate(rows):
                count = cells.counts[number]
                data += [b""] * count if row is None else row[starts[number] : starts[number] + count]
                starts[number] += count
            data += [b""] * (sum(cells.counts) - len(data))
            whole = pa.chunked_array([cells.rebuild(data)])
            chunks = _take(whole, _runs(kept)).chunks
            arrays.append(pa.concat_arrays(chunks) if len(chunks) > 1 else chunks[0] if chunks else whole.chunk(0)[:0])
        return arrays


class Writer(Protocol):
    """Writes a file of the same kind as the one read."""

    def write(self, table: Any, metadata: Any) -> None:
        """Write a row group or record batch; raises OSError."""

    def close(self) -> None:
        """Write the end of the file, and leave it open; raises OSError."""


@dataclass(slots=True)
class RowSlice:
    """Rows of a batch that are of one piece of a group.

    Attributes:
        group: the row group or record batch, without its images.
        piece: the part of it that was read at once, without its images; None where the group has no rows.
        counts: how many items of the batch each row has.
        empty: for each row, which of its images are empty cells, without an item.
        ends_piece, ends_group: whether these rows are the last ones of the piece, and of the group.
    """

    group: Group
    piece: Piece | None = None
    counts: list[int] = field(default_factory=list)
    empty: list[list[bool]] = field(default_factory=list)
    ends_piece: bool = False
    ends_group: bool = False


@dataclass(slots=True)
class TableBatchInfo:
    """What the output needs to write a batch.

    Attributes:
        begin: begins a file like the one read.
        slices: the batch's rows, in their order.
    """

    begin: Callable[[BinaryIO], Writer]
    slices: list[RowSlice] = field(default_factory=list)


Groups = Iterator[tuple[Group, Iterator[list[Any]]]]
"""Groups, each with its image columns in pieces: for each an array of the same rows."""


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


def call_pyarrow(kind: str, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Call a function of pyarrow's, and turn any error about broken bytes into a ValueError of one sentence."""
    try:
        return function(*arguments, **named)
    except StopIteration:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file could not be read; pyarrow's errors about broken bytes have no number
        said = shortened(" ".join(str(error).split()) or type(error).__name__, 160)
        raise ValueError(f"the {kind} file is cut short or broken ({said})") from None

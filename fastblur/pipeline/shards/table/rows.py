"""The rows of a table, in their order, each with the images of all its image columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from fastblur.options import BoxFormat
from fastblur.pipeline.shards.content import unsearched_problem
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.shards.table.arrow import ArrowReader
from fastblur.pipeline.shards.table.columns import (
    check_box_column,
    has_fields,
    image_columns,
    is_plain_image,
    row_boxes,
    unsearched_rows,
)
from fastblur.pipeline.shards.table.group import Group, Piece, RowSlice
from fastblur.pipeline.shards.table.parquet import ParquetReader


@dataclass(slots=True)
class Row:
    """A row that is read, or the begin of a group that has none.

    Attributes:
        group: that it is of.
        piece: of the group; None for a group without rows.
        items: its images.
        empty: which of its images are empty cells, without an item.
        ends_piece, ends_group: whether it is the last one of the piece, and of the group.
    """

    group: Group
    piece: Piece | None
    items: list[Item]
    empty: list[bool]
    ends_piece: bool = False
    ends_group: bool = False

    def join(self, batch: Batch) -> None:
        """Add the row to a batch."""
        slices: list[RowSlice] = batch.info.slices
        if not slices or slices[-1].group is not self.group or slices[-1].piece is not self.piece:
            slices.append(RowSlice(self.group, self.piece))
        if self.piece is not None:
            slices[-1].counts.append(len(self.items))
            slices[-1].empty.append(self.empty)
        slices[-1].ends_piece, slices[-1].ends_group = self.ends_piece, self.ends_group
        batch.items += self.items


class GivenBoxes(NamedTuple):
    """The cells of a column of boxes, and what the four numbers of a box are."""

    column: Any
    format: BoxFormat | None


def read_rows(
    table: ParquetReader | ArrowReader,
    prefix: str,
    given: tuple[str, ...],
    box_column: str | None,
    box_format: BoxFormat | None,
    others: str,
) -> Iterator[Row]:
    """Yield the rows of a table, and a row without a piece for a group that has none.

    Args:
        table: that is read.
        prefix: of the items' names.
        given, box_column, box_format, others: as `TableShard` takes its columns, boxes, box_format and others.

    Raises ValueError and OSError as `TableShard.batches`.
    """
    names = image_columns(table.schema, given, table.peek)
    plain = len(names) == 1 and is_plain_image(table.schema.field(names[0]).type)
    if box_column is not None:
        check_box_column(table.schema, box_column)
        if not plain:
            raise ValueError(
                f"the boxes column {box_column!r} is for one image a row, and {', '.join(map(repr, names))} have more, "
                "expected one of them with --image-column"
            )
    number = 0
    for group, pieces in table.groups(names):
        start = number
        waiting: Row | None = None  # so that the last row of a group is known to be the last
        for arrays in pieces:
            if not len(arrays[0]):
                continue
            first, length = number - start, len(arrays[0])
            near = None
            if box_column is not None:
                near = GivenBoxes(group.other_columns[box_column].slice(first, length), box_format)
            problems = {} if others == "copy" else _unsearched(group, first, length, box_column)
            if others == "skip":
                _empty(group, first, problems)
                problems = {}
            problem_of = {row: each[0] for row, each in problems.items()}
            piece = Piece(tuple(names), arrays, problem_of, follows_paths=others == "copy")
            starts = [0] * len(names)
            for row in range(length):
                if waiting is not None:
                    yield waiting
                waiting = _row(group, piece, row, starts, f"{prefix}/{number}", plain, near)
                number += 1
            assert waiting is not None
            waiting.ends_piece = True
            for cells in piece.cells:
                cells.data.clear()  # the items have it
        if waiting is None:
            waiting = Row(group, None, [], [])
        waiting.ends_group = True
        yield waiting


def _row(
    group: Group, piece: Piece, row: int, starts: list[int], name: str, plain: bool, boxes: GivenBoxes | None
) -> Row:
    """Return a row of a piece; `starts` is where the images of each column go on."""
    result = Row(group, piece, [], [])
    for column, cells in enumerate(piece.cells):
        for place in range(cells.counts[row]):
            data, path = cells.data[starts[column] + place], cells.paths[starts[column] + place]
            result.empty.append(data is None)
            many = not is_plain_image(group.schema.field(piece.names[column]).type)
            called = name if plain else f"{name}/{piece.names[column]}" + (f"/{place}" if many else "")
            if data is None:
                continue
            result.items.append(Item(called, data=data, key=path or called))
        starts[column] += cells.counts[row]
    if row in piece.problems:
        column_name, problem = piece.problems[row]
        problem = f"its column {column_name!r} {problem}"
        result.items = [Item(item.name, problem=problem, key=item.key) for item in result.items]
        result.items = result.items or [Item(f"{name}/{column_name}", problem=problem)]
    elif boxes is not None and result.items:
        (item,) = result.items
        try:
            found, relative = row_boxes(boxes.column[row].as_py(), boxes.format)
            result.items = [Item(item.name, data=item.data, key=item.key, boxes=found, relative=relative)]
        except ValueError as error:
            result.items = [Item(item.name, problem=str(error), key=item.key)]
    return result


def _unsearched(group: Group, first: int, length: int, box_column: str | None) -> dict[int, list[tuple[str, str]]]:
    """Return the rows in which other columns may hold images, each with those columns and what is wrong with them."""
    found: dict[int, list[tuple[str, str]]] = {}
    for name, column in group.other_columns.items():
        if name == box_column and not has_fields(column.type):
            continue
        part = column.slice(first, length)
        for row, kind in unsearched_rows(pa.concat_arrays(part.chunks)).items() if part.num_chunks else ():
            found.setdefault(row, []).append((name, unsearched_problem(kind)))
    return found


def _empty(group: Group, first: int, problems: dict[int, list[tuple[str, str]]]) -> None:
    """Empty cells of a group's other columns; raises ValueError where a column must not have empty cells."""
    for row, cells in problems.items():
        for name, _ in cells:
            if not group.schema.field(name).nullable:
                raise ValueError(f"the column {name!r} must not be emptied, as --others skip would, expected copy")
            column, at = group.other_columns[name], first + row
            parts = (*column.slice(0, at).chunks, pa.nulls(1, column.type), *column.slice(at + 1).chunks)
            group.other_columns[name] = pa.chunked_array(parts, type=column.type)

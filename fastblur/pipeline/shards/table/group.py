"""A row group or record batch of a table, taken apart and put together again with other images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from fastblur.annotations.rows import shortened
from fastblur.pipeline.shards.table.columns import BYTES, is_struct

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Group:
    """A row group of a Parquet file, or a record batch of an Arrow file, without its images.

    Attributes:
        schema: of the file.
        column: the image column.
        other_columns: the other columns, by name.
        struct_fields: the other fields of an image column of structs, by name.
        metadata: of the record batch.
    """

    schema: Any
    column: str
    other_columns: Mapping[str, Any]
    struct_fields: Mapping[str, Any]
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
            self._image_column(runs, images)
            if field.name == self.column
            else _take(self.other_columns[field.name], runs)
            for field in self.schema
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _image_column(self, runs: list[tuple[int, int]], images: list[Any]) -> Any:
        type = self.schema.field(self.column).type
        if not is_struct(type):
            return pa.chunked_array(images, type=type)
        struct_fields = {name: _take(column, runs) for name, column in self.struct_fields.items()}
        structs, first = [], 0
        for array in images:
            parts = {name: pa.concat_arrays(c.slice(first, len(array)).chunks) for name, c in struct_fields.items()}
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


def split_group(schema: Any, column: str, columns: dict[str, Any], metadata: Any = None) -> Group:
    """Return a group of the columns that were read; of the image column there are the other fields of its structs."""
    image = columns.pop(column, None)
    struct_fields = {}
    if image is not None and is_struct(image.type):
        parts = zip(image.type, image.flatten(), strict=True)
        struct_fields = {field.name: part for field, part in parts if field.name != BYTES}
    return Group(schema, column, columns, struct_fields, metadata)


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

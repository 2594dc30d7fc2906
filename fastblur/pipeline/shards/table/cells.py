"""Cells of an image column: the bytes of their images taken out, and an array like the old one made with others.

An image column is binary (of any kind, of a fixed size, or dictionary-encoded), a struct with a field of bytes, as
Hugging Face's datasets write images, or a list of these, of any depth.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fastblur.pipeline.shards.table.columns import BYTES, PATH, is_binary, is_image_struct, is_list, is_text

Data = list[bytes | None]


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of some rows of an image column.

    Attributes:
        data: the bytes of all their images, in the order of the rows; None where a cell or a place in a list is empty.
        paths: what the struct of each image calls it, if it does.
        counts: how many of the images each row has.
        rebuild: makes an array like the old one from other bytes.
        width: how many bytes each image has at most, where the column is of a fixed size.
    """

    data: Data
    paths: list[str | None]
    counts: list[int]
    rebuild: Callable[[Data], Any]
    width: int | None = None


def split_cells(array: Any, *, follows_paths: bool = True) -> Cells:
    """Take an array of an image column apart; what is kept of it for `rebuild` does not hold the images.

    Args:
        array: of the column.
        follows_paths: whether a cell with a path in place of bytes keeps it: whoever loads the table is shown the file
            there, which is not searched.
    """
    type = array.type
    if isinstance(type, pa.ExtensionType):
        inner = split_cells(array.storage, follows_paths=follows_paths)
        return replace(inner, rebuild=lambda data: type.wrap_array(inner.rebuild(data)))
    if pa.types.is_dictionary(type):
        inner = split_cells(array.dictionary_decode(), follows_paths=follows_paths)
        return replace(inner, rebuild=lambda data: inner.rebuild(data).dictionary_encode().cast(type))
    if is_list(type):
        return _split_lists(array, follows_paths)
    if is_image_struct(type):
        return _split_structs(array, follows_paths)
    width = type.byte_width if pa.types.is_fixed_size_binary(type) else None
    one = [1] * len(array)
    return Cells(array.to_pylist(), [None] * len(array), one, lambda data: _binary_array(data, type), width)


def _split_lists(array: Any, follows_paths: bool) -> Cells:
    inner = split_cells(array.flatten(), follows_paths=follows_paths)
    empty = array.is_null() if array.null_count else None
    lengths = [length or 0 for length in pc.list_value_length(array).to_pylist()]
    ends = list(accumulate(lengths, initial=0))
    counts_before = list(accumulate(inner.counts, initial=0))
    counts = [counts_before[last] - counts_before[first] for first, last in pairwise(ends)]
    type = array.type

    def rebuild(data: Data) -> Any:
        values = inner.rebuild(data)
        if pa.types.is_list_view(type) or pa.types.is_large_list_view(type):
            large = pa.types.is_large_list_view(type)
            kind, offset = (pa.LargeListViewArray, pa.int64()) if large else (pa.ListViewArray, pa.int32())
            return kind.from_arrays(
                pa.array(ends[:-1], offset), pa.array(lengths, offset), values, type=type, mask=empty
            )
        if pa.types.is_fixed_size_list(type):
            lists = pa.ListArray.from_arrays(
                pa.array(ends, pa.int32()), values, type=pa.list_(type.value_field), mask=empty
            )
            return lists.cast(type)
        large = pa.types.is_large_list(type)
        kind, offset = (pa.LargeListArray, pa.int64()) if large else (pa.ListArray, pa.int32())
        return kind.from_arrays(pa.array(ends, offset), values, type=type, mask=empty)

    return replace(inner, counts=counts, rebuild=rebuild)


def _split_structs(array: Any, follows_paths: bool) -> Cells:
    type, empty = array.type, array.is_null() if array.null_count else None
    place = type.get_field_index(BYTES)
    others = [None if number == place else array.field(number) for number in range(type.num_fields)]
    inner = split_cells(array.field(place))
    for number, is_empty in enumerate([] if empty is None else empty.to_pylist()):
        if is_empty:
            inner.data[number] = None
    paths: list[str | None] = [None] * len(array)
    if type.get_field_index(PATH) >= 0 and is_text(type.field(PATH).type):
        texts = array.field(type.get_field_index(PATH)).cast(pa.large_binary())  # nobody has checked that it is UTF-8
        paths = [text.decode("utf-8", "surrogateescape") if text else None for text in texts.to_pylist()]
        if not follows_paths:
            column = array.field(type.get_field_index(PATH))
            nothing = pa.scalar(None if type.field(PATH).nullable else "", column.type)
            alone = pa.array([data is None and path is not None for data, path in zip(inner.data, paths, strict=True)])
            others[type.get_field_index(PATH)] = pc.if_else(alone, nothing, column)

    def rebuild(new: Data) -> Any:
        bytes_array = inner.rebuild(new)
        arrays = [bytes_array if other is None else other for other in others]
        return pa.StructArray.from_arrays(arrays, fields=list(type), mask=empty)

    return replace(inner, paths=paths, rebuild=rebuild)


def _binary_array(data: Data, type: Any) -> Any:
    if not is_binary(type):
        raise ValueError(f"a column of the type {type} holds no bytes")
    if pa.types.is_fixed_size_binary(type):
        # An image may be followed by zeros, which no decoder reads.
        data = [each if each is None else each.ljust(type.byte_width, b"\0") for each in data]
    return pa.array(data, type)

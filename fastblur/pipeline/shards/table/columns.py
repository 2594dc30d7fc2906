"""Columns of a table: which ones have images, which one the boxes, and what else may hold images."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fastblur.annotations.rows import checked_rows, shortened
from fastblur.box_formats import found_in, to_corners
from fastblur.boxes import Boxes
from fastblur.codecs import is_image
from fastblur.options import BoxFormat
from fastblur.pipeline.shards.content import IN_TEXT, unsearched_kind

BOX_FIELDS = ("boxes", "bbox")  # of a struct, as `fastblur.box_formats` looks for them
BYTES, PATH = "bytes", "path"  # the fields of an image as Hugging Face's datasets write it

# What binary columns of images are called; "jpg" and the like by img2dataset and webdataset.
NAMES = {
    "image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp",
    "bytes", "image_bytes", "img_bytes", "image_data", "img_data",
}  # fmt: skip
MIN_PIXELS = 64  # numbers in a list of bytes from which on they may be an image


def is_list(type: Any) -> bool:
    """Return whether a type is one of lists."""
    tests = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, test)(type) for test in tests)


def is_binary(type: Any) -> bool:
    """Return whether a type is one of bytes."""
    tests = ("is_binary", "is_large_binary", "is_binary_view", "is_fixed_size_binary")
    return any(getattr(pa.types, test)(type) for test in tests)


def is_text(type: Any) -> bool:
    """Return whether a type is one of text."""
    return bool(pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type))


def is_image_struct(type: Any) -> bool:
    """Return whether a type is a struct with a field of bytes."""
    return bool(pa.types.is_struct(type)) and type.get_field_index(BYTES) >= 0 and is_binary(type.field(BYTES).type)


def is_plain_image(type: Any) -> bool:
    """Return whether each row of a type has one image, whose place needs no more than the row's number."""
    return not is_list(_stored(type))


def is_image_type(type: Any) -> bool:
    """Return whether a column of a type can hold images that are searched."""
    core = _core(type)
    return is_binary(core) or is_image_struct(core)


def image_columns(
    schema: Any, given: tuple[str, ...], peek: Callable[[list[str]], Iterable[tuple[str, Any]]]
) -> list[str]:
    """Return the names of the image columns, in the table's order: those given, or all that look like one.

    That is, by its name, its type, or the first rows of what it holds.

    Args:
        schema: of the table.
        given: the names that the user gave.
        peek: gives the first rows of columns, as (name, array).

    Raises ValueError where there is none, or no such column.
    """
    has = f"the table has the columns {', '.join(f'{field.name!r} ({shortened(str(field.type))})' for field in schema)}"
    for name in given:
        if name not in schema.names:
            raise ValueError(f"no column is called {name!r}, {has}, expected one of them for --image-column")
        type = schema.field(name).type
        if not is_image_type(type):
            raise ValueError(
                f"the image column {name!r} is of the type {shortened(str(type))}, "
                "expected binary or struct<bytes, path>, or lists of these"
            )
    if given:
        return [name for name in schema.names if name in given]
    found = {field.name for field in schema if _looks_like_images(field)}
    unknown = [field.name for field in schema if field.name not in found and is_image_type(field.type)]
    for name, array in peek(unknown) if unknown else ():
        if any(is_image(data) for data in leaves(array)):
            found.add(name)
    if not found:
        raise ValueError(f"no column looks like images, {has}, expected the name of one of them with --image-column")
    return [name for name in schema.names if name in found]


def has_fields(type: Any) -> bool:
    """Return whether a type of boxes is a struct, or a list of structs."""
    return bool(pa.types.is_struct(type) or (is_list(type) and pa.types.is_struct(type.value_type)))


def check_box_column(schema: Any, name: str) -> None:
    """Raise ValueError where no column of this name has lists of boxes, or structs with them as "bbox" or "boxes"."""
    if name not in schema.names:
        raise ValueError(f"no column is called {name!r}, expected one of {', '.join(schema.names)} for the boxes")
    type = schema.field(name).type
    inner, depth = type, 2
    if has_fields(type):
        struct, depth = (type, 2) if pa.types.is_struct(type) else (type.value_type, 1)
        inner = next((struct.field(key).type for key in BOX_FIELDS if struct.get_field_index(key) >= 0), struct)
    for _ in range(depth):
        if is_list(inner):
            inner = inner.value_type
        elif not pa.types.is_null(inner):  # what pyarrow makes of lists that are all empty
            inner = None
            break
    is_number = inner is not None and (pa.types.is_floating(inner) or pa.types.is_integer(inner))
    if not (is_number or (inner is not None and pa.types.is_null(inner))):
        raise ValueError(
            f"the boxes column {name!r} is of the type {shortened(str(type))}, expected list<list<double>> with four "
            "numbers a box, or structs with those as 'bbox' or 'boxes', which box_format explains"
        )


def row_boxes(
    boxes: Any,  # n rows of 4 numbers, or a dict of them, or a list of n dicts; or None
    format: BoxFormat | None,
) -> tuple[Boxes, bool]:  # (n, 4) float32 xyxy
    """Return a row's boxes as corners, and whether they are relative to the image's sides; raises ValueError.

    Args:
        boxes: as the table has them.
        format: of the numbers; None for what a dict says of its own, or else "xyxy".
    """
    own: Any = None
    if isinstance(boxes, dict) or (boxes and isinstance(boxes[0], dict)):
        found = found_in(boxes, 0, format)
        boxes, own = found.rows, found.format
    if boxes is None:
        raise ValueError("the row has no boxes")
    if format is not None and own not in (None, format):
        raise ValueError(f"the row has boxes in the format {own!r}, and box_format is {format!r}")
    chosen: BoxFormat = format or own or "xyxy"
    # Half floats come as a type of NumPy's.
    rows = [box and [None if value is None else float(value) for value in box] for box in boxes]
    return to_corners(checked_rows(rows, "the row"), chosen), chosen.endswith("n")


def leaves(array: Any) -> Iterator[bytes]:
    """Yield the bytes in an array of an image type, those of lists and structs too."""
    type = array.type
    if isinstance(type, pa.ExtensionType):
        yield from leaves(array.storage)
    elif pa.types.is_dictionary(type):
        yield from leaves(array.dictionary_decode())
    elif is_list(type):
        yield from leaves(array.flatten())
    elif is_image_struct(type):
        yield from leaves(array.field(type.get_field_index(BYTES)))
    elif is_binary(type):
        yield from (data for data in array.to_pylist() if data)


def unsearched_rows(array: Any) -> dict[int, str]:
    """Return the rows of a column that is not searched in which there may be images, each with what there is."""
    type = _stored(array.type)
    if isinstance(array.type, pa.ExtensionType):
        array = array.storage
    if not _may_hold_images(type):
        return {}
    if is_text(type):
        matches = pc.match_substring_regex(array.cast(pa.large_binary()), IN_TEXT)  # nobody checked that it is UTF-8
        return {row: "text with an image in it" for row, found in enumerate(matches.to_pylist()) if found}
    if _kind(array) is None:  # of all rows together, which is quick
        return {}
    kinds = {row: _kind(array[row : row + 1]) for row in range(len(array))}
    return {row: kind for row, kind in kinds.items() if kind is not None}


def _kind(array: Any) -> str | None:
    """Return what there may be in an array, None where there is no image."""
    type = array.type
    if isinstance(type, pa.ExtensionType):
        return _kind(array.storage)
    if pa.types.is_dictionary(type):
        return _kind(array.dictionary_decode())
    if is_binary(type):
        kinds = (unsearched_kind(data) for data in array.to_pylist() if data)
        return next((kind for kind in kinds if kind is not None), None)
    if is_text(type):
        return next(iter(unsearched_rows(array).values()), None)
    if pa.types.is_struct(type):
        parts = (_kind(part) for part in array.flatten() if _may_hold_images(part.type))
        return next((kind for kind in parts if kind is not None), None)
    if pa.types.is_map(type):
        first, last = array.offsets[0].as_py(), array.offsets[len(array)].as_py()
        return _kind(array.items[first:last]) if _may_hold_images(type.item_type) else None
    if is_list(type):
        values = array.flatten()
        if _may_be_pixels(type):
            while is_list(values.type):
                values = values.flatten()
            return "a list of numbers that may be pixels" if len(values) >= MIN_PIXELS else None
        return _kind(values) if len(values) and _may_hold_images(values.type) else None
    return None


def _may_hold_images(type: Any) -> bool:
    type = _stored(type)
    if pa.types.is_dictionary(type):
        return _may_hold_images(type.value_type)
    if is_list(type):
        return _may_be_pixels(type) or _may_hold_images(type.value_type)
    if pa.types.is_map(type):
        return _may_hold_images(type.item_type)
    if pa.types.is_struct(type):
        return any(_may_hold_images(field.type) for field in type)
    return is_binary(type) or is_text(type)


def _may_be_pixels(type: Any) -> bool:
    """Return whether lists may be pictures: of bytes, or of whole numbers in rows, columns and channels."""
    depth = 0
    while is_list(type):
        type, depth = type.value_type, depth + 1
    return bool(pa.types.is_uint8(type)) or (depth >= 3 and bool(pa.types.is_integer(type)))


def _looks_like_images(field: Any) -> bool:
    core = _core(field.type)
    if is_image_struct(core):
        return len(core) == 2 and core.get_field_index(PATH) >= 0
    name = field.name.lower()
    return is_binary(core) and (name in NAMES or name.removesuffix("s") in NAMES)


def _stored(type: Any) -> Any:
    return _stored(type.storage_type) if isinstance(type, pa.ExtensionType) else type


def _core(type: Any) -> Any:
    """Return the type of what is in lists, dictionaries and extension types."""
    type = _stored(type)
    if is_list(type) or pa.types.is_dictionary(type):
        return _core(type.value_type)
    return type

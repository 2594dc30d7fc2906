"""Columns of a table: which one has the images, which one the boxes, and what rows say."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from fastblur.annotations.rows import checked_rows, shortened
from fastblur.boxes import Boxes
from fastblur.pipeline.shards.interfaces import Item

BYTES, PATH = "bytes", "path"  # the fields of an image as Hugging Face's datasets write it

# What binary columns of images are called; "jpg" and the like by img2dataset and webdataset.
NAMES = {
    "image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp",
    "bytes", "image_bytes", "img_bytes", "image_data", "img_data",
}  # fmt: skip


def is_struct(type: Any) -> bool:
    """Return whether a type is a struct."""
    return bool(pa.types.is_struct(type))


def image_column(schema: Any, given: str | None) -> str:
    """Return the name of the image column: the one given, or the only one that looks like one.

    Raises ValueError where there is none, or none such, or more than one.
    """
    has = f"the table has the columns {', '.join(f'{field.name!r} ({shortened(str(field.type))})' for field in schema)}"
    if given is not None:
        if given not in schema.names:
            raise ValueError(f"no column is called {given!r}, {has}, expected one of them for --image-column")
        type = schema.field(given).type
        if not _is_binary(type) and not _is_image_struct(type):
            raise ValueError(
                f"the image column {given!r} is of the type {shortened(str(type))}, "
                "expected binary or struct<bytes, path>"
            )
        return given
    found = [
        field.name
        for field in schema
        if (_is_binary(field.type) and field.name.lower() in NAMES)
        or (_is_image_struct(field.type) and len(field.type) == 2 and field.type.get_field_index(PATH) >= 0)
    ]
    if len(found) != 1:
        say = (
            "no column looks like images"
            if not found
            else f"{len(found)} columns look like images ({', '.join(found)})"
        )
        raise ValueError(f"{say}, {has}, expected the name of one of them with --image-column")
    return str(found[0])


def check_box_column(schema: Any, name: str) -> None:
    """Raise ValueError where no column of this name has lists of boxes."""
    if name not in schema.names:
        raise ValueError(f"no column is called {name!r}, expected one of {', '.join(schema.names)} for the boxes")
    type = schema.field(name).type
    inner = type
    for _ in range(2):
        if _is_list(inner):
            inner = inner.value_type
        elif not pa.types.is_null(inner):  # what pyarrow makes of lists that are all empty
            inner = None
            break
    if inner is None or not (pa.types.is_floating(inner) or pa.types.is_null(inner)):
        raise ValueError(
            f"the boxes column {name!r} is of the type {shortened(str(type))}, expected list<list<double>> with "
            "[x_min, y_min, x_max, y_max] relative to the image's sides"
        )


def items(prefix: str, first: int, images: Any, boxes: Any) -> Iterator[Item]:
    """Yield the images of rows that follow each other.

    Args:
        prefix: of the items' names.
        first: the number of the first row.
        images: array of the image column.
        boxes: array of the boxes of the same rows, or None.
    """
    data, paths = images, None
    if is_struct(images.type):
        parts = dict(zip((field.name for field in images.type), images.flatten(), strict=True))
        data, path = parts[BYTES], parts.get(PATH)
        if path is not None and _is_text(path.type):
            paths = path.cast(pa.large_binary())  # nobody has checked that it is UTF-8
    for place in range(len(images)):
        name = f"{prefix}/{first + place}"
        path = None if paths is None else paths[place].as_py()
        key = path.decode("utf-8", "surrogateescape") if path else name
        if not images[place].is_valid:
            yield Item(name, problem="the row has no image", key=key)
            continue
        if not data[place].is_valid:
            yield Item(name, problem="the row has no image bytes", key=key)
            continue
        found: Boxes | None = None
        if boxes is not None:
            try:
                found = _checked_boxes(boxes[place].as_py())
            except ValueError as error:
                yield Item(name, problem=str(error), key=key)
                continue
        yield Item(name, data=data[place].as_py(), key=key, boxes=found, relative=boxes is not None)


def _checked_boxes(boxes: list[list[float | None] | None] | None) -> Boxes:  # n rows of 4
    """Return a row's boxes, (n, 4) float32; raises ValueError."""
    if boxes is None:
        raise ValueError("the row has no boxes")
    # Half floats come as a type of NumPy's.
    rows = [box and [None if value is None else float(value) for value in box] for box in boxes]
    return checked_rows(rows, "the row")


def _is_binary(type: Any) -> bool:
    return bool(pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_binary_view(type))


def _is_text(type: Any) -> bool:
    return bool(pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type))


def _is_list(type: Any) -> bool:
    tests = ("is_list", "is_large_list", "is_fixed_size_list", "is_list_view", "is_large_list_view")
    return any(getattr(pa.types, test)(type) for test in tests)


def _is_image_struct(type: Any) -> bool:
    return is_struct(type) and type.get_field_index(BYTES) >= 0 and _is_binary(type.field(BYTES).type)

"""Rows of box coordinates as files and tables hold them: checked, and made into arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastblur.boxes import MAX_COORDINATE, Boxes, Size
from fastblur.errors import UsageError

NO_BOXES: Boxes = np.zeros((0, 4), np.float32)
NO_BOXES.setflags(write=False)  # one empty array stands for every image without a face


def is_coordinate(value: Any) -> bool:
    """Return whether a value is a number that can be a coordinate, up to `MAX_COORDINATE`, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value) <= MAX_COORDINATE  # NaN fails too


def is_row(row: Any) -> bool:
    """Return whether a value is a list of four coordinates."""
    return isinstance(row, list) and len(row) == 4 and all(map(is_coordinate, row))


def checked_rows(
    rows: Any,  # list of n rows of 4 numbers
    where: str,
) -> Boxes:
    """Return rows of four coordinates as an array, (n, 4) float32; n may be 0.

    Args:
        rows: what stands in a file or table.
        where: which place of it that is, as the messages begin.

    Raises ValueError where that is no list, or a row is not four finite numbers.
    """
    if not isinstance(rows, list):
        raise UsageError(f"{where} has the boxes {brief(rows)}, expected a list")
    for row in rows:
        if not is_row(row):
            raise UsageError(f"{where} has the box {brief(row)}, expected four finite numbers")
    return as_boxes(rows)


def as_boxes(rows: Sequence[Sequence[float]]) -> Boxes:  # n rows of 4
    """Return rows that have been checked as an array, (n, 4) float32."""
    return np.array(rows, np.float32) if rows else NO_BOXES


def checked_key(key: Any, where: str) -> str:
    """Return what a file calls an image; raises UsageError for what is no relative path within a folder."""
    if not isinstance(key, str) or not key:
        raise UsageError(f"{where} has the path {brief(key)}, expected a relative path")
    if key.startswith(("/", "\\")) or key[1:2] == ":" or ".." in key.replace("\\", "/").split("/"):
        raise UsageError(f'{where} has the path {brief(key)}, expected a relative path without ".."')
    return key


def checked_size(entry: dict[str, Any], where: str) -> Size | None:
    """Return the width and height that an entry states, None where it does not, or says 0 x 0; raises UsageError."""
    width, height = entry.get("width"), entry.get("height")
    if width is None or height is None or (width == 0 and height == 0):
        return None
    sides = [int(side) if isinstance(side, float) and side.is_integer() else side for side in (width, height)]
    for side in sides:
        if not isinstance(side, int) or isinstance(side, bool) or not 0 < side < 2**31:
            raise UsageError(f"{where} has the width {brief(width)} and height {brief(height)}, expected pixels")
    return sides[0], sides[1]


def brief(value: Any) -> str:
    """Return a value as messages show it, at most 80 characters."""
    return shortened(repr(value))


def shortened(text: str, most: int = 80) -> str:
    """Return a text of at most `most` characters, cut where it is longer."""
    return text if len(text) <= most else text[: most - 3] + "..."

"""Rows of coordinates: which are taken, and what is said of the others."""

import math
from typing import Any

import numpy as np
import pytest

from fastblur.annotations.rows import NO_BOXES, as_boxes, brief, checked_rows, is_coordinate, is_row, shortened


@pytest.mark.parametrize("value", [0, 1, -3, 0.5, 1 << 24, -1.6e7])
def test_numbers_are_coordinates(value: Any) -> None:
    assert is_coordinate(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 16_777_217, -(10**400), True, None, "1", [1]])
def test_what_is_no_coordinate(value: Any) -> None:
    assert not is_coordinate(value)


@pytest.mark.parametrize("row", [None, 4, "1234", (1, 2, 3, 4), [], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, None]])
def test_what_is_no_row(row: Any) -> None:
    assert not is_row(row)
    with pytest.raises(ValueError, match=r"^line 3 has the box .*, expected four finite numbers$"):
        checked_rows([[1, 2, 3, 4], row], "line 3")


def test_rows_become_an_array() -> None:
    boxes = checked_rows([[1, 2, 3, 4.5], [-1, 0, 1e7, 2]], "x")
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [[1, 2, 3, 4.5], [-1, 0, 1e7, 2]]
    assert checked_rows([], "x") is NO_BOXES
    assert as_boxes([]).shape == (0, 4)
    assert not NO_BOXES.flags.writeable


@pytest.mark.parametrize("rows", [None, {}, "", 0])
def test_what_is_no_list(rows: Any) -> None:
    with pytest.raises(ValueError, match=r"^x has the boxes .*, expected a list$"):
        checked_rows(rows, "x")


def test_long_values_are_cut() -> None:
    assert brief("a") == "'a'"
    assert (len(brief("a" * 100)), brief("a" * 100)[-3:]) == (80, "...")
    assert (shortened("a" * 80), shortened("abcdef", 5)) == ("a" * 80, "ab...")

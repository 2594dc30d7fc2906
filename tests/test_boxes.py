"""The one check of boxes' coordinates."""

import numpy as np
import pytest

from fastblur.boxes import MAX_COORDINATE, check_boxes, within_limit

NAN, INF = float("nan"), float("inf")


def test_rows_within_the_limit():
    rows = np.array([[0, -1, 2, 3], [0, 0, NAN, 1], [-INF, 0, 0, 0], [0, 0, 0, MAX_COORDINATE], [0, 0, 0, 5e7]])
    assert within_limit(rows).tolist() == [True, False, False, True, False]
    assert within_limit(rows, 2).tolist() == [False, False, False, False, False]
    assert within_limit(rows[:0]).tolist() == []
    assert within_limit(rows[None, None]).shape == (1, 1, 5)


@pytest.mark.parametrize("bad", [NAN, INF, -INF, 2.0**24 + 2])
def test_the_first_wrong_box_is_named_and_padding_is_not_looked_at(bad):
    boxes = np.zeros((3, 2, 4), np.float32)
    check_boxes(boxes, np.array([2, 2, 2]))
    boxes[1, 1, 2] = bad
    check_boxes(boxes, np.array([2, 1, 2]))
    with pytest.raises(ValueError, match=r"image 1 has a region \[0.0, 0.0, .*, 0.0\], expected finite coordinates"):
        check_boxes(boxes, np.array([2, 2, 2]))

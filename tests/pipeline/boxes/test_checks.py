"""Boxes against the image that they are given for."""

import numpy as np
import pytest

from fastblur.pipeline.boxes.checks import hiding_boxes, relative_boxes


class TestHidingBoxes:
    """Which boxes hide something in an image of 100 x 50 pixels."""

    def test_those_with_an_area(self) -> None:
        boxes = np.array([[1, 1, 5, 5], [3, 3, 3, 9], [-5, -5, 1, 2], [99, 49, 500, 500]], np.float32)
        assert hiding_boxes(boxes, 50, 100).tolist() == boxes[[0, 2, 3]].tolist()

    @pytest.mark.parametrize("box", [(9, 9, 4, 12), (9, 9, 12, 4), (0.1, 0.2, 0.9, 1.1), (-0.1, 0, 1, 1)])
    def test_one_the_wrong_way_round_or_in_parts_of_the_image_is_refused(self, box: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match=r"a box is .*, expected (x0 <= x1|pixels)|as if in parts"):
            hiding_boxes(np.array([[1, 1, 5, 5], box], np.float32), 50, 100)

    def test_none_from_none(self) -> None:
        assert hiding_boxes(np.zeros((0, 4), np.float32), 50, 100).shape == (0, 4)

    @pytest.mark.parametrize("box", [(100, 0, 110, 9), (0, 50, 9, 60), (-9, 0, 0, 9), (0, -9, 9, 0)])
    def test_one_wholly_outside_is_refused_even_beside_a_good_one(self, box: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="outside the image of 100 x 50 pixels"):
            hiding_boxes(np.array([[1, 1, 5, 5], box], np.float32), 50, 100)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("place", [0, 1, 2, 3])
    def test_one_that_is_no_number_is_refused_even_beside_a_good_one(self, place: int, value: float) -> None:
        boxes = np.array([[1, 1, 5, 5], [2, 2, 6, 6]], np.float32)
        boxes[1, place] = value
        with pytest.raises(ValueError, match="expected four finite numbers"):
            hiding_boxes(boxes, 50, 100)

    def test_none_with_an_area_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no box has an area"):
            hiding_boxes(np.array([[3, 3, 3, 9], [7, 5, 7, 5]], np.float32), 50, 100)


def test_relative_boxes() -> None:
    boxes = np.array([[0, 0.25, 1, 0.5], [-0.1, 0, 1.2, 1]], np.float32)
    np.testing.assert_allclose(relative_boxes(boxes, 40, 80), [[0, 10, 80, 20], [-8, 0, 96, 40]], rtol=1e-6)
    assert relative_boxes(np.zeros((0, 4), np.float32), 40, 80).shape == (0, 4)
    for bad in ([0, 0, 50, 40], [float("nan"), 0, 1, 1], [0, 0, float("inf"), 1], [-3, 0, 1, 1]):
        with pytest.raises(ValueError, match="expected parts of the image"):
            relative_boxes(np.array([[0, 0, 1, 1], bad], np.float32), 40, 80)

"""Pictures for the page: as large as their bytes allow, with crops of what is small in them."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastblur.audit.pictures import CONTEXT, JUDGEABLE, LEAST, pictures

FACE = [1500.0, 700.0, 1540.0, 760.0]


@pytest.fixture(scope="module")
def photograph() -> Any:
    """A detailed picture of 2400 x 1600 px with a white square at FACE."""
    noise = np.random.default_rng(0).integers(0, 255, (100, 150, 3), np.uint8)
    pixels = np.array(Image.fromarray(noise).resize((2400, 1600), Image.Resampling.BICUBIC))
    pixels[700:760, 1500:1540] = 255
    return pixels


def opened(data: bytes) -> "np.ndarray[Any, Any]":
    return np.asarray(Image.open(io.BytesIO(data)))


def test_with_enough_bytes_the_picture_is_whole_and_needs_no_crop(photograph: Any) -> None:
    made = pictures(photograph, [FACE], 10_000_000)
    assert (made.width, made.height) == (2400, 1600)
    assert opened(made.picture).shape == photograph.shape
    assert made.crops == [None]


@pytest.mark.parametrize("most", [40_000, 100_000, 300_000])
def test_the_files_of_an_image_keep_to_their_bytes(photograph: Any, most: int) -> None:
    made = pictures(photograph, [FACE, [10, 10, 60, 60], [0, 0, 2400, 1600]], most)
    assert len(made.picture) + sum(len(crop[0]) for crop in made.crops if crop) <= most
    assert LEAST <= made.width < 2400
    assert made.width / made.height == pytest.approx(1.5, abs=0.01)
    assert made.crops[2] is None, "it is large in the picture"


def test_a_crop_shows_the_box_in_full_size(photograph: Any) -> None:
    crop = pictures(photograph, [FACE], 60_000).crops[0]
    assert crop is not None
    data, (x0, y0, x1, y1) = crop
    assert x1 - x0 == y1 - y0 == CONTEXT * 60
    pixels = opened(data)
    assert pixels.shape == (y1 - y0, x1 - x0, 3)
    assert pixels[705 - y0 : 755 - y0, 1505 - x0 : 1535 - x0].min() > 225
    assert np.abs(pixels.astype(int) - photograph[y0:y1, x0:x1]).mean() < 12


def test_a_large_crop_still_has_enough_pixels_for_its_box(photograph: Any) -> None:
    box = [200, 200, 600, 500]
    crop = pictures(photograph, [box], 150_000).crops[0]
    assert crop is not None
    data, part = crop
    assert 400 * opened(data).shape[1] / (part[2] - part[0]) >= JUDGEABLE


def test_boxes_that_matter_most_get_the_bytes(photograph: Any) -> None:
    rows = [[x, 400, x + 120, 520] for x in range(0, 2200, 100)]
    made = pictures(photograph, rows, 60_000)
    has = [crop is not None for crop in made.crops]
    assert has[0]
    assert not all(has)


def test_corners_and_boxes_without_size_stay_within_the_image(photograph: Any) -> None:
    made = pictures(photograph, [[-5, -5, 4, 4], [2399, 1599, 2400, 1600]], 60_000)
    for crop in made.crops:
        assert crop is not None
        x0, y0, x1, y1 = crop[1]
        assert 0 <= x0 < x1 <= 2400
        assert 0 <= y0 < y1 <= 1600

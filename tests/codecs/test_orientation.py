"""Stored and upright orientation, against PIL.ImageOps.exif_transpose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fastblur.codecs import Picture, decode, stored_boxes, upright_rgb
from tests.codecs.files import array, exif, image, opened, saved

ORIENTATIONS = range(1, 9)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_upright_is_what_pillow_turns_upright(form: str, order: str, orientation: int) -> None:
    data = saved(image(), form, exif=b"Exif\0\0" + exif(orientation, order=order))
    picture = decode(data)
    assert picture.orientation == orientation
    assert np.array_equal(picture.pixels, array(data))
    upright = upright_rgb(picture)
    assert np.array_equal(upright, np.asarray(ImageOps.exif_transpose(opened(data))))
    assert upright.flags.c_contiguous
    assert upright.dtype == np.uint8


@pytest.mark.parametrize("color", ["L", "LA", "RGB", "RGBA", "CMYK"])
def test_every_colour_becomes_rgb(color: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, len(color)), np.uint8)
    plain = pixels[..., 0] if color == "L" else pixels
    expected = np.asarray(Image.fromarray(plain, color).convert("RGB").transpose(Image.Transpose.ROTATE_270))
    upright = upright_rgb(Picture(pixels, "TIFF", color, 6, b""))
    assert np.array_equal(upright, expected)
    assert upright.flags.c_contiguous


def test_upright_rgb_of_an_upright_picture_is_no_copy() -> None:
    picture = decode(saved(image(), "JPEG"))
    assert np.shares_memory(upright_rgb(picture), picture.pixels)


@given(
    st.integers(1, 8),
    st.integers(1, 40),
    st.integers(1, 40),
    st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_a_marked_box_is_found_again(orientation: int, height: int, width: int, corners: list) -> None:
    """Mark whole-pixel boxes in the stored image, turn it with Pillow, and lead the boxes found there back."""
    found, marked = [], []
    for a, b, c, d in corners:
        x0, x1 = sorted((int(a * (width - 1)), int(c * (width - 1))))
        y0, y1 = sorted((int(b * (height - 1)), int(d * (height - 1))))
        stored = np.zeros((height, width), np.uint8)
        stored[y0 : y1 + 1, x0 : x1 + 1] = 255
        turned = Image.fromarray(stored)
        turned.getexif()[0x112] = orientation
        rows, columns = np.nonzero(np.asarray(ImageOps.exif_transpose(turned)))
        found.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        marked.append((x0, y0, x1 + 1, y1 + 1))
    picture = Picture(np.zeros((height, width, 1), np.uint8), "JPEG", "L", orientation, b"")
    boxes = stored_boxes(np.array(found, np.float32), picture)
    assert boxes.dtype == np.float32
    assert boxes.tolist() == [list(map(float, m)) for m in marked]


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_no_boxes_and_bad_boxes(orientation: int) -> None:
    picture = Picture(np.zeros((3, 5, 1), np.uint8), "JPEG", "L", orientation, b"")
    assert stored_boxes(np.zeros((0, 4), np.float32), picture).shape == (0, 4)
    with pytest.raises(ValueError, match=r"boxes have shape \(4,\), expected \(n, 4\)"):
        stored_boxes(np.zeros(4, np.float32), picture)


def test_stored_boxes_keeps_fractions_and_leaves_its_input_alone() -> None:
    picture = Picture(np.zeros((10, 20, 1), np.uint8), "JPEG", "L", 3, b"")
    boxes = np.array([[1.25, 2.5, 3.75, 4.0]], np.float32)
    before = boxes.copy()
    assert stored_boxes(boxes, picture).tolist() == [[16.25, 6.0, 18.75, 7.5]]
    assert np.array_equal(boxes, before)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"II*\0",
        b"garbage that is no TIFF at all",
        b"II*\0\xff\xff\xff\x7f",
        exif(6)[:40],
        exif(0),
        exif(9),
        exif(None),
    ],
)
def test_broken_or_absent_orientation_is_1(broken: bytes) -> None:
    data = saved(image(), "JPEG")
    if broken:
        from tests.codecs.files import segment, with_segments

        data = with_segments(data, segment(0xE1, b"Exif\0\0" + broken))
    assert decode(data).orientation == 1

"""JPEG files that lack only their end marker, and arithmetic-coded ones."""

from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from fastblur.codecs import CodecError, check, decode, decode_reduced, encode, size_of
from tests.codecs.files import array, image, opened, saved


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_without_its_end_marker_a_jpeg_is_whole(mode: str, progressive: bool) -> None:
    data = saved(image(mode), "JPEG", progressive=progressive)
    assert data.endswith(b"\xff\xd9")
    picture = decode(data[:-2])
    assert np.array_equal(picture.pixels, decode(data).pixels)
    assert decode(encode(picture, picture.pixels)).pixels.shape == picture.pixels.shape
    check(data[:-2])
    assert size_of(data[:-2]) == (83, 61)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("cut", [4, 10, 100])
def test_where_pixels_are_missing_too_it_is_not(mode: str, progressive: bool, cut: int) -> None:
    data = saved(image(mode), "JPEG", progressive=progressive)
    with pytest.raises(CodecError):
        decode(data[:-cut])


def test_a_progressive_jpeg_that_ends_between_two_scans_is_not_whole() -> None:
    data = saved(image(), "JPEG", progressive=True)
    starts = [i for i in range(len(data) - 1) if data[i : i + 2] == b"\xff\xc4"]
    assert len(starts) > 5
    for start in starts[-4:]:
        with pytest.raises(CodecError):
            decode(data[:start])


def arithmetic(shared: Path) -> bytes:
    return (shared / "cases" / "arith" / "arith.jpg").read_bytes()


def test_arithmetic_coding_is_decoded_and_becomes_huffman_coding(shared: Path) -> None:
    data = arithmetic(shared)
    picture = decode(data)
    assert np.array_equal(picture.pixels, simplejpeg.decode_jpeg(data))
    assert picture.pixels.std() > 20
    picture.pixels[16:32, 24:40] = 90
    out = encode(picture, picture.pixels)
    assert np.abs(array(out)[60:].astype(int) - picture.pixels[60:]).mean() < 3
    assert opened(out).size == size_of(data)
    reduced = decode_reduced(data, 100)
    assert reduced is not None
    assert max(reduced.pixels.shape[:2]) < max(picture.pixels.shape[:2])


@pytest.mark.parametrize("part", [0.3, 0.7, 0.98])
def test_a_cut_arithmetic_coded_jpeg_fails(shared: Path, part: float) -> None:
    data = arithmetic(shared)
    with pytest.raises(CodecError, match="arithmetic-coded JPEG in RGB cannot be decoded"):
        decode(data[: int(len(data) * part)])

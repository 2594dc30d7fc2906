"""Sizes from headers: for every sampling, and above Pillow's own limit."""

import itertools
import warnings
from pathlib import Path

import pytest
from PIL import Image

from fastblur.codecs import CodecError, check, decode, encode, size_of
from tests.codecs.files import heic, image, opened, saved

FACTORS = [(h, v) for h in (1, 2, 3, 4) for v in (1, 2, 3, 4)]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (301, 5)])
def test_sizes(form: str, size: tuple[int, int]) -> None:
    assert size_of(saved(image(height=size[1], width=size[0]), form)) == size


def test_size_of_heic_and_of_lossless_and_extended_webp() -> None:
    assert size_of(heic(image())) == (83, 61)
    assert size_of(saved(image(), "WEBP", lossless=True)) == (83, 61)
    assert size_of(saved(image("RGBA"), "WEBP", xmp=b"<x/>")) == (83, 61)


@pytest.mark.parametrize("components", [1, 3, 4])
def test_every_sampling_of_jpeg_has_its_size(components: int) -> None:
    """The frame header says it, whatever the factors: a header is patched, since few encoders write them all."""
    data = saved(image({1: "L", 3: "RGB", 4: "CMYK"}[components]), "JPEG", subsampling=0)
    frame = data.index(b"\xff\xc0")
    for first, second in itertools.product(FACTORS, FACTORS):
        patched = bytearray(data)
        for i, (h, v) in enumerate((first, second, second, first)[:components]):
            patched[frame + 11 + 3 * i] = h << 4 | v
        assert size_of(bytes(patched)) == (83, 61)


def test_cmyk_with_subsampled_chroma(shared: Path) -> None:
    data = (shared / "cases" / "cmyk420" / "cmyk420.jpg").read_bytes()
    picture = decode(data)
    assert size_of(data) == picture.pixels.shape[1::-1] == opened(data).size


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"RIFF\0\0\0\0WEBP", b"BM"]
)
def test_no_size(data: bytes) -> None:
    assert size_of(data) == (0, 0)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF"])
def test_the_limit_is_ours_and_not_pillows(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(image(), form)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert size_of(data) == (83, 61)
        picture = decode(data)
        assert decode(encode(picture, picture.pixels)).pixels.shape == (61, 83, 3)
        check(data)
        with pytest.raises(CodecError, match="83 x 61 pixels, expected at most 5000 pixels"):
            decode(data, max_pixels=5000)

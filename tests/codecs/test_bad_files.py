"""Whatever the bytes, there is a Picture or a CodecError of one sentence, nothing else, and nothing on stderr."""

import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.codecs import SUFFIXES, CodecError, Picture, decode, encode
from tests.codecs.files import deep, deep_png, exif, image, photo, saved, segment, with_segments

SAMPLES = {
    "jpeg": with_segments(saved(image(), "JPEG", quality=90), segment(0xE1, b"Exif\0\0" + exif())),
    "progressive": saved(image(), "JPEG", quality=90, progressive=True),
    "cmyk": saved(image("CMYK"), "JPEG", quality=90),
    "grey": saved(image("L"), "JPEG"),
    "png": saved(image("RGBA"), "PNG", exif=exif()),
    "palette": saved(image().quantize(16), "PNG", transparency=3),
    "webp": saved(image(), "WEBP", quality=70, exif=b"Exif\0\0" + exif(), xmp=b"<x/>"),
    "webp lossless": saved(image("RGBA"), "WEBP", lossless=True),
    "bmp": saved(image(), "BMP"),
    "tiff": saved(image(), "TIFF", tiffinfo={270: "A description", 274: 6}),
    "tiff lzw": saved(image("RGBA"), "TIFF", compression="tiff_lzw"),
    "tiff jpeg": saved(image(), "TIFF", compression="jpeg"),
    "avif": saved(image(), "AVIF", exif=exif()),
    "png 16": deep_png(deep(4)),
    "tiff 16": saved(Image.fromarray(deep(1)[..., 0]), "TIFF", compression="tiff_lzw"),
}


def attempt(data: bytes) -> bool:
    """Decode and encode; tell whether there was a picture. Anything but CodecError gets out and fails the test."""
    try:
        picture = decode(data, max_pixels=10**6)
    except CodecError as error:
        sentence = str(error)
    else:
        sentence = ""
    assert len(sentence) < 400
    assert "\n" not in sentence
    if sentence:
        return False
    assert picture.pixels.dtype in (np.uint8, np.uint16)
    assert picture.pixels.ndim == 3
    assert picture.pixels.shape[2] == len(picture.color)
    assert 1 <= picture.orientation <= 8
    try:
        again = decode(encode(picture, picture.pixels))
    except CodecError:
        return True
    assert again.pixels.shape == picture.pixels.shape
    return True


@pytest.mark.parametrize("name", SAMPLES)
def test_truncation(name: str) -> None:
    data = SAMPLES[name]
    cuts = np.random.default_rng(len(data)).integers(1, len(data) - 1, 60)
    for cut in cuts:
        # The last bytes are an end marker, an empty last chunk or padding; in a HEIF container, as AVIF, pixels.
        assert not attempt(data[:cut]) or cut > len(data) - 24, cut


@pytest.mark.parametrize("name", SAMPLES)
def test_flipped_bytes(name: str) -> None:
    rng = np.random.default_rng(7)
    source = SAMPLES[name]
    for trial in range(80):
        data = bytearray(source)
        end = len(data) if trial % 2 else min(len(data), 400)  # half of the trials in the headers
        for at in rng.integers(0, end, rng.integers(1, 5)):
            data[at] = rng.integers(0, 256)
        attempt(bytes(data))


@pytest.mark.parametrize(
    "start", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 ", b"BM", b"II*\0", b"MM\0*"]
)
def test_noise_behind_a_signature(start: bytes) -> None:
    rng = np.random.default_rng(3)
    for size in (0, 1, 7, 20, 60, 1000):
        assert not attempt(start + rng.integers(0, 256, size, np.uint8).tobytes())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "^the file is empty, expected JPEG, PNG, WebP, BMP, TIFF, AVIF or HEIC$"),
        (b"this is text named .jpg", "^the file begins with b'this is ', expected JPEG"),
        (saved(image(), "GIF"), "^GIF is not supported, expected JPEG"),
        (saved(image(), "JPEG2000"), "^JPEG 2000 is not supported"),
        (b"\0\0\0\x18ftypmif1" + bytes(50), "^HEIF of an unknown codec is not supported"),
        (b"\0\0\0\x18ftypcrx " + bytes(50), "^CR3 is not supported"),
        (b"\0\0\0\x18ftypavif" + bytes(50), "^AVIF cannot be decoded"),
        (b"\xff\x0a" + bytes(50), "^JPEG XL is not supported"),
        (SAMPLES["jpeg"][:100], "^JPEG is cut short in segment 0xE1 at byte 100, expected a whole file$"),
        (SAMPLES["grey"][:-400], r"^JPEG cannot be decoded \(image file is truncated"),
        (SAMPLES["png"][:-400], r"^PNG cannot be decoded \(image file is truncated"),
        (SAMPLES["bmp"][:-400], r"^BMP cannot be decoded \(image file is truncated"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_message(data: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode(data)


def test_not_bytes() -> None:
    with pytest.raises(TypeError, match="data is a str, expected bytes"):
        decode("name.jpg")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SAMPLES)
def test_pixel_limit(name: str) -> None:
    assert decode(SAMPLES[name], max_pixels=61 * 83).pixels.shape[:2] == (61, 83)
    with pytest.raises(CodecError, match=r"the image is (83 x 61|61 x 83) pixels, expected at most 5062 pixels"):
        decode(SAMPLES[name], max_pixels=61 * 83 - 1)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    """The header says 60000 x 60000; decoding it would take 10 GB."""
    jpeg = bytearray(SAMPLES["grey"])
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xea\x60\xea\x60"
    with pytest.raises(CodecError, match="60000 x 60000 pixels, expected at most 268435456"):
        decode(bytes(jpeg))


def test_a_png_by_the_name_of_jpeg_stays_a_png(tmp_path: Path) -> None:
    path = tmp_path / "n02105855_2933.JPEG"
    path.write_bytes(saved(image(), "PNG"))
    picture = decode(path.read_bytes())
    assert picture.format == "PNG"
    assert encode(picture, picture.pixels).startswith(b"\x89PNG")


def test_suffixes() -> None:
    assert set(SUFFIXES) == {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif", ".hif")
    }


def warning_tiff() -> bytes:
    """A TIFF with a resolution of two numbers and a text cut short: Pillow warns of it."""
    data = bytearray(saved(image(), "TIFF", tiffinfo={282: 72.0, 270: "a description of some length"}))
    data[data.index(b"\x1a\x01\x05\0") + 4] = 2
    return bytes(data)


def test_no_warning_leaks(tmp_path: Path) -> None:
    path = tmp_path / "odd.tiff"
    path.write_bytes(warning_tiff())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        from PIL import Image

        Image.open(path).load()
    assert caught  # Pillow alone does warn
    code = "import sys, pathlib; from fastblur.codecs import decode; "
    code += "print(decode(pathlib.Path(sys.argv[1]).read_bytes()).format)"
    for options in ([], ["-W", "error"]):
        done = subprocess.run(
            [sys.executable, *options, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
        assert (done.stdout.strip(), done.stderr) == ("TIFF", "")


def test_many_threads() -> None:
    """The same bytes from many threads at once as from one."""
    files = [*SAMPLES.values()] * 8

    def work(data: bytes) -> bytes:
        picture = decode(data)
        picture.pixels[10:20] //= 2
        return encode(picture, picture.pixels)

    alone = [work(data) for data in SAMPLES.values()]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, files)) == alone * 8


def test_picture_is_frozen_and_its_repr_short() -> None:
    picture = decode(SAMPLES["jpeg"])
    assert isinstance(picture, Picture)
    assert repr(picture) == "Picture(format='JPEG', color='RGB', orientation=6)"
    with pytest.raises(AttributeError):
        picture.format = "PNG"  # type: ignore[misc]
    assert picture.pixels.shape == photo().shape

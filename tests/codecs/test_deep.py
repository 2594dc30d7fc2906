"""16 bits a channel: the very levels come back, and what is not changed stays; Pillow, tifffile and OpenCV witness."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.codecs import CodecError, decode, encode, size_of, upright_views
from fastblur.pipeline.images.methods import make_hide
from tests.codecs.files import deep, deep_png, exif, image, saved

COLORS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
BOX = [np.array([[10, 8, 50, 40]], np.float32)]


def deep_tiff(pixels: np.ndarray, **options: object) -> bytes:
    tifffile = pytest.importorskip("tifffile")
    buffer = io.BytesIO()
    kinds: dict[int, dict[str, object]] = {
        1: {"photometric": "minisblack"},
        2: {"photometric": "minisblack", "extrasamples": ["unassalpha"]},
        3: {"photometric": "rgb"},
        4: {"photometric": "rgb", "extrasamples": ["unassalpha"]},
    }
    channels = pixels.shape[2]
    if "planarconfig" in options:  # given as planes
        laid_out = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    else:
        laid_out = pixels if channels > 1 else pixels[..., 0]
    tifffile.imwrite(buffer, laid_out, metadata=None, **kinds[channels], **options)
    return buffer.getvalue()


def read(data: bytes) -> np.ndarray:
    """(H, W, C) uint16, by a reader of its own."""
    if data.startswith(b"\x89PNG"):
        cv2 = pytest.importorskip("cv2")
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels.ndim == 3:  # OpenCV's order is blue, green, red
            pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
    else:
        try:
            pixels = pytest.importorskip("tifffile").imread(io.BytesIO(data))
        except ValueError:  # LZW, for which it needs another package
            pixels = np.asarray(Image.open(io.BytesIO(data)))
    return pixels.reshape(*pixels.shape[:2], -1)


def assert_round_trip(data: bytes, expected: np.ndarray) -> bytes:
    picture = decode(data)
    assert picture.pixels.dtype == np.uint16
    assert picture.color == COLORS[expected.shape[2]]
    assert np.array_equal(picture.pixels, expected)
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    assert size_of(data) == (expected.shape[1], expected.shape[0])
    picture.pixels[5:20, 7:30] = 12345
    wanted = expected.copy()
    wanted[5:20, 7:30] = 12345
    out = encode(picture, picture.pixels)
    assert np.array_equal(decode(out).pixels, wanted)
    if not (data.startswith(b"\x89PNG") and expected.shape[2] == 2):  # OpenCV has no grey with alpha
        assert np.array_equal(read(out), wanted)
    return out


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png(channels: int, interlaced: bool) -> None:
    pixels = deep(channels)
    assert_round_trip(deep_png(pixels, interlaced=interlaced), pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 2)])
def test_tiny_interlaced_png(size: tuple[int, int]) -> None:
    pixels = deep(3, *size)
    assert np.array_equal(decode(deep_png(pixels, interlaced=True)).pixels, pixels)


def test_png_of_pillow_and_of_opencv() -> None:
    pixels = deep(1)
    assert_round_trip(saved(Image.fromarray(pixels[..., 0]), "PNG"), pixels)
    cv2 = pytest.importorskip("cv2")
    color = deep(3)
    assert_round_trip(cv2.imencode(".png", color[..., ::-1])[1].tobytes(), color)


def test_a_transparent_colour_of_16_bits() -> None:
    pixels = deep(1)
    value = int(pixels[3, 4, 0])
    data = deep_png(pixels)
    with_key = data[:33] + chunk(b"tRNS", struct.pack(">H", value)) + data[33:]
    picture = decode(with_key)
    assert picture.color == "LA"
    assert np.array_equal(picture.pixels[..., 1] == 0, pixels[..., 0] == value)


def chunk(name: bytes, body: bytes) -> bytes:
    import zlib

    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_tiff(channels: int, order: str) -> None:
    pixels = deep(channels)
    out = assert_round_trip(deep_tiff(pixels, byteorder=order), pixels)
    assert out[:2] == (b"II" if order == "<" else b"MM")


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"tile": (32, 48)},
        {"planarconfig": "separate"},
        {"rowsperstrip": 7},
    ],
    ids=["deflate", "predictor", "tiles", "planes", "strips"],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_layouts_of_tiff(options: dict[str, object], order: str) -> None:
    pixels = deep(3)
    assert_round_trip(deep_tiff(pixels, byteorder=order, **options), pixels)


def test_lzw_of_pillow_with_metadata() -> None:
    pixels = deep(1)
    data = saved(Image.fromarray(pixels[..., 0]), "TIFF", compression="tiff_lzw", tiffinfo={270: "a depth map"})
    out = assert_round_trip(data, pixels)
    assert Image.open(io.BytesIO(out)).tag_v2[270] == "a depth map"


def test_orientation_is_kept() -> None:
    data = saved(Image.fromarray(deep(1)[..., 0]), "TIFF", tiffinfo={274: 6})
    picture = decode(data)
    assert picture.orientation == decode(encode(picture, picture.pixels)).orientation == 6
    assert np.array_equal(picture.pixels, deep(1))


def test_exif_is_kept() -> None:
    data = deep_png(deep(3))
    picture = decode(data[:33] + chunk(b"eXIf", exif(8)) + data[33:])
    assert picture.orientation == 8
    assert decode(encode(picture, picture.pixels)).orientation == 8


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(image("L").convert("F"), "TIFF"), "32-bit TIFF is not supported"),
        (deep_png(deep(3))[:-200], "PNG ends after"),
        (deep_png(deep(3)).replace(b"IDAT", b"IDAT\1", 1), "PNG"),
    ],
    ids=["float", "cut", "broken"],
)
def test_what_cannot_be_read_is_said(data: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode(data)


def test_pixels_of_another_depth_are_refused() -> None:
    picture = decode(deep_png(deep(3)))
    with pytest.raises(TypeError, match="expected a uint16 array"):
        encode(picture, (picture.pixels >> 8).astype(np.uint8))


@pytest.mark.parametrize("method", ["blur", "pixelate", "fill"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_hiding_keeps_every_other_level_and_agrees_with_8_bits(method: str, channels: int) -> None:
    hide, _ = make_hide(method, "cpu", **({"color": "200,100,0"} if method == "fill" else {}))
    picture, shallow = decode(deep_png(deep(channels))), decode(saved(image(COLORS[channels]), "PNG"))
    hide([picture, shallow], BOX * 2)
    before = deep(channels)
    assert np.array_equal(picture.pixels[54:], before[54:])
    assert np.array_equal(picture.pixels[:, 65:], before[:, 65:])
    assert not np.array_equal(picture.pixels[10:40, 12:48], before[10:40, 12:48])
    # The shallow picture is the deep one's high byte; its levels are 257 apart, and half of one is lost.
    np.testing.assert_allclose(picture.pixels[10:38, 12:48] / 257, shallow.pixels[10:38, 12:48], atol=3)


def test_dark_photographs_are_seen_stretched() -> None:
    """Of 12 bits in 16, as scanners and depth cameras write them, the 8 highest show nearly nothing."""
    dark = (deep(1) >> 4).astype(np.uint16)
    straight, stretched = upright_views(decode(deep_png(dark)))
    assert straight.max() <= 16
    assert stretched.max() == 255
    assert len(upright_views(decode(deep_png(deep(1))))) == 1


def test_the_sample_of_the_case(shared: Path) -> None:
    import tarfile

    with tarfile.open(shared / "cases" / "tar_depth" / "depth16.tar") as archive:
        members = {m.name: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]
    deep_file = next(data for name, data in members.items() if name.endswith("png"))
    picture = decode(deep_file)
    assert picture.pixels.dtype == np.uint16
    assert np.array_equal(decode(encode(picture, picture.pixels)).pixels, picture.pixels)

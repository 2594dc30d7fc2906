"""PNG, WebP, BMP and TIFF: what is not changed comes back exactly; Pillow is the independent reader."""

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from PIL.PngImagePlugin import PngInfo

from fastblur.codecs import CodecError, Picture, decode, encode
from tests.codecs.files import THUMBNAIL, array, exif, image, opened, photo, saved, shows_thumbnail
from tests.codecs.test_embedded_images import chunk, resource


def palette(alpha: bytes | int | None = None) -> Image.Image:
    picture = image().quantize(16)
    if alpha is not None:
        picture.info["transparency"] = alpha
    return picture


def roundtrip(data: bytes, color: str, expected: np.ndarray) -> bytes:
    """Decode, paint a square, encode; everything else must be as it was. Returns the new file."""
    picture = decode(data)
    assert (picture.color, picture.pixels.shape) == (color, expected.shape)
    assert np.array_equal(picture.pixels, expected)
    assert picture.pixels.flags.c_contiguous
    assert picture.pixels.flags.writeable
    picture.pixels[5:20, 7:30] = 90
    out = encode(picture, picture.pixels)
    wanted = expected.copy()
    wanted[5:20, 7:30] = 90
    assert opened(out).format == opened(data).format == picture.format
    assert np.array_equal(array(out, color), wanted)
    assert np.array_equal(decode(out).pixels, wanted)
    return out


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        *[(form, mode) for form in ("PNG", "TIFF") for mode in ("L", "LA", "RGB", "RGBA")],
        *[("WEBP", "RGB"), ("WEBP", "RGBA"), ("BMP", "L"), ("BMP", "RGB"), ("TIFF", "CMYK")],
    ],
)
def test_plain(form: str, mode: str) -> None:
    options: dict[str, Any] = {"lossless": True, "exact": True} if form == "WEBP" else {}
    data = saved(image(mode), form, **options)
    roundtrip(data, mode, photo(channels=len(mode)))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_one_bit_and_palette(form: str) -> None:
    bits = image("L").convert("1")
    roundtrip(saved(bits, form), "L", np.asarray(bits.convert("L"))[..., None])
    roundtrip(saved(palette(), form), "RGB", np.asarray(palette().convert("RGB")))


@pytest.mark.parametrize("alpha", [3, bytes([0, 40, 255, 90])])
def test_png_palette_with_transparency(alpha: bytes | int) -> None:
    data = saved(palette(), "PNG", transparency=alpha)
    roundtrip(data, "RGBA", np.asarray(opened(data).convert("RGBA")))


def png(kind: int, bits: int, rows: np.ndarray, *chunks: bytes, interlace: int = 0) -> bytes:
    """A PNG from rows of packed bytes."""
    height = rows.shape[0]
    width = rows.shape[1] * 8 // bits // {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlace))
    pixels = zlib.compress(np.concatenate((np.zeros((height, 1), np.uint8), rows), axis=1).tobytes())
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [None, 1, 0])
def test_png_grey_of_few_bits(bits: int, transparent: int | None) -> None:
    values = np.random.default_rng(bits).integers(0, 2**bits, (40, 48), np.uint8)
    per_byte = 8 // bits
    weights = 2 ** (bits * np.arange(per_byte)[::-1])
    rows = (values.reshape(40, -1, per_byte) * weights).sum(2).astype(np.uint8)
    grey = (values.astype(int) * 255 // (2**bits - 1)).astype(np.uint8)[..., None]
    if transparent is None:
        roundtrip(png(0, bits, rows), "L", grey)
    else:
        alpha = np.where(values == transparent, 0, 255).astype(np.uint8)[..., None]
        data = png(0, bits, rows, chunk(b"tRNS", struct.pack(">H", transparent)))
        roundtrip(data, "LA", np.concatenate((grey, alpha), axis=2))


def test_png_rgb_with_a_transparent_colour() -> None:
    pixels = photo(40, 48)
    pixels[10:20, 10:20] = (1, 2, 3)
    data = png(2, 8, pixels.reshape(40, -1), chunk(b"tRNS", struct.pack(">3H", 1, 2, 3)))
    alpha = np.where((pixels == (1, 2, 3)).all(2), 0, 255).astype(np.uint8)[..., None]
    roundtrip(data, "RGBA", np.concatenate((pixels, alpha), axis=2))


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    at = 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        assert data[at + 8 + size : at + 12 + size] == struct.pack(">I", zlib.crc32(data[at + 4 : at + 8 + size]))
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def test_png_chunks() -> None:
    kept = [
        (b"gAMA", struct.pack(">I", 45455)),
        (b"cHRM", struct.pack(">8I", *range(31270, 31278))),
        (b"sRGB", b"\0"),
        (b"pHYs", struct.pack(">IIB", 2835, 2834, 1)),
        (b"tEXt", b"Title\0a title"),
        (b"zTXt", b"Description\0\0" + zlib.compress(b"a long description " * 20)),
        (b"iTXt", b"Author\0\1\0de\0Autor\0" + zlib.compress("Jürgen".encode())),
        (b"tIME", b"\x07\xe5\1\2\3\4\5"),
    ]
    dropped = [
        (b"prVt", b"private " + THUMBNAIL),
        (b"tEXt", b"Thumb\0" + THUMBNAIL.replace(b"\0", b"\1")),
        (b"zTXt", b"Thumb\0\0" + zlib.compress(THUMBNAIL)),
        (b"iTXt", b"Thumb\0\1\0\0\0" + zlib.compress(THUMBNAIL)),
        (b"zTXt", b"broken\0\0" + zlib.compress(b"text " * 100)[:-8]),
        (b"zTXt", b"Raw profile type 8bim\0\0" + zlib.compress(b"\n8bim\n  4\nffd8ffe0\n")),
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile("exif", b"Exif\0\0" + exif(6)))),
    ]
    rows = photo(40, 48).reshape(40, -1)
    data = png(2, 8, rows, *[chunk(*c) for c in kept + dropped])
    assert decode(data).orientation == 6  # of ImageMagick's text
    out = roundtrip(data, "RGB", photo(40, 48))
    written = chunks_of(out)
    assert [c for c in written if c[0] not in (b"IHDR", b"IDAT", b"IEND", b"eXIf")] == kept
    assert not shows_thumbnail(out)
    assert decode(out).orientation == 6
    info = opened(out)
    assert info.info["gamma"] == 0.45455
    assert info.text["Author"] == "Jürgen"
    assert info.getexif()[0x10F] == "A maker of cameras"


def profile(name: str, data: bytes) -> bytes:
    digits = data.hex()
    lines = "\n".join(digits[i : i + 72] for i in range(0, len(digits), 72))
    return f"\n{name}\n{len(data):8}\n{lines}\n".encode()


def test_png_interlaced_and_late_chunks() -> None:
    info = PngInfo()
    info.add_text("Title", "a title")
    info.add_text("Packed", "long " * 50, zip=True)
    data = saved(image(), "PNG", pnginfo=info)
    end = data.index(b"IDAT") - 4
    late = data[:33] + data[end:-12] + data[33:end] + data[-12:]  # the texts after the pixels
    out = roundtrip(late, "RGB", photo())
    assert opened(out).text == {"Title": "a title", "Packed": "long " * 50}


def test_webp_lossy_is_written_lossless() -> None:
    data = saved(image(), "WEBP", quality=60)
    roundtrip(data, "RGB", array(data))
    clear = photo(channels=4)
    clear[:30, :40, 3] = 0  # colours under transparent pixels
    data = saved(Image.fromarray(clear), "WEBP", lossless=True, exact=True)
    roundtrip(data, "RGBA", clear)


def test_bmp_with_alpha() -> None:
    """A version 4 header with masks, which Pillow reads and does not write."""
    pixels = photo(channels=4)
    rows = pixels[::-1, :, [2, 1, 0, 3]].tobytes()
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = (
        struct.pack("<IiiHHIIiiII", 108, 83, 61, 1, 32, 3, len(rows), 11811, 7874, 0, 0) + masks + b"BGRs" + bytes(48)
    )
    data = b"BM" + struct.pack("<IHHI", 122 + len(rows), 0, 0, 122) + header + rows
    out = roundtrip(data, "RGBA", pixels)
    assert opened(out).info["dpi"] == pytest.approx((300, 200), abs=0.05)


def test_bmp_keeps_resolution() -> None:
    data = saved(image(), "BMP", dpi=(300, 200))
    before = opened(data).info["dpi"]
    assert opened(roundtrip(data, "RGB", photo())).info["dpi"] == pytest.approx(before, abs=0.05)


@pytest.mark.parametrize(
    ("mode", "compression", "expected"),
    [
        ("RGB", None, "raw"),
        ("RGB", "tiff_lzw", "tiff_lzw"),
        ("RGBA", "tiff_adobe_deflate", "tiff_adobe_deflate"),
        ("L", "packbits", "packbits"),
        ("CMYK", "tiff_lzw", "tiff_lzw"),
        ("LA", "packbits", "packbits"),
        ("RGB", "jpeg", "tiff_adobe_deflate"),
        ("1", "group4", "tiff_adobe_deflate"),
        ("P", "tiff_lzw", "tiff_lzw"),
    ],
)
def test_tiff_compression(mode: str, compression: str | None, expected: str) -> None:
    source = image("L").convert("1") if mode == "1" else palette() if mode == "P" else image(mode)
    data = saved(source, "TIFF", compression=compression)
    color = {"1": "L", "P": "RGB"}.get(mode, mode)
    out = roundtrip(data, color, array(data, color))
    assert opened(out).info["compression"] == expected


def test_tiff_predictor_is_kept() -> None:
    data = saved(image(), "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    assert opened(roundtrip(data, "RGB", photo())).tag_v2[317] == 2


def big_endian(tiff: bytes) -> bytes:
    """An uncompressed TIFF of one strip, written anew in the other byte order by hand."""
    tags = opened(tiff).tag_v2
    width, height = tags[256], tags[257]
    pixels = tiff[tags[273][0] : tags[273][0] + tags[279][0]]
    bits = 8 + len(pixels)
    text = b"A description\0"
    rows = [(256, 3, 1, width << 16), (257, 3, 1, height << 16), (258, 3, 3, bits), (259, 3, 1, 1 << 16)]
    rows += [(262, 3, 1, 2 << 16), (270, 2, len(text), bits + 6), (273, 4, 1, 8), (274, 3, 1, 6 << 16)]
    rows += [(277, 3, 1, 3 << 16), (278, 3, 1, height << 16), (279, 4, 1, len(pixels))]
    body = pixels + struct.pack(">3H", 8, 8, 8) + text
    ifd = struct.pack(">H", len(rows)) + b"".join(struct.pack(">HHII", *row) for row in rows) + bytes(4)
    return b"MM\0*" + struct.pack(">I", 8 + len(body)) + body + ifd


def test_tiff_big_endian() -> None:
    data = big_endian(saved(image(), "TIFF"))
    assert np.array_equal(array(data), np.rot90(photo(), -1))  # Pillow turns it upright
    picture = decode(data)
    assert picture.orientation == 6
    assert np.array_equal(picture.pixels, photo())
    out = encode(picture, picture.pixels)
    assert out[:4] == b"MM\0*"
    assert np.array_equal(array(out), np.rot90(photo(), -1))
    assert opened(out).tag_v2[270] == "A description"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_tiff_stays_in_stored_orientation(orientation: int, compression: str | None) -> None:
    data = saved(image(), "TIFF", compression=compression, tiffinfo={274: orientation})
    picture = decode(data)
    assert picture.orientation == orientation
    assert np.array_equal(picture.pixels, photo())
    out = encode(picture, picture.pixels)
    assert decode(out).orientation == orientation
    assert np.array_equal(array(out), array(data))  # as Pillow turns them upright


def test_tiff_metadata() -> None:
    caption = b"\x1c\x02\x78\0\x09a caption"
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[270] = "A description"
    info[282], info[283], info[296] = 300, 200, 2
    info[305] = "software"
    info[33723] = caption
    info.tagtype[33723] = 7
    info[34377] = resource(1028, caption) + resource(1036, bytes(28) + THUMBNAIL)
    info.tagtype[34377] = 7
    info[37724] = b"layers " + THUMBNAIL
    info.tagtype[37724] = 7
    info[34665] = {36867: "2021:02:03 04:05:06", 37500: b"a maker note", 40965: {1: "R98"}}
    info[34853] = {1: "N", 2: (52.0, 13.0, 14.0)}
    data = saved(image(), "TIFF", tiffinfo=info, icc_profile=b"a profile")
    assert shows_thumbnail(data)
    out = roundtrip(data, "RGB", photo())
    assert not shows_thumbnail(out)
    tags = opened(out).tag_v2
    assert (tags[270], tags[282], tags[283], tags[296], tags[305]) == ("A description", 300, 200, 2, "software")
    assert (tags[33723], tags[34675]) == (caption, b"a profile")
    assert tags[34377] in (resource(1028, caption), (resource(1028, caption),))  # as versions of Pillow give it
    assert 37724 not in tags
    details = opened(out).getexif().get_ifd(34665)
    assert details[36867] == "2021:02:03 04:05:06"
    assert 37500 not in details
    assert opened(out).getexif().get_ifd(34853)[2] == (52.0, 13.0, 14.0)


def animated(form: str) -> bytes:
    return saved(image(), form, save_all=True, append_images=[image(seed=2)])


def premultiplied() -> bytes:
    data = bytearray(saved(image("RGBA"), "TIFF"))
    at = data.index(struct.pack("<HHI", 338, 3, 1))
    data[at + 8] = 1
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (saved(image("L").convert("F"), "TIFF"), "^32-bit TIFF is not supported"),
        (saved(image("L").convert("I"), "TIFF"), "^32-bit TIFF is not supported"),
        (animated("PNG"), "^animated PNG is not supported, expected one frame$"),
        (animated("WEBP"), "^animated WebP is not supported, expected one frame$"),
        (animated("TIFF"), "^TIFF of several pages is not supported, expected one page$"),
        (saved(image().convert("LAB"), "TIFF"), "^TIFF of mode LAB is not supported"),
        (premultiplied(), "^TIFF with premultiplied alpha is not supported"),
        (saved(image(), "TIFF", tiffinfo={254: 1}), "^TIFF begins with a reduced image"),
        (b"II+\0\x08\0\0\0" + bytes(100), "^BigTIFF is not supported"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else value,
)
def test_what_is_not_supported_is_said(data: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        decode(data)


def test_wrong_pixels() -> None:
    picture = decode(saved(image(), "PNG"))
    with pytest.raises(ValueError, match=r"pixels have shape \(3, 3, 3\), expected \(61, 83, 3\)"):
        encode(picture, np.zeros((3, 3, 3), np.uint8))
    with pytest.raises(TypeError, match="pixels are float32, expected a uint8 array"):
        encode(picture, picture.pixels.astype(np.float32))
    with pytest.raises(TypeError, match="pixels are list"):
        encode(picture, [])  # type: ignore[arg-type]


def test_pixels_need_not_be_contiguous() -> None:
    picture = decode(saved(image(), "PNG"))
    assert np.array_equal(array(encode(picture, picture.pixels[::-1])), photo()[::-1])


def test_one_pixel() -> None:
    for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF"):
        picture = decode(saved(image(height=1, width=1), form))
        assert isinstance(picture, Picture)
        assert opened(encode(picture, picture.pixels)).size == (1, 1)

"""Files without metadata: nothing of them is left that other readers find, and the picture is the same."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin

from fastblur.codecs import CodecError, decode, encode, strip_metadata
from fastblur.codecs.jpeg_segments import read_header
from tests.codecs.files import array, heic, image, saved, scan_of
from tests.codecs.test_further_pictures import mpo

SECRET = "Torstrasse 1, Berlin"
XMP = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{SECRET}</x:xmpmeta>".encode()
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[0x112] = orientation
    made[0x10E] = made[0x13B] = SECRET  # description, artist
    made.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 29: SECRET})
    made.get_ifd(0x8769).update({0x9003: "2026:11:25 12:00:00", 0x9286: b"ASCII\0\0\0" + SECRET.encode()})
    return made


def photoshop() -> bytes:
    """IPTC with a caption, as Photoshop keeps it in APP13."""
    iptc = b"\x1c\x02\x78" + struct.pack(">H", len(SECRET)) + SECRET.encode()
    return b"Photoshop 3.0\08BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + bytes(len(iptc) % 2)


def app(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(payload)) + payload


def jpeg(orientation: int = 1, mode: str = "RGB", **options: Any) -> bytes:
    data = saved(
        image(mode), "JPEG", exif=exif(orientation), icc_profile=PROFILE, comment=SECRET.encode(), xmp=XMP,
        dpi=(90, 90), **options,
    )  # fmt: skip
    return data[:2] + app(0xED, photoshop()) + app(0xEB, b"JUMBF" + SECRET.encode()) + data[2:]


def png(orientation: int = 1, mode: str = "RGB") -> bytes:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", SECRET)
    texts.add_text("Packed", SECRET, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
    texts.add(b"prVt", SECRET.encode())
    return saved(image(mode), "PNG", exif=exif(orientation), pnginfo=texts, icc_profile=PROFILE, dpi=(90, 90))


def webp(orientation: int = 1, mode: str = "RGB") -> bytes:
    data = saved(image(mode), "WEBP", exif=exif(orientation), xmp=XMP, icc_profile=PROFILE, quality=80)
    more = b"MINE" + struct.pack("<I", len(SECRET) + 1) + SECRET.encode() + b"\0\0"
    return data[:4] + struct.pack("<I", len(data) - 8 + len(more)) + data[8:] + more


def tiff(orientation: int = 1, mode: str = "RGB", **options: Any) -> bytes:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[274] = orientation
    for tag in (270, 305, 315, 33432):  # description, software, artist, copyright
        tags[tag] = SECRET
    tags[700], tags[33723] = XMP, photoshop()
    tags.tagtype[700] = tags.tagtype[33723] = 7
    if not options:  # Pillow hands compressed files to libtiff, without directories
        tags[34853] = {1: "N", 2: (52.0, 31.0, 12.0), 29: SECRET}
        tags[34665] = {0x9003: "2026:11:25 12:00:00", 0x9286: SECRET.encode()}
    return saved(image(mode), "TIFF", tiffinfo=tags, icc_profile=PROFILE, dpi=(90, 90), **options)


def avif(orientation: int = 1, mode: str = "RGB") -> bytes:
    return saved(image(mode), "AVIF", exif=exif(orientation), xmp=XMP, icc_profile=PROFILE)


def high(orientation: int = 1, mode: str = "RGB") -> bytes:
    return heic(image(mode), exif=exif(orientation).tobytes(), xmp=XMP)


MAKERS = {"JPEG": jpeg, "PNG": png, "WebP": webp, "TIFF": tiff, "AVIF": avif, "HEIC": high}


def shows(data: bytes) -> bool:
    """Whether any of the metadata is left: as bytes, or as Pillow reads them."""
    if any(SECRET.encode(coding) in data for coding in ("ascii", "utf-16-le", "utf-16-be")) or b"2026:11:25" in data:
        return True
    with Image.open(io.BytesIO(data)) as read:
        tags = dict(read.getexif())
        allowed = {0x112} if read.format != "TIFF" else {0x112, *TIFF_LAYOUT}
        found = read.info.keys() & {"xmp", "comment", "photoshop", "Comment", "Packed", "XML:com.adobe.xmp", "mpoffset"}
        return bool(found or tags.keys() - allowed or read.getexif().get_ifd(0x8825) or read.getexif().get_ifd(0x8769))


TIFF_LAYOUT = {254, 256, 257, 258, 259, 262, 273, 277, 278, 279, 282, 283, 284, 296, 317, 320, 322, 323, 324, 325, 338}
TIFF_LAYOUT |= {339, 347, 530, 34675}


def the_same_picture(before: bytes, after: bytes) -> None:
    """Pillow sees the same stored pixels, the same upright ones, and the same profile and resolution."""
    with Image.open(io.BytesIO(before)) as one, Image.open(io.BytesIO(after)) as two:
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(one)), np.asarray(ImageOps.exif_transpose(two)))
        assert (one.mode, one.format) == (two.mode, two.format)
        assert one.info.get("icc_profile") == two.info.get("icc_profile")
        assert one.info.get("dpi") == two.info.get("dpi")
        assert one.info.get("adobe_transform") == two.info.get("adobe_transform")
    ours, stripped = decode(before), decode(after)
    assert np.array_equal(ours.pixels, stripped.pixels)
    assert (ours.color, ours.orientation) == (stripped.color, stripped.orientation)


@pytest.mark.parametrize("orientation", [1, 6, 8])
@pytest.mark.parametrize("form", MAKERS)
def test_metadata_go_and_the_picture_stays(form: str, orientation: int) -> None:
    pytest.importorskip("pillow_heif", reason="the package pillow-heif is absent").register_heif_opener()
    before = MAKERS[form](orientation)
    assert shows(before)
    after = strip_metadata(before)
    assert not shows(after)
    the_same_picture(before, after)
    assert strip_metadata(after) == after


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WebP", "TIFF", "AVIF"])
def test_a_changed_file_is_stripped_too(form: str) -> None:
    picture = decode(MAKERS[form](6))
    picture.pixels[10:30, 10:30] = 90
    coded = encode(picture, picture.pixels)
    assert shows(coded)
    after = strip_metadata(coded)
    assert not shows(after)
    the_same_picture(coded, after)
    assert decode(after).orientation == 6


@pytest.mark.parametrize(
    "data",
    [
        jpeg(progressive=True), jpeg(mode="L"), jpeg(mode="CMYK"), jpeg(subsampling="4:4:4"),
        png(mode="RGBA"), png(mode="L"), webp(mode="RGBA"), tiff(mode="CMYK"),
        tiff(compression="tiff_lzw"), tiff(compression="tiff_adobe_deflate"), tiff(compression="jpeg"),
        tiff(compression="packbits"), avif(mode="RGBA"),
    ],
    ids=[
        "progressive", "grey", "CMYK", "444", "png alpha", "png grey", "webp alpha", "tiff CMYK", "lzw", "deflate",
        "tiff jpeg", "packbits", "avif alpha",
    ],
)  # fmt: skip
def test_other_kinds(data: bytes) -> None:
    after = strip_metadata(data)
    assert not shows(after)
    the_same_picture(data, after)


def test_the_scans_of_a_jpeg_stay_byte_for_byte() -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 3}):
        before = jpeg(6, **options)
        after = strip_metadata(before)
        assert after[read_header(after).scan :] == before[read_header(before).scan :]
        assert scan_of(after) == scan_of(before)


def test_comments_between_tables_and_scans_go() -> None:
    before = jpeg(progressive=True)
    header = read_header(before)
    second = before.index(b"\xff\xda", header.scan + 2)
    comment = app(0xFE, SECRET.encode())
    packed = before[: header.scan] + comment + before[header.scan : second] + comment + before[second:]
    after = strip_metadata(packed)
    assert not shows(after)
    assert after == strip_metadata(before)


def test_previews_and_what_follows_a_jpeg_go() -> None:
    data = mpo(0x010001)
    secret = data[:-2] + b"\xff\xd9" + SECRET.encode()
    after = strip_metadata(secret)
    assert not shows(after)
    assert after.count(b"\xff\xd8\xff") == 1
    assert np.array_equal(array(secret), array(after))


def test_an_end_marker_that_is_missing_is_no_reason_to_fail() -> None:
    whole = jpeg()
    assert strip_metadata(whole[:-2]) == strip_metadata(whole)[:-2]


def test_transparency_palette_and_gamma_of_png_stay() -> None:
    palette = image("RGB").convert("P", palette=Image.Palette.ADAPTIVE)
    texts = PngImagePlugin.PngInfo()
    texts.add(b"gAMA", struct.pack(">I", 45455))
    texts.add_text("Author", SECRET)
    before = saved(palette, "PNG", transparency=3, pnginfo=texts)
    after = strip_metadata(before)
    assert not shows(after)
    the_same_picture(before, after)
    with Image.open(io.BytesIO(after)) as read:
        assert (read.info["gamma"], read.info["transparency"], read.mode) == (0.45455, 3, "P")


def test_exif_in_hexadecimal_of_png_goes_and_its_orientation_stays() -> None:
    raw = exif(6).tobytes()
    text = f"\nexif\n{len(raw):8}\n{raw.hex()}\n".encode()
    chunk = b"zTXtRaw profile type exif\0\0" + zlib.compress(text)
    plain = saved(image(), "PNG")
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    after = strip_metadata(plain[:33] + chunk + plain[33:])
    assert not shows(after)
    assert b"Raw profile" not in after
    with Image.open(io.BytesIO(after)) as read:
        assert read.getexif()[0x112] == 6
        assert ImageOps.exif_transpose(read).size == (61, 83)


def test_what_tiff_does_not_list_goes() -> None:
    before = tiff()
    after = strip_metadata(before + SECRET.encode())
    assert not shows(after)
    the_same_picture(before, after)


def test_bmp_has_nothing() -> None:
    data = saved(image(), "BMP")
    assert strip_metadata(data) == data


def test_what_cannot_be_read_is_refused() -> None:
    two = saved(image(), "WEBP", save_all=True, append_images=[image(seed=2)])
    for data in (b"GIF89a", b"\xff\xd8\xff\xd9", jpeg()[:100], two, b""):
        with pytest.raises(CodecError):
            strip_metadata(data)
    for form in ("PNG", "WebP", "TIFF", "AVIF"):
        whole = MAKERS[form]()
        for part in (0.3, 0.7):  # nothing that might be recovered is thrown away, nothing is called done
            with pytest.raises(CodecError):
                strip_metadata(whole[: int(part * len(whole))])
    lengthless = bytearray(tiff())
    at = lengthless.index(struct.pack("<HH", 279, 4))
    struct.pack_into("<H", lengthless, at, 280)  # the strips' lengths become another tag
    with pytest.raises(CodecError, match="how long its strips are"):
        strip_metadata(bytes(lengthless))


def test_photographs_of_imagenet(shared: Path) -> None:
    for path in sorted((shared / "imagenet-sample/train").rglob("*.JPEG"))[::3]:
        before = path.read_bytes()
        after = strip_metadata(before)
        the_same_picture(before, after)
        assert after[read_header(after).scan :] == before[read_header(before).scan :]
        assert len(after) <= len(before)

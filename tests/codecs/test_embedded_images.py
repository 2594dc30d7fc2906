"""Metadata comes through, and no thumbnail or preview does: its bytes are searched for in the output."""

import base64
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image

from fastblur.codecs import decode, encode
from fastblur.codecs.embedded_images import clean_photoshop, contains_image, xmp_mentions_image
from fastblur.codecs.exif import clean_exif, orientation
from tests.codecs.files import (
    THUMBNAIL,
    Tiff,
    exif,
    image,
    opened,
    saved,
    segment,
    segments_of,
    shows_thumbnail,
    with_segments,
)

XMP = b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
PLAIN_XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><dc:title>A title</dc:title></x:xmpmeta>'


def again(data: bytes) -> bytes:
    picture = decode(data)
    return encode(picture, picture.pixels)


def jpeg_with(*segments: bytes) -> bytes:
    return with_segments(saved(image(), "JPEG"), *segments)


def resource(code: int, data: bytes, name: bytes = b"") -> bytes:
    label = bytes([len(name)]) + name
    return (
        b"8BIM"
        + struct.pack(">H", code)
        + label
        + bytes(len(label) % 2)
        + struct.pack(">I", len(data))
        + data
        + bytes(len(data) % 2)
    )


def test_the_search_finds_a_thumbnail() -> None:
    """The measure itself: it sees the thumbnail in every source that the tests below clean."""
    assert shows_thumbnail(jpeg_with(segment(0xE1, b"Exif\0\0" + exif())))
    assert not shows_thumbnail(saved(image(), "JPEG"))


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_without_its_thumbnail(order: str) -> None:
    data = jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, order=order)))
    out = again(data)
    assert not shows_thumbnail(out)
    before, after = opened(data).getexif(), opened(out).getexif()
    assert dict(after) == dict(before)
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        assert after.get_ifd(directory) == before.get_ifd(directory)
        assert after.get_ifd(directory)
    assert before.get_ifd(ExifTags.IFD.IFD1)
    assert not after.get_ifd(ExifTags.IFD.IFD1)
    assert decode(out).orientation == 6


def test_thumbnail_in_the_middle_leaves_every_offset_where_it_was() -> None:
    """The thumbnail lies before the directories here; what is kept stays in place, as MakerNotes need."""
    tiff = exif(8, maker_note=b"M" * 50)
    assert tiff.index(THUMBNAIL) < tiff.index(b"A maker of cameras")
    cleaned = clean_exif(tiff)
    first = int.from_bytes(cleaned[4:8], "little")
    following = first + 2 + 12 * int.from_bytes(cleaned[first : first + 2], "little")
    assert any(tiff[following : following + 4])
    assert not any(cleaned[following : following + 4])
    for kept in (b"M" * 50, b"A maker of cameras", b"2021:02:03"):
        assert cleaned.index(kept) == tiff.index(kept)
    assert not shows_thumbnail(cleaned)
    assert orientation(cleaned) == 8


def test_thumbnail_at_the_end_is_cut_off() -> None:
    tiff = Tiff()
    at = tiff.directory([(0x112, 3, 3), (0x10F, 2, b"A maker of cameras\0")])
    main = len(tiff.data)
    second = tiff.directory([(0x201, 4, main + 100), (0x202, 4, len(THUMBNAIL))])
    struct.pack_into("<I", tiff.data, at + 2 + 24, second)
    tiff.data += bytes(main + 100 - len(tiff.data)) + THUMBNAIL
    cleaned = clean_exif(tiff.done(at))
    assert len(cleaned) == main
    assert orientation(cleaned) == 3


def test_uncompressed_thumbnail() -> None:
    raw = np.random.default_rng(0).integers(0, 256, 1200, np.uint8).tobytes()
    tiff = Tiff()
    at = tiff.blob(raw)
    entries = [(0x100, 3, 20), (0x101, 3, 20), (0x103, 3, 1), (0x111, 4, at), (0x117, 4, len(raw))]
    cleaned = clean_exif(tiff.done(tiff.directory([(0x112, 3, 6)], tiff.directory(entries))))
    assert orientation(cleaned) == 6
    assert not shows_thumbnail(cleaned, raw)


@pytest.mark.parametrize(
    "where", ["main", "SubIFDs", "GPS pointer", "Exif chain", "user comment", "maker note", "Minolta"]
)
def test_thumbnails_in_odd_places(where: str) -> None:
    tiff = Tiff()
    at = tiff.blob(THUMBNAIL)
    jpeg = [(0x201, 4, at), (0x202, 4, len(THUMBNAIL))]
    entries = {
        "main": [(0x112, 3, 6), *jpeg],
        "SubIFDs": [(0x112, 3, 6), (0x14A, 4, tiff.directory(jpeg))],
        "GPS pointer": [(0x112, 3, 6), (0x8825, 4, tiff.directory(jpeg))],
        "Exif chain": [(0x112, 3, 6), (0x8769, 4, tiff.directory([(0x9003, 2, b"2021\0")], tiff.directory(jpeg)))],
        "user comment": [(0x112, 3, 6), (0x8769, 4, tiff.directory([(0x9286, 7, (at, len(THUMBNAIL)))]))],
        "maker note": [(0x112, 3, 6), (0x8769, 4, tiff.directory([(0x927C, 7, b"Maker\0" + THUMBNAIL)]))],
        "Minolta": [(0x112, 3, 6), (0x8769, 4, tiff.directory([(0x927C, 7, b"MLT0\0\x02" + THUMBNAIL[1:])]))],
    }[where]
    entries.append((0x10F, 2, b"A maker of cameras\0"))
    cleaned = clean_exif(tiff.done(tiff.directory(entries)))
    assert not shows_thumbnail(cleaned)
    assert orientation(cleaned) == 6
    assert b"A maker of cameras" in cleaned  # nothing else goes with it


def test_two_entries_that_share_a_thumbnail_leave_the_orientation_only() -> None:
    """Neither entry holds the beginning of an image; together they do."""
    tiff = Tiff()
    at = tiff.blob(bytes(8) + THUMBNAIL) + 8
    halves = [(0xEA1D, 7, (at + 2, len(THUMBNAIL) - 2)), (0xEA1F, 7, (at - 3, 5))]
    assert THUMBNAIL[:3] == b"\xff\xd8\xff"
    assert not contains_image(THUMBNAIL[2:])
    cleaned = clean_exif(tiff.done(tiff.directory([(0x112, 3, 6), (0x8769, 4, tiff.directory(halves))])))
    assert not shows_thumbnail(cleaned)
    assert orientation(cleaned) == 6
    assert dict(opened(jpeg_with(segment(0xE1, b"Exif\0\0" + cleaned))).getexif()) == {0x112: 6}


@pytest.mark.parametrize("broken", [b"", b"II*\0", THUMBNAIL, exif(6)[:60], b"II*\0\xff\xff\0\0" + THUMBNAIL])
def test_broken_exif_does_not_fail_the_image_and_is_dropped(broken: bytes) -> None:
    out = again(jpeg_with(segment(0xE1, b"Exif\0\0" + broken)))
    assert not any(payload.startswith(b"Exif") for _, payload in segments_of(out))
    assert not shows_thumbnail(out)


def test_loops_in_exif_end() -> None:
    tiff = Tiff()
    at = tiff.directory([(0x112, 3, 5), (0x8769, 4, 8), (0x8825, 4, 8)])
    assert at == 8
    struct.pack_into("<I", tiff.data, at + 2 + 36, 8)  # the next directory is this one
    assert orientation(clean_exif(tiff.done(at))) == 5


def test_exif_in_two_segments() -> None:
    """Nonstandard, but written by some cameras whose thumbnails are larger than a segment: Pillow joins them too."""
    tiff = exif(6, thumbnail=THUMBNAIL * 90)
    assert len(tiff) > 65533
    data = jpeg_with(segment(0xE1, b"Exif\0\0" + tiff[:60000]), segment(0xE1, b"Exif\0\0" + tiff[60000:]))
    out = again(data)
    assert decode(out).orientation == 6
    assert not shows_thumbnail(out)
    assert dict(opened(out).getexif()) == dict(opened(data).getexif())


def test_jfif_thumbnail_goes_and_density_stays() -> None:
    plain = saved(image(), "JPEG", dpi=(300, 200))
    raw = np.random.default_rng(0).integers(0, 256, 20 * 10 * 3, np.uint8).tobytes()
    jfif = plain[6:18] + bytes([20, 10]) + raw
    jfxx = segment(0xE0, b"JFXX\0\x10" + THUMBNAIL)
    data = b"\xff\xd8" + segment(0xE0, jfif) + jfxx + plain[20:]
    assert opened(data).info["dpi"] == (300, 200)
    out = again(data)
    assert opened(out).info["dpi"] == (300, 200)
    assert not shows_thumbnail(out)
    assert not shows_thumbnail(out, raw)
    assert [payload for marker, payload in segments_of(out) if marker == 0xE0] == [plain[6:20]]


def test_photoshop_thumbnails_go_and_iptc_stays() -> None:
    caption = b"\x1c\x02\x78\0\x09a caption"
    raw = np.random.default_rng(0).integers(0, 256, 300, np.uint8).tobytes()
    resources = (
        resource(1036, bytes(28) + raw)
        + resource(1028, caption)
        + resource(1036, bytes(28) + THUMBNAIL)
        + resource(1033, bytes(28) + THUMBNAIL[1:], b"odd")
        + resource(1058, exif())
        + resource(4000, b"private" + THUMBNAIL, b"even")
        + resource(1005, bytes(16))
    )
    data = jpeg_with(
        segment(0xED, b"Photoshop 3.0\0" + resources[:700]), segment(0xED, b"Photoshop 3.0\0" + resources[700:])
    )
    out = again(data)
    assert not shows_thumbnail(out)
    assert raw not in out
    assert [p for m, p in segments_of(out) if m == 0xED] == [
        b"Photoshop 3.0\0" + resource(1028, caption) + resource(1005, bytes(16))
    ]
    assert opened(out).info["photoshop"][1028] == caption


@pytest.mark.parametrize("cut", [3, 9, 13, 20, -1])
def test_broken_photoshop_resources(cut: int) -> None:
    whole = resource(1028, b"caption")
    assert clean_photoshop(whole + resource(1036, THUMBNAIL)[:cut]) == whole


@pytest.mark.parametrize(
    "xmp",
    [
        b"<xmp:Thumbnails><rdf:li><xmpGImg:image>"
        + base64.b64encode(THUMBNAIL)
        + b"</xmpGImg:image></rdf:li></xmp:Thumbnails>",
        b'<x GImage:Data="' + base64.b64encode(THUMBNAIL) + b'"/>',
        b'<x GDepth:Data="' + base64.b64encode(THUMBNAIL) + b'"/>',
        b'<x some:thing="' + base64.b64encode(THUMBNAIL) + b'"/>',
        b'<x some:thing="' + base64.b64encode(saved(image(), "PNG")) + b'"/>',
        ('<x some:thing="' + base64.b64encode(THUMBNAIL).decode() + '"/>').encode("utf-16"),
        b'<x GCamera:MotionPhoto="1"/>',
        b'<x hdrgm:Version="1.0"/>',
    ],
    ids=["xmpGImg", "GImage", "GDepth", "unknown", "PNG", "UTF-16", "motion photo", "gain map"],
)
def test_xmp_with_an_image_goes_and_other_xmp_stays(xmp: bytes) -> None:
    assert xmp_mentions_image(xmp)
    out = again(jpeg_with(segment(0xE1, XMP + xmp), segment(0xE1, XMP + PLAIN_XMP)))
    assert [p for m, p in segments_of(out) if m == 0xE1] == [XMP + PLAIN_XMP]
    for form in ("PNG", "WEBP", "TIFF"):
        data = xmp_in(form, xmp)
        assert xmp in data
        assert xmp not in again(data)
        assert PLAIN_XMP in again(xmp_in(form, PLAIN_XMP))


def xmp_in(form: str, xmp: bytes) -> bytes:
    if form == "PNG":
        data = saved(image(), "PNG")
        return data[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp) + data[33:]
    return saved(image(), form, **({"xmp": xmp} if form == "WEBP" else {"tiffinfo": {700: xmp}}))


def chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def test_extended_xmp() -> None:
    def parts(text: bytes) -> list[bytes]:
        digest = b"0123456789ABCDEF0123456789ABCDEF"
        cut = text.index(b"/9j/") + 2 if b"/9j/" in text else len(text) // 2
        pieces = ((0, text[:cut]), (cut, text[cut:]))
        return [segment(0xE1, MORE_XMP + digest + struct.pack(">II", len(text), at) + t) for at, t in pieces]

    shown = parts(b"<x some:thing='" + base64.b64encode(THUMBNAIL) + b"'/>")
    out = again(jpeg_with(segment(0xE1, XMP + PLAIN_XMP), *reversed(shown)))
    assert [p for m, p in segments_of(out) if m == 0xE1] == [XMP + PLAIN_XMP]
    plain = parts(b"<x>" + b"a long story " * 100 + b"</x>")
    out = again(jpeg_with(segment(0xE1, XMP + PLAIN_XMP), *plain))
    assert all(part in out for part in plain)


@pytest.mark.parametrize(
    ("marker", "payload"),
    [
        (0xE2, b"MPF\0" + bytes(50)),
        (0xE2, b"FPXR\0" + THUMBNAIL),
        (0xE3, b"Meta\0\0" + exif()),
        (0xE4, b"Samsung" + THUMBNAIL),
        (0xE5, b"RMETA" + THUMBNAIL),
        (0xEB, b"JP\0\1" + THUMBNAIL),
        (0xEF, THUMBNAIL),
        (0xFE, b"comment " + THUMBNAIL),
        (0xE1, b"unknown " + THUMBNAIL),
        (0xED, b"Adobe_Photoshop2.5:" + THUMBNAIL),
        (0xE0, b"unknown"),
    ],
)
def test_other_segments_go(marker: int, payload: bytes) -> None:
    out = again(jpeg_with(segment(marker, payload)))
    assert payload not in out
    assert not shows_thumbnail(out)


def test_what_follows_the_image_goes() -> None:
    """Samsung's trailer of texts; for pictures after the first see test_further_pictures."""
    data = saved(image(), "JPEG")
    out = again(data + b"Image_UTC_Data1613000000000SEFHk\0SEFT")
    assert b"SEFT" not in out
    assert out.endswith(b"\xff\xd9")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_icc_and_exif_in_every_format(form: str) -> None:
    profile = np.random.default_rng(0).integers(0, 256, 70000, np.uint8).tobytes()  # of two segments in JPEG
    options = {"tiffinfo": Image.Exif()} if form == "TIFF" else {"exif": b"Exif\0\0" + exif(6)}
    if form == "TIFF":
        options["tiffinfo"][0x112] = 6
    data = saved(image(), form, icc_profile=profile, **options)
    out = again(data)
    assert opened(out).info["icc_profile"] == profile
    assert decode(out).orientation == 6
    assert decode(out).format == form
    assert np.array_equal(decode(out).pixels, decode(data).pixels) or form == "JPEG"
    if form != "TIFF":
        assert shows_thumbnail(data)
        assert not shows_thumbnail(out)
        assert opened(out).getexif()[0x10F] == "A maker of cameras"


def test_adobe_segment_of_ycbcr_stays() -> None:
    adobe = b"Adobe\0\x64\0\0\0\0\x01"
    data = jpeg_with(segment(0xEE, adobe))
    assert [p for m, p in segments_of(again(data)) if m == 0xEE] == [adobe]


def test_order_of_segments() -> None:
    """JFIF stays first, as its standard demands; EXIF alone stays alone."""
    data = jpeg_with(segment(0xE1, b"Exif\0\0" + exif()), segment(0xFE, b"comment"))
    assert [m for m, _ in segments_of(again(data))][:3] == [0xE0, 0xE1, 0xFE]
    plain = saved(image(), "JPEG")
    data = b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + exif()) + plain[20:]
    assert [m for m, _ in segments_of(again(data))][:2] == [0xE1, 0xDB]
    assert np.abs(decode(again(data)).pixels.astype(int) - decode(plain).pixels).mean() < 2


def test_holds_image() -> None:
    for form in ("JPEG", "PNG", "WEBP", "GIF", "JPEG2000"):
        assert contains_image(b"before" + saved(image(), form) + b"after"), form
        if form in ("JPEG", "PNG", "WEBP"):
            assert contains_image(base64.b64encode(saved(image(), form))), form
    assert not contains_image(bytes(1000) + b"plain text, \xff\xd8 alone")

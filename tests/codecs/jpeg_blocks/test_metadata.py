"""Metadata and previews are treated as by decode and encode."""

import pytest

from fastblur.codecs import decode, encode
from tests.codecs.files import THUMBNAIL, segment, segments_of, shows_thumbnail, with_segments
from tests.codecs.jpeg_blocks.files import jpeg, rewritten

METADATA = [
    segment(0xE0, b"JFXX\0\x10" + THUMBNAIL),
    segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>"),
    segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<xmpGImg:image>/9j/</xmpGImg:image>"),
    segment(0xE2, b"ICC_PROFILE\0\x01\x01profile"),
    segment(0xE2, b"MPF\0" + THUMBNAIL[:60]),
    segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x0c\0\0" + len(THUMBNAIL).to_bytes(4, "big") + THUMBNAIL),
    segment(0xEF, b"maker" + THUMBNAIL),
    segment(0xFE, b"a comment"),
]


@pytest.mark.parametrize("colors", ["L", "YCbCr", "RGB", "CMYK"])
def test_the_same_segments_stay(colors):
    data = with_segments(jpeg(colors), *METADATA)
    out = rewritten(data, [[20, 10, 45, 38]]).data
    picture = decode(data)
    other = encode(picture, picture.pixels)
    assert shows_thumbnail(data)
    assert not shows_thumbnail(out)

    def kept(file):
        return [(marker, payload) for marker, payload in segments_of(file) if 0xE0 <= marker <= 0xEF or marker == 0xFE]

    assert kept(out) == kept(other)
    assert any(payload == b"a comment" for _, payload in kept(out))


@pytest.mark.parametrize("colors", ["YCbCr", "CMYK"])
def test_what_follows_adobe_s_segment_goes(colors):
    """Either way: by blocks, and by decode and encode."""
    adobe = b"Adobe\0\x64\0\0\0\0" + bytes([colors == "YCbCr"])
    data = jpeg(colors) if colors == "CMYK" else with_segments(jpeg(colors), segment(0xEE, adobe))
    size = b"\xff\xee" + (2 + 12).to_bytes(2, "big")
    longer = data.replace(size + b"Adobe", b"\xff\xee" + (2 + 16).to_bytes(2, "big") + b"Adobe")
    at = longer.index(b"Adobe") + 12
    longer = longer[:at] + b"leak" + longer[at:]
    picture = decode(longer)
    assert b"leak" not in encode(picture, picture.pixels)
    assert rewritten(longer, [[20, 10, 45, 38]]).data == rewritten(data, [[20, 10, 45, 38]]).data

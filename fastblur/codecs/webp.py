"""WebP files: read whichever way they were coded, written lossless.

Only the size is read by hand: Pillow takes memory for the canvas before it gives the size.
"""

import io
import struct

from PIL.WebPImagePlugin import WebPImageFile

from fastblur.codecs.embedded_images import xmp_mentions_image
from fastblur.codecs.exif import clean_exif, orientation
from fastblur.codecs.further_pictures import check_rest
from fastblur.codecs.picture import CodecError, Picture, Pixels
from fastblur.codecs.pillow_io import check_size, let_decode, save, to_image, to_pixels

_KNOWN = (b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ICCP", b"EXIF", b"XMP ")
_ANIMATION = 0x02  # among the flags of the chunk VP8X


def check(data: bytes) -> None:
    """Raise CodecError for an animation, and for data after the picture that may show another."""
    if data[12:16] == b"VP8X" and len(data) > 20 and data[20] & _ANIMATION:
        raise CodecError("animated WebP is not supported, expected one frame")
    end = 8 + int.from_bytes(data[4:8], "little")
    pictures, at = 0, 12
    while at + 8 <= min(end, len(data)):
        name, start = data[at : at + 4], at + 8
        if name in (b"ANIM", b"ANMF"):  # without the flag a reader shows one frame or none, but the others are there
            raise CodecError("animated WebP is not supported, expected one frame")
        pictures += name in (b"VP8 ", b"VP8L")
        at = start + (size := int.from_bytes(data[at + 4 : start], "little")) + size % 2
        if name not in _KNOWN:
            check_rest("WebP", data[start:at])
    if pictures > 1:
        raise CodecError(f"WebP holds {pictures} pictures, expected one")
    check_rest("WebP", data[end:])


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode a WebP of one frame."""
    check(data)
    check_size(*size(data), max_pixels)  # before Pillow, which takes memory for the canvas as it opens the file
    let_decode(*size(data))
    image = WebPImageFile(io.BytesIO(data))
    if image.n_frames > 1:
        raise CodecError(f"an animated WebP of {image.n_frames} frames is not supported, expected one frame")
    check_size(image.width, image.height, max_pixels)
    return Picture(to_pixels(image, image.mode), "WEBP", image.mode, orientation(image.info.get("exif", b"")), data)


def encode(picture: Picture, pixels: Pixels) -> bytes:
    """Encode as lossless WebP, colours under transparent pixels included, with the source's ICC, EXIF and XMP.

    The quickest effort is taken: on photographs it is many times as fast as the default, for files a little larger.
    """
    info = WebPImageFile(io.BytesIO(picture.source)).info
    xmp = info.get("xmp", b"")
    return save(
        to_image(pixels, picture.color),
        "WEBP",
        lossless=True,
        exact=True,
        quality=20,
        method=0,
        icc_profile=info.get("icc_profile", b""),
        exif=clean_exif(info.get("exif", b"")),
        xmp=b"" if xmp_mentions_image(xmp) else xmp,
    )


def size(data: bytes) -> tuple[int, int]:
    """Return (width, height) from the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X" and len(body) == 10:
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L" and len(body) >= 5:
        (bits,) = struct.unpack_from("<I", body, 1)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(body) == 10:
        width, height = struct.unpack_from("<HH", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    raise CodecError(f"WebP begins with {data[:16]!r}, expected a chunk VP8, VP8L or VP8X and its header")

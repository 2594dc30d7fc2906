"""BMP files: no metadata but the resolution.

The header of version 4 is written by hand, because Pillow writes none that makes the alpha channel count.
"""

import io
import struct

from PIL.BmpImagePlugin import BmpImageFile

from fastblur.codecs.further_pictures import check_rest
from fastblur.codecs.picture import Picture, Pixels
from fastblur.codecs.pillow_io import check_size, save, to_image, to_pixels

_COLORS = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBA": "RGBA"}


def size(data: bytes) -> tuple[int, int]:
    """Return (width, height)."""
    return BmpImageFile(io.BytesIO(data)).size


def check(data: bytes) -> None:
    """Raise for a broken header, and CodecError for data after the picture that may show another."""
    BmpImageFile(io.BytesIO(data))
    length = int.from_bytes(data[2:6], "little")
    check_rest("BMP", data[length:] if length > 54 else b"")


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode a BMP of 1 to 32 bits a pixel, plain or run-length coded."""
    check(data)
    image = BmpImageFile(io.BytesIO(data))
    check_size(image.width, image.height, max_pixels)
    color = _COLORS[image.mode]
    return Picture(to_pixels(image, color), "BMP", color, 1, data)


def encode(picture: Picture, pixels: Pixels) -> bytes:
    """Encode as a BMP without compression: 8 bits for grey, 24 for RGB, 32 for RGBA."""
    dpi = BmpImageFile(io.BytesIO(picture.source)).info.get("dpi", (96, 96))
    coded = save(to_image(pixels, picture.color), "BMP", dpi=dpi)
    return _with_alpha_mask(coded) if picture.color == "RGBA" else coded


def _with_alpha_mask(coded: bytes) -> bytes:
    """Give a BMP of 32 bits the header of version 4; with Pillow's older one readers take alpha for padding."""
    info, rows = coded[18:54], coded[54:]
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<I", 108) + info[:12] + struct.pack("<I", 3) + info[16:] + masks + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(header) + len(rows), 0, 0, 14 + len(header)) + header + rows

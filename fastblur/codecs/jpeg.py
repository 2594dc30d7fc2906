"""JPEG files: decoded by simplejpeg or Pillow, encoded with the source's tables, subsampling and progressive flag."""

import io
import re
from functools import cache

import numpy as np
import simplejpeg
from PIL.JpegImagePlugin import JpegImageFile

from fastblur.codecs.exif import orientation
from fastblur.codecs.further_pictures import check_jpeg
from fastblur.codecs.jpeg_scans import end_of_scans, has_all_scans
from fastblur.codecs.jpeg_segments import (
    APP14,
    Header,
    exif,
    kept_segments,
    quantisation_tables,
    read_header,
    read_size,
    segment,
)
from fastblur.codecs.picture import CodecError, Picture, Pixels
from fastblur.codecs.pillow_io import check_size, let_encode_at_least, save, to_image, to_pixels

_PROGRESSIVE = (0xC2, 0xCA)
_HUFFMAN_CODED = (0xC0, 0xC1, 0xC2)
_FRAMES = (*_HUFFMAN_CODED, 0xC9, 0xCA)
_COLORS = {1: "L", 3: "RGB", 4: "CMYK"}
_SIMPLEJPEG_COLORS = {"L": "GRAY", "RGB": "RGB"}
_REST_OF_SCAN = re.compile(r"(\d+) extraneous bytes before marker 0xd9")  # libjpeg's words, after all rows of the frame
_HARMLESS_REST = 64  # bytes, too few for a face
_SUBSAMPLINGS = ("444", "422", "420")  # at Pillow's number of each

# Where the n-th value of a table in a file, in zigzag order, stands in the 8 x 8 table read row by row.
_ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8))
_ROW_BY_ROW = [_ZIGZAG.index(i) for i in range(64)]


def size(data: bytes) -> tuple[int, int]:
    """Return (width, height)."""
    return read_size(data)


def check(data: bytes) -> None:
    """Raise CodecError for a kind of JPEG that is not decoded, and for further pictures that are no previews."""
    checked(data)


def checked(data: bytes) -> Header:
    """Return what stands before the scans; raises as `check`."""
    header = read_header(data)
    if header.bits != 8:
        raise CodecError(f"{header.bits}-bit JPEG is not supported, expected 8 bits a channel")
    if header.frame not in _FRAMES or len(header.components) not in _COLORS:
        kind = f"JPEG with frame 0x{header.frame:02X} and {len(header.components)} components"
        raise CodecError(f"{kind} is not supported, expected baseline or progressive with 1, 3 or 4 components")
    check_jpeg(data, header)
    return header


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode a JPEG of 8 bits a sample and 1, 3 or 4 components; of a picture and its previews, the picture."""
    header = checked(data)
    check_size(header.width, header.height, max_pixels)
    color = _COLORS[len(header.components)]
    pixels = _decode_fast(data, color)
    if pixels is None and header.frame not in _HUFFMAN_CODED:
        raise CodecError(f"arithmetic-coded JPEG in {color} cannot be decoded, expected Huffman coding or a whole file")
    if pixels is None:
        pixels = to_pixels(JpegImageFile(io.BytesIO(_with_end(data, header, color))), color)
    if pixels.shape != (header.height, header.width, len(color)):
        raise CodecError(f"JPEG gives pixels of shape {pixels.shape}, expected {header.height} x {header.width}")
    return Picture(pixels, "JPEG", color, orientation(exif(header)), data)


def decode_reduced(data: bytes, factor: int) -> Picture | None:
    """Decode at 1/2, 1/4 or 1/8 of the size, the smallest that is at least 1/factor; None where Pillow has to."""
    header = read_header(data)
    color = _COLORS.get(len(header.components), "")
    if header.bits != 8 or header.frame not in _FRAMES or color not in _SIMPLEJPEG_COLORS:
        return None
    check_jpeg(data, header)
    try:
        pixels = simplejpeg.decode_jpeg(
            data,
            _SIMPLEJPEG_COLORS[color],
            min_height=-(-header.height // factor),
            min_width=-(-header.width // factor),
            min_factor=1,
        )
    except ValueError:
        return None
    return Picture(pixels, "JPEG", color, orientation(exif(header)), data)


def _with_end(data: bytes, header: Header, color: str) -> bytes:
    """Return the file with an end marker where that alone is missing, which simplejpeg, unlike Pillow, can tell."""
    if end_of_scans(data, header) < len(data) or data.endswith(b"\xff\xd9") or not has_all_scans(data, header):
        return data
    try:
        simplejpeg.decode_jpeg(data + b"\xff\xd9", _SIMPLEJPEG_COLORS.get(color, "CMYK"))
    except ValueError:  # pixels are missing too
        return data
    return data + b"\xff\xd9"


def _decode_fast(data: bytes, color: str) -> Pixels | None:
    """Decode into an array without a copy; None if Pillow has to.

    simplejpeg gives the same pixels as Pillow but refuses a file at the first irregularity. Many such files are read
    without harm by everyone else, and Pillow distinguishes them from those that are cut short.
    """
    if color not in _SIMPLEJPEG_COLORS:
        return None
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, _SIMPLEJPEG_COLORS[color])
    except ValueError as error:
        rest = _REST_OF_SCAN.search(str(error))
        if rest and int(rest[1]) > _HARMLESS_REST:
            raise CodecError(
                f"JPEG has {rest[1]} bytes in its scan behind the picture, which may show more of it than its frame, "
                "expected a scan of one picture"
            ) from error
        return None
    return pixels


def encode(picture: Picture, pixels: Pixels) -> bytes:
    """Encode with the source's tables, subsampling and progressive flag, and with its metadata but no thumbnails.

    What cannot be written as it was is written finer: an unusual subsampling as the next finer one of 4:4:4, 4:2:2 and
    4:2:0, and YCCK as CMYK without subsampling, with the smallest value of its tables. Arithmetic coding becomes
    Huffman coding.
    """
    header = read_header(picture.source)
    coded = _encode_fast(header, pixels) or _encode_any(header, pixels, picture.color)
    written = read_header(coded)
    kept = kept_segments(header)
    if header.is_rgb or header.adobe is not None:  # the encoder's own word on the colours, where it wrote one
        kept += [segment(APP14, b"", payload) for marker, payload in written.segments if marker == APP14]
    return b"".join((b"\xff\xd8", *kept, memoryview(coded)[written.body :]))


def subsampling(header: Header) -> int:
    """Return Pillow's number for the subsampling: 0 for 4:4:4, 1 for 4:2:2, 2 for 4:2:0, or the next finer of them."""
    if len(header.components) != 3:
        return 0
    (_, h0, v0, _), (_, h1, v1, _), (_, h2, v2, _) = header.components
    if h0 >= 2 * max(h1, h2):
        return 2 if v0 >= 2 * max(v1, v2) else 1
    return 0


def _encode_any(header: Header, pixels: Pixels, color: str) -> bytes:
    tables = quantisation_tables(header)
    shared = [c[3] for c in header.components]
    while len(tables) > 1 and shared[len(tables) - 1] == shared[len(tables) - 2]:
        tables.pop()  # Pillow gives a component without a table of its own the last one
    if len(header.components) == 4 and header.adobe not in (None, 0):
        tables = [tuple(map(min, *tables))] if len(tables) > 1 else tables
    progressive = header.frame in _PROGRESSIVE
    options = {
        "qtables": [[table[n] for n in _ROW_BY_ROW] for table in tables],
        "subsampling": subsampling(header),
        "progressive": progressive,
        "keep_rgb": header.is_rgb,
    }
    image = to_image(pixels, color)
    try:
        return save(image, "JPEG", **options)
    except OSError:
        if not progressive:
            raise
        let_encode_at_least(8 * pixels.size)
        return save(image, "JPEG", **options)


def _encode_fast(header: Header, pixels: Pixels) -> bytes | None:
    """Encode without a copy of the pixels, to the very bytes that Pillow gives; None where the tables do not allow it.

    simplejpeg takes the tables of the JPEG standard by their quality (1 to 100) only, and from 96 on it takes the
    accurate transform that Pillow always takes. Most ImageNet files are of quality 96.
    """
    color = _COLORS[len(header.components)]
    if header.frame in _PROGRESSIVE or header.is_rgb or color not in _SIMPLEJPEG_COLORS:
        return None
    quality = _standard_qualities().get(tuple(quantisation_tables(header)))
    if quality is None:
        return None
    sampling = _SUBSAMPLINGS[subsampling(header)] if color == "RGB" else "Gray"
    data: bytes = simplejpeg.encode_jpeg(pixels, quality, _SIMPLEJPEG_COLORS[color], sampling, fastdct=False)
    return data


@cache
def _standard_qualities() -> dict[tuple[tuple[int, ...], ...], int]:
    """Return the quality of simplejpeg for each set of tables, one a component, that its accurate transform writes."""
    qualities = {}
    for quality in range(96, 101):
        for color, sampling, channels in (("GRAY", "Gray", 1), ("RGB", "444", 3)):
            blank = simplejpeg.encode_jpeg(np.zeros((8, 8, channels), np.uint8), quality, color, sampling)
            qualities[tuple(quantisation_tables(read_header(blank)))] = quality
    return qualities

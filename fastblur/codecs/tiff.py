"""TIFF files of one page: the pixels by Pillow, the metadata tag by tag from the source's directories (TIFF 6.0).

Tags are copied by hand: Pillow turns their types into its own, and tifffile writes files in a layout of its own.
"""

import io
import struct

import numpy as np
from PIL.TiffImagePlugin import TiffImageFile

from fastblur.codecs.embedded_images import clean_photoshop, contains_image, xmp_mentions_image
from fastblur.codecs.exif import (
    CHILDREN,
    EXIF_IFD,
    GPS_IFD,
    MAKER_NOTE,
    ORIENTATION,
    Entry,
    byte_order,
    first_ifd,
    number,
    read_ifd,
)
from fastblur.codecs.picture import CodecError, Picture, Pixels
from fastblur.codecs.pillow_io import check_size, save, to_image, to_pixels

_COLORS = {"1": "L", "L": "L", "P": "RGB", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK"}
_COMPRESSIONS = {1: None, 5: "tiff_lzw", 32773: "packbits", 50000: "zstd", 34925: "lzma"}
_DEFLATE = "tiff_adobe_deflate"
_PREDICTOR = 317
_XMP, _PHOTOSHOP, _ICC = 700, 34377, 34675
# Description, camera, orientation, resolution, software, dates, people, colour, IPTC, GeoTIFF and GDAL. Other tags may
# hold pixels (Photoshop keeps its layers in one), so they are not carried over.
_KEPT = {
    *(269, 270, 271, 272, ORIENTATION, 282, 283, 285, 296, 297, 305, 306, 315, 316, 318, 319, _XMP, 33432, 33723),
    *(33550, 33922, 34264, _PHOTOSHOP, _ICC, 34735, 34736, 34737, 42112, 42113, EXIF_IFD, GPS_IFD),
}


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode a TIFF of one page with 1 to 8 bits a channel."""
    order = byte_order(data)
    entries, following = read_ifd(data, first_ifd(data), order)
    tags = {entry.tag: entry for entry in entries}
    if following:
        raise CodecError("TIFF of several pages is not supported, expected one page")
    if 254 in tags and number(tags[254], order) & 1:
        raise CodecError("TIFF begins with a reduced image, expected the full one")
    bits = _numbers(tags.get(258), order, 1)
    if max(bits) > 8 or max(_numbers(tags.get(339), order, 1)) > 1:
        raise CodecError(f"{max(bits)}-bit TIFF is not supported, expected 8 bits a channel, unsigned")
    if 338 in tags and 1 in _numbers(tags[338], order, 0):
        raise CodecError("TIFF with premultiplied alpha is not supported, expected plain alpha")
    image = TiffImageFile(io.BytesIO(_without_orientation(data, tags.get(ORIENTATION), order)))
    check_size(image.width, image.height, max_pixels)
    if image.mode not in _COLORS:
        raise CodecError(f"TIFF of mode {image.mode} is not supported, expected grey, palette, RGB or CMYK")
    color = _COLORS[image.mode]
    turned = number(tags[ORIENTATION], order) if ORIENTATION in tags else 1
    return Picture(to_pixels(image, color), "TIFF", color, turned if 1 <= turned <= 8 else 1, data)


def encode(picture: Picture, pixels: Pixels) -> bytes:
    """Encode with the source's compression where that loses nothing and takes 8 bits, else with deflate.

    The tags that are kept are written in the source's byte order. Sub-images, JPEG previews and private tags are not.
    """
    source = picture.source
    order = byte_order(source)
    entries, _ = read_ifd(source, first_ifd(source), order)
    tags = {entry.tag: entry for entry in entries}
    compression = _COMPRESSIONS.get(number(tags[259], order) if 259 in tags else 1, _DEFLATE)
    options = {}
    if _PREDICTOR in tags and number(tags[_PREDICTOR], order) == 2 and compression not in (None, "packbits"):
        options = {"tiffinfo": {_PREDICTOR: 2}}
    coded = save(to_image(pixels, picture.color), "TIFF", compression=compression, **options)
    written, _ = read_ifd(coded, first_ifd(coded), byte_order(coded))
    out = bytearray(coded)
    out[:4] = source[:4]
    layout = [_reordered(entry, byte_order(coded), order) for entry in written if entry.tag not in _KEPT]
    kept = [entry for entry in map(_cleaned, entries) if entry.tag in _KEPT and _keep_tag(entry)]
    struct.pack_into(order + "I", out, 4, _append_ifd(out, layout + kept, source, order, 0))
    return bytes(out)


def _append_ifd(out: bytearray, entries: list[Entry], source: bytes, order: str, directory: int) -> int:
    """Append a directory, its values and the directories that hang on it; return its offset."""
    rows = []
    for _, entry in sorted({entry.tag: entry for entry in entries}.items()):
        kind, length, value = entry.kind, entry.length, entry.value
        if entry.tag in CHILDREN:
            if entry.tag not in CHILDREN[directory]:
                continue
            try:
                children, _ = read_ifd(source, number(entry, order), order)
            except ValueError:
                continue
            kind, length = 4, 1
            offset = _append_ifd(out, [child for child in children if _keep_tag(child)], source, order, entry.tag)
            value = struct.pack(order + "I", offset)
        elif len(value) > 4:
            value = struct.pack(order + "I", _append(out, value))
        rows.append(struct.pack(order + "HHI4s", entry.tag, kind, length, value))
    return _append(out, struct.pack(order + "H", len(rows)) + b"".join(rows) + bytes(4))


def _append(out: bytearray, data: bytes) -> int:
    out += bytes(len(out) % 2)  # directories and values begin at even offsets
    offset = len(out)
    out += data
    return offset


def _cleaned(entry: Entry) -> Entry:
    if entry.tag != _PHOTOSHOP:
        return entry
    value = clean_photoshop(entry.value)
    return entry._replace(kind=7 if entry.kind != 1 else 1, length=len(value), value=value)


def _keep_tag(entry: Entry) -> bool:
    if entry.tag == _XMP:
        return not xmp_mentions_image(entry.value)
    # A MakerNote points into itself from the start of the file, and it would lie elsewhere.
    return entry.tag != MAKER_NOTE and bool(entry.value) and (entry.tag == _ICC or not contains_image(entry.value))


def _reordered(entry: Entry, order: str, wanted: str) -> Entry:
    """Return the entry of Pillow's layout (SHORT, LONG and RATIONAL values) in the wanted byte order."""
    unit = {3: "u2", 4: "u4", 5: "u4"}.get(entry.kind, "u1")
    return entry._replace(value=np.frombuffer(entry.value, order + unit).astype(wanted + unit).tobytes())


def _numbers(entry: Entry | None, order: str, default: int) -> tuple[int, ...]:
    """Return the values of an entry of BYTEs, SHORTs or LONGs; `default` where there is none."""
    letter = {1: "B", 3: "H", 4: "I"}.get(entry.kind) if entry else None
    if entry is None or letter is None:
        return (default,)
    return struct.unpack(f"{order}{entry.length}{letter}", entry.value)


def _without_orientation(data: bytes, entry: Entry | None, order: str) -> bytes:
    """Return the file with orientation 1, for Pillow turns TIFF upright as it loads."""
    if entry is None:
        return data
    plain = bytearray(data)
    struct.pack_into(order + "HHIHH", plain, entry.at, ORIENTATION, 3, 1, 1, 0)
    return bytes(plain)

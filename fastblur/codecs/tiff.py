"""TIFF files of one page: the pixels by Pillow, the metadata tag by tag from the source's directories (TIFF 6.0).

Tags are copied by hand: Pillow turns their types into its own, and tifffile writes files in a layout of its own.
"""

import io
import struct
from typing import Any

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
    numbers,
    read_ifd,
)
from fastblur.codecs.further_pictures import is_reduced
from fastblur.codecs.picture import CodecError, DeepPixels, Picture, Pixels
from fastblur.codecs.pillow_io import check_size, let_decode, save, to_image, to_pixels

_COLORS = {"1": "L", "L": "L", "P": "RGB", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "CMYK": "CMYK"}
_COMPRESSIONS = {1: None, 5: "tiff_lzw", 32773: "packbits", 50000: "zstd", 34925: "lzma"}
_DEFLATE = "tiff_adobe_deflate"
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _PREDICTOR, _TILE_WIDTH, _SUB_IFDS, _EXTRA = 256, 257, 258, 277, 317, 322, 330, 338
_PLANES = 284
_LAYERS = 37724  # Photoshop's
_XMP, _PHOTOSHOP, _ICC = 700, 34377, 34675
# Description, camera, orientation, resolution, software, dates, people, colour, IPTC, GeoTIFF and GDAL. Other tags may
# hold pixels (Photoshop keeps its layers in one), so they are not carried over.
_KEPT = {
    *(269, 270, 271, 272, ORIENTATION, 282, 283, 285, 296, 297, 305, 306, 315, 316, 318, 319, _XMP, 33432, 33723),
    *(33550, 33922, 34264, _PHOTOSHOP, _ICC, 34735, 34736, 34737, 42112, 42113, EXIF_IFD, GPS_IFD),
}


def size(data: bytes) -> tuple[int, int]:
    """Return (width, height)."""
    order, tags = _tags(data)
    return number(tags[_WIDTH], order), number(tags[_HEIGHT], order)


def check(data: bytes) -> None:
    """Raise CodecError for several pages, sub-images that are no previews, layers, and depths that are not decoded."""
    _checked(data)


def _checked(data: bytes) -> tuple[str, dict[int, Entry]]:
    """Return the byte order and the entries of the one page."""
    order = byte_order(data)
    entries, following = read_ifd(data, first_ifd(data), order)
    tags = {entry.tag: entry for entry in entries}
    if following:
        raise CodecError("TIFF of several pages is not supported, expected one page")
    if not all(is_reduced(data, offset) for offset in numbers(tags.get(_SUB_IFDS), order, 0) if offset):
        raise CodecError("TIFF holds a further picture in a sub-directory, expected one picture, or previews of it")
    if _LAYERS in tags and b"Layr" in tags[_LAYERS].value.replace(b"ryaL", b"Layr"):
        raise CodecError("TIFF holds Photoshop layers, which are not searched, expected one picture")
    if 254 in tags and number(tags[254], order) & 1:
        raise CodecError("TIFF begins with a reduced image, expected the full one")
    bits = numbers(tags.get(_BITS), order, 1)
    if (max(bits) > 8 and set(bits) != {16}) or max(numbers(tags.get(339), order, 1)) > 1:
        raise CodecError(f"{max(bits)}-bit TIFF is not supported, expected 1 to 8 or 16 bits a channel, unsigned")
    if _EXTRA in tags and 1 in numbers(tags[_EXTRA], order, 0):
        raise CodecError("TIFF with premultiplied alpha is not supported, expected plain alpha")
    return order, tags


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode a TIFF of one page with 1 to 8, or 16, bits a channel."""
    order, tags = _checked(data)
    deep = numbers(tags.get(_BITS), order, 1)[0] == 16
    patched = _patched(data, tags, order, deep)
    image = TiffImageFile(io.BytesIO(patched))
    check_size(image.width // 2 if deep else image.width, image.height, max_pixels)
    let_decode(image.width, image.height)
    if image.mode not in _COLORS:
        raise CodecError(f"TIFF of mode {image.mode} is not supported, expected grey, palette, RGB or CMYK")
    color = _COLORS[image.mode]
    samples = number(tags[_SAMPLES], order) if _SAMPLES in tags else 1
    if image.mode != "P" and samples != len(color):
        raise CodecError(f"TIFF of {samples} channels is not supported, expected the {len(color)} of {color}")
    turned = number(tags[ORIENTATION], order) if ORIENTATION in tags else 1
    pixels = to_pixels(image, color)
    differences = _PREDICTOR in tags and number(tags[_PREDICTOR], order) == 2
    turned = turned if 1 <= turned <= 8 else 1
    planes = _PLANES in tags and number(tags[_PLANES], order) == 2
    return Picture(_to_deep(pixels, order, differences, planes) if deep else pixels, "TIFF", color, turned, data)


def encode(picture: Picture, pixels: Any) -> bytes:
    """Encode with the source's compression where that loses nothing and takes 8 bits, else with deflate.

    The tags that are kept are written in the source's byte order. Sub-images, JPEG previews and private tags are not.
    """
    source = picture.source
    order = byte_order(source)
    entries, _ = read_ifd(source, first_ifd(source), order)
    tags = {entry.tag: entry for entry in entries}
    compression = _COMPRESSIONS.get(number(tags[259], order) if 259 in tags else 1, _DEFLATE)
    options = {}
    deep = pixels.dtype == np.uint16
    if deep:
        pixels = _from_deep(pixels, order)
    elif _PREDICTOR in tags and number(tags[_PREDICTOR], order) == 2 and compression not in (None, "packbits"):
        options = {"tiffinfo": {_PREDICTOR: 2}}
    coded = save(to_image(pixels, picture.color), "TIFF", compression=compression, **options)
    written, _ = read_ifd(coded, first_ifd(coded), byte_order(coded))
    out = bytearray(coded)
    out[:4] = source[:4]
    layout = [_reordered(entry, byte_order(coded), order) for entry in written if entry.tag not in _KEPT]
    if deep:  # it was written as twice as many columns of 8 bits
        layout = [_with_deep_size(entry, order, pixels.shape[1] // 2) for entry in layout]
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


def _tags(data: bytes) -> tuple[str, dict[int, Entry]]:
    order = byte_order(data)
    return order, {entry.tag: entry for entry in read_ifd(data, first_ifd(data), order)[0]}


def _patched(data: bytes, tags: dict[int, Entry], order: str, deep: bool) -> bytes:
    """Return the file as Pillow reads it without a change of its own.

    Orientation becomes 1, for Pillow turns TIFF upright as it loads. Channels of 16 bits become twice as many columns
    of 8 without a predictor, for Pillow reduces RGB to 8 bits: the bytes are then those of the file.
    """
    plain = bytearray(data)
    if ORIENTATION in tags:
        struct.pack_into(order + "HHIHH", plain, tags[ORIENTATION].at, ORIENTATION, 3, 1, 1, 0)
    if deep:
        for tag in {_WIDTH, _TILE_WIDTH} & tags.keys():
            struct.pack_into(order + "HHII", plain, tags[tag].at, tag, 4, 1, 2 * number(tags[tag], order))
        bits = tags[_BITS]
        struct.pack_into(f"{order}{bits.length}H", plain, bits.value_at, *[8] * bits.length)
        if _PREDICTOR in tags:
            struct.pack_into(order + "HHIHH", plain, tags[_PREDICTOR].at, _PREDICTOR, 3, 1, 1, 0)
    return bytes(plain)


def _to_deep(
    pixels: Pixels,  # (H, 2 * W, C), the bytes of the file
    order: str,
    differences: bool,  # whether each column holds its difference to the one before
    planes: bool,  # whether the file has one channel after the other
) -> DeepPixels:  # (H, W, C)
    height, width, channels = pixels.shape
    if planes:  # Pillow interleaves bytes where the file would interleave pairs of them
        pixels = pixels.reshape(height, width // 2, 2, channels).swapaxes(2, 3)
    rows = np.ascontiguousarray(pixels).reshape(height, width // 2, 2 * channels).view(order + "u2").astype(np.uint16)
    return np.cumsum(rows, axis=1, dtype=np.uint16) if differences else rows


def _from_deep(
    pixels: DeepPixels,  # (H, W, C)
    order: str,
) -> Pixels:  # (H, 2 * W, C), the bytes of the file
    height, width, channels = pixels.shape
    return pixels.astype(order + "u2").view(np.uint8).reshape(height, 2 * width, channels)


def _with_deep_size(entry: Entry, order: str, width: int) -> Entry:
    """Return the entry of a picture of `width` columns of 16 bits."""
    if entry.tag == _WIDTH:
        return entry._replace(kind=4, length=1, value=struct.pack(order + "I", width))
    if entry.tag == _BITS:
        return entry._replace(value=struct.pack(f"{order}{entry.length}H", *[16] * entry.length))
    return entry

"""Previews that a file carries of its picture, and whether they still show it.

An editor that cuts a person off, or paints over a face, may leave the old preview in the file. Whoever searches the
picture has not searched that. A file that is written unchanged must not hold such a preview.
"""

import base64
import binascii
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from fastblur.codecs import isobmff, jpeg
from fastblur.codecs.codec import check, decode, decode_reduced, size_of
from fastblur.codecs.exif import bare, byte_order, first_ifd, numbers, read_ifd
from fastblur.codecs.formats import format_of
from fastblur.codecs.further_pictures import preview_places
from fastblur.codecs.jpeg_segments import APP1, Header, exif
from fastblur.codecs.orientation import upright_rgb
from fastblur.codecs.picture import CodecError, Picture
from fastblur.codecs.png import metadata_of
from fastblur.codecs.stripping.jpeg import without_previews

SIDE = 64  # pixels a side at which two pictures are compared
CELL = 4  # pixels a side of the parts in which they are
DIFFERENT = 12.0  # levels that a part is off at least where it shows something else
BLACK = 40  # the brightest level of a bar that is meant to be black
PICTURE_SIDE = 64  # pixels of the picture's longer side that are enough to compare

_APP11, _COM = 0xEB, 0xFE
_METADATA = {*range(0xE0, 0xF0), _COM}
_PLAIN = 24  # bytes before the tables of a JPEG that has JFIF without a thumbnail at most
# As in `embedded_images`: some cameras change a preview's first byte.
_JPEG = re.compile(rb"\xd8\xff[\xc0\xc4\xdb\xe0-\xef\xfe]")
_BASE64 = re.compile(rb"/9j/(?:[A-Za-z0-9+/=\s]|&#x?[0-9A-Fa-f]+;)+")


def file_to_copy(data: bytes, picture: Picture | None = None) -> bytes:
    """Return a file that was searched, or needs no search, as it may be written: nearly always as it is.

    A JPEG of which a preview shows something else than the picture, or cannot be read, is returned without previews and
    further pictures, its other metadata and its coded pixels as they are.

    Args:
        data: the whole file.
        picture: what `decode` or `decode_reduced` gave of it; decoded here, where needed, if it is None.

    Returns: `data` itself, or the other file.
    Raises CodecError as `check` does, and for such a preview in a file of another format.

    Example:
        >>> from io import BytesIO
        >>> from PIL import Image
        >>> from fastblur.codecs import file_to_copy
        >>> file = BytesIO()
        >>> Image.new("RGB", (40, 30)).save(file, "JPEG")
        >>> file_to_copy(file.getvalue()) == file.getvalue()
        True
    """
    name, header = format_of(data), None
    try:
        if name == "JPEG":
            header = jpeg.checked(data)
        else:
            check(data)
        if _shows_the_picture(data, header, picture):
            return data
        if name == "JPEG":
            return without_previews(data)
    except CodecError:
        raise
    except Exception as error:  # of broken bytes, whatever the readers raise
        raise CodecError(f"{name} has metadata that cannot be read ({error}), expected a valid file") from error
    raise CodecError(
        f"a preview in the metadata of the {name} does not show the picture, expected one that does, or "
        "--strip-metadata, which leaves previews out"
    )


def _shows_the_picture(data: bytes, header: Header | None, picture: Picture | None) -> bool:
    """Return whether all previews do; `header` is that of a JPEG."""
    size, compared, before = size_of(data), None, None
    for preview in _previews(data, header):
        if preview is None:
            return False
        if before is not None and np.array_equal(preview, before):  # EXIF and Photoshop have the same
            continue
        before = preview
        if compared is None:
            picture = picture or decode_reduced(data, PICTURE_SIDE) or decode(data)
            grey = Image.fromarray(upright_rgb(replace(picture, orientation=1))).convert("L")
            scale = round(8 * grey.width / size[0]) / 8  # libjpeg's, with the last column and row filled in part
            part = min(size[0] * scale, grey.width), min(size[1] * scale, grey.height)
            compared = _Compared.of(_squared(grey, part))
        if not _alike(preview, compared, size[0] / size[1]):
            return False
    return True


def _previews(data: bytes, header: Header | None) -> Iterator[NDArray[np.uint8] | None]:  # (h, w)
    """Yield the grey pixels of each preview, None for one that cannot be read."""
    name = format_of(data)
    if name == "TIFF":
        yield from _of_tiff(data)
        return
    if header is not None:
        if header.body <= _PLAIN and not any(marker in _METADATA for marker, _ in header.segments[1:]):
            return
        parts = _of_jpeg(data, header)
    elif name == "PNG":
        parts = metadata_of(data)
    elif name == "WEBP":
        info = WebPImageFile(io.BytesIO(data)).info if data[12:16] == b"VP8X" else {}
        parts = [info.get("exif", b""), info.get("xmp", b"")]
    else:
        parts = [] if name == "BMP" else _of_items(data)
    for part in parts:
        yield from _jpegs(part)
        uncompressed = _uncompressed(part)
        if uncompressed is not None:
            yield uncompressed


def _of_jpeg(data: bytes, header: Header) -> list[bytes]:
    parts: dict[tuple[int, bytes], bytes] = {}
    for marker, payload in header.segments:
        if marker not in _METADATA or (marker == APP1 and payload.startswith(b"Exif\0")):
            continue
        if marker == _APP11 and payload[:2] == b"JP":  # JUMBF in parts: instance, number, and the box's head again
            key = (marker, payload[2:4])
            parts[key] = parts[key] + payload[16:] if key in parts else payload[8:]
        elif payload.startswith(b"http://ns.adobe.com/xmp/extension/\0"):
            parts[marker, b"xmp"] = parts.get((marker, b"xmp"), b"") + payload[75:]
        else:
            parts[marker, bytes(len(parts))] = payload
    return [exif(header), *parts.values(), *(data[start:stop] for start, stop in preview_places(data, header))]


def _of_items(data: bytes) -> list[bytes]:
    """Return the EXIF and XMP of AVIF and HEIC."""
    contents = isobmff.read_contents(data)
    kinds = {item: box.kind for item, box in contents.types.items()}
    return [
        data[start : start + length]
        for item, method, start, length in contents.extents
        if kinds.get(item) in (b"Exif", b"mime") and method == isobmff.IN_FILE
    ]


def _of_tiff(data: bytes) -> Iterator[NDArray[np.uint8] | None]:
    order = byte_order(data)
    entries, _ = read_ifd(data, first_ifd(data), order)
    if not any(entry.tag in (330, 34665) for entry in entries):  # sub-images; EXIF
        return
    image = TiffImageFile(io.BytesIO(data))
    try:
        children = image.get_child_images()
        for child in children:
            yield np.asarray(child.convert("L"))
    except Exception:  # Pillow reports broken bytes with nearly every type of exception
        yield None


def _jpegs(part: bytes) -> Iterator[NDArray[np.uint8] | None]:
    for found in _JPEG.finditer(part):
        yield _read(b"\xff" + part[found.start() :])
    for found in _BASE64.finditer(part):
        text = re.sub(rb"\s|&#x?[0-9A-Fa-f]+;", b"", found[0])
        try:
            yield _read(base64.b64decode(text[: len(text) // 4 * 4]))
        except binascii.Error:
            yield None


def _read(file: bytes) -> NDArray[np.uint8] | None:
    try:
        image = Image.open(io.BytesIO(file), formats=["JPEG"])
        image.draft("L", (2 * SIDE, 2 * SIDE))
        return np.asarray(image.convert("L"))
    except Exception:  # Pillow reports broken bytes with nearly every type of exception
        return None


def _uncompressed(part: bytes) -> NDArray[np.uint8] | None:
    """Return the grey pixels of an EXIF thumbnail without compression, which is RGB of 8 bits, if there is one."""
    tiff = bare(part)
    try:
        order = byte_order(tiff)
        _, following = read_ifd(tiff, first_ifd(tiff), order)
        entries = {entry.tag: entry for entry in read_ifd(tiff, following, order)[0]} if following else {}
    except ValueError:
        return None
    if 273 not in entries or numbers(entries.get(259), order, 1)[0] != 1:
        return None
    width, height, start = (numbers(entries.get(tag), order, 0)[0] for tag in (256, 257, 273))
    rgb = np.frombuffer(tiff[start : start + 3 * width * height], np.uint8)
    return rgb.reshape(height, width, 3).mean(2).astype(np.uint8) if len(rgb) == 3 * width * height > 0 else None


class _Compared(NamedTuple):
    """A picture as previews are compared with it, its mean taken off; all (SIDE, SIDE)."""

    values: NDArray[np.float64]
    high: NDArray[np.float64]  # the largest value of each pixel and its eight neighbours
    low: NDArray[np.float64]  # the smallest

    @classmethod
    def of(cls, squared: NDArray[np.float64]) -> "_Compared":  # (SIDE, SIDE)
        values = squared - squared.mean()
        return cls(values, _extreme(values, np.maximum), _extreme(values, np.minimum))


def _alike(
    preview: NDArray[np.uint8],  # (h, w)
    picture: _Compared,
    aspect: float,  # width of the picture over its height
) -> bool:
    """Return whether a preview, turned or mirrored in any way and with black bars or not, shows the picture."""
    if min(preview.shape) < 2:
        return False
    for turns in range(4):
        turned = np.rot90(preview, turns)
        inner = _without_bars(turned, aspect)
        for version in (inner, turned) if inner.shape != turned.shape else (turned,):
            own = _squared(Image.fromarray(np.ascontiguousarray(version)))
            if any(_same(own[:, ::mirror], picture) for mirror in (1, -1)):
                return True
    return False


def _same(
    one: NDArray[np.float64],  # (SIDE, SIDE)
    other: _Compared,
) -> bool:
    """Return whether two pictures are the same but for brightness, contrast and a shift by one pixel."""
    a = one - one.mean()
    power = float((a * a).sum())
    slope = float((a * other.values).sum()) / power if power > a.size else 1.0  # of a plain picture: deviation under 1
    a = min(max(slope, 0.5), 2.0) * a
    excess = np.maximum(np.maximum(a - other.high, other.low - a), 0)
    return float(excess.reshape(SIDE // CELL, CELL, SIDE // CELL, CELL).mean((1, 3)).max()) < DIFFERENT


def _extreme(
    values: NDArray[np.float64],  # (SIDE, SIDE)
    choose: np.ufunc,  # np.maximum or np.minimum
) -> NDArray[np.float64]:  # (SIDE, SIDE)
    """Return the largest or smallest value of each pixel and its eight neighbours."""
    rows = values.copy()
    choose(rows[1:], values[:-1], out=rows[1:])
    choose(rows[:-1], values[1:], out=rows[:-1])
    both: NDArray[np.float64] = rows.copy()
    choose(both[:, 1:], rows[:, :-1], out=both[:, 1:])
    choose(both[:, :-1], rows[:, 1:], out=both[:, :-1])
    return both


def _squared(
    grey: Image.Image,
    part: tuple[float, float] | None = None,  # width and height of what is filled of it
) -> NDArray[np.float64]:  # (SIDE, SIDE)
    """Return the picture at SIDE x SIDE pixels."""
    box = (0, 0, *(part or grey.size))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box), float)


def _without_bars(
    grey: NDArray[np.uint8],  # (h, w)
    aspect: float,  # of the picture, width over height
) -> NDArray[np.uint8]:  # (h', w')
    """Cut off the black bars with which cameras bring a preview to 4:3; where there are none, return it as it is."""
    height, width = grey.shape
    wanted_width, wanted_height = min(width, round(height * aspect)), min(height, round(width / aspect))
    x, y = (width - wanted_width) // 2, (height - wanted_height) // 2
    bars = np.concatenate([grey[: max(y - 1, 0)].ravel(), grey[height - max(y - 1, 0) :].ravel()])
    sides = np.concatenate([grey[:, : max(x - 1, 0)].ravel(), grey[:, width - max(x - 1, 0) :].ravel()])
    outside = np.concatenate([bars, sides])
    if len(outside) and outside.max() > BLACK:
        return grey
    return grey[y : y + wanted_height, x : x + wanted_width]

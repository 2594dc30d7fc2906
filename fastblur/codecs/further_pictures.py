"""Pictures that a file holds in addition to the one that is decoded, and whether they show anything else.

Whoever searches the first picture has not searched these. Previews of it are harmless: where the first shows no face
they show none, and a changed file is written without them. Any other picture makes the file fail.
"""

import re
import struct

from fastblur.codecs import isobmff
from fastblur.codecs.embedded_images import contains_image
from fastblur.codecs.exif import byte_order, first_ifd, number, read_ifd
from fastblur.codecs.jpeg_scans import end_of_scans, ends_with_its_picture
from fastblur.codecs.jpeg_segments import APP1, APP2, Header
from fastblur.codecs.picture import CodecError

# Videos, archives, and what is left of a longer file over which a shorter one was written: the rest of a JPEG's scan or
# of a PNG's pixels (CVE-2023-21036).
_MORE = re.compile(rb"ftyp|moov|\x1aE\xdf\xa3|PK\x03\x04|Rar!\x1a|IDAT|IEND|\xff\xd9")
_PREVIEWS = (0x010001, 0x010002)  # the types of large thumbnails in CIPA DC-007 (Multi-Picture Format), table 4
_MP_ENTRIES = 0xB002
# Kinds of items that are pictures: coded, or made of others.
_CODED = (b"av01", b"hvc1", b"lhv1", b"jpeg", b"avc1", b"vvc1", b"grid", b"iden")
CODED_BLOCK = 64  # pixels a side: up to as many are cut off at the right and bottom, of a picture made whole blocks
_GAIN_MAP = re.compile(rb"hdrgm:|hdrgainmap|HDRGainMap", re.IGNORECASE)  # of Adobe and Android, and of Apple


def check_rest(
    name: str,  # of the format
    rest: bytes | bytearray | memoryview,  # what follows the picture's end
) -> None:
    """Raise CodecError where data after a picture's end may hold another picture or a video."""
    rest = bytes(rest)
    if rest and (contains_image(rest) or _MORE.search(rest)):
        raise CodecError(
            f"{name} is followed by {len(rest)} bytes that may show more, which is not searched, expected one picture"
        )


def check_jpeg(data: bytes, header: Header) -> None:
    """Raise CodecError where a JPEG file holds more than its first picture and previews of it."""
    if ends_with_its_picture(data, header):
        return
    end, further = end_of_scans(data, header), data.find(b"\xff\xd8\xff", header.body)
    if further >= 0:
        end = min(end, further)
    rest = bytearray(data[end:])
    for start, stop in preview_places(data, header):
        rest[max(0, start - end) : max(0, stop - end)] = bytes(max(0, stop - end) - max(0, start - end))
    check_rest("JPEG", rest)


def check_items(
    name: str,  # of the format
    data: bytes,
) -> None:
    """Raise CodecError where an AVIF or HEIC file holds more than its picture, with parts, previews and channels of it.

    Its boxes of other kinds, as those with the films of Samsung and Google, must hold neither pictures nor films.
    """
    contents = isobmff.read_contents(data)
    for box in contents.top:
        if box.kind not in (b"ftyp", b"meta"):
            rest = bytearray(data[box.start : box.end])
            for _, method, start, length in contents.extents if box.kind == b"mdat" else []:
                if method == isobmff.IN_FILE and box.start <= start <= box.end:
                    rest[start - box.start : start - box.start + length] = bytes(min(length, box.end - start))
            check_rest(name, rest)
    for left, top, right, bottom in contents.crops:
        if max(left, top) >= 1 or max(right, bottom) >= CODED_BLOCK:
            raise CodecError(f"{name} shows a part of a picture that is whole in the file, expected all of it")
    if any(box.kind == b"iovl" for box in contents.types.values()):
        raise CodecError(f"{name} lays pictures over others, which are not searched, expected one picture")
    own = {contents.primary}
    for _ in contents.references:  # a picture of parts may be made of pictures of parts
        more = {to for kind, start, to in contents.references if kind == b"dimg" and start in own}
        more |= {start for kind, start, to in contents.references if kind in (b"thmb", b"auxl", b"cdsc") and to in own}
        more |= {start for kind, start, to in contents.references if kind == b"dimg" and to in own}  # with a gain map
        if more <= own:
            break
        own |= more
    further = [item for item, box in contents.types.items() if box.kind in _CODED and item not in own]
    if further:
        raise CodecError(f"{name} holds {len(further)} further pictures, which are not searched, expected one")


def preview_places(data: bytes, header: Header) -> list[tuple[int, int]]:
    """Return where previews and gain maps lie that the Multi-Picture index lists, (start, stop) offsets."""
    index = next((p[4:] for marker, p in header.segments if marker == APP2 and p.startswith(b"MPF\0")), None)
    if index is None:
        return []
    base = data.find(b"MPF\0", 2, header.body) + 4  # from which the index counts its offsets
    has_gain_map = any(marker == APP1 and _GAIN_MAP.search(p) for marker, p in header.segments)
    previews = []
    try:
        order = byte_order(index)
        entries, _ = read_ifd(index, first_ifd(index), order)
        rows = next(entry.value for entry in entries if entry.tag == _MP_ENTRIES)
        for attributes, size, offset in (row[:3] for row in struct.iter_unpack(order + "IIIHH", rows)):
            start, stop = base + offset, base + offset + size
            kind = attributes & 0xFFFFFF
            gain_map = kind == 0 and (has_gain_map or _GAIN_MAP.search(data, start, min(stop, start + 65536)))
            if offset and (kind in _PREVIEWS or gain_map):
                previews.append((start, stop))
    except (ValueError, StopIteration, struct.error):
        return []
    return previews


def is_reduced(tiff: bytes, offset: int) -> bool:
    """Return whether the TIFF directory at `offset` is of a reduced version of another picture."""
    order = byte_order(tiff)
    entries = {entry.tag: entry for entry in read_ifd(tiff, offset, order)[0]}
    new, old = entries.get(254), entries.get(255)
    return bool(new and number(new, order) & 1) or bool(old and number(old, order) == 2)

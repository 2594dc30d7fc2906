"""AVIF and HEIC files without metadata (ISO/IEC 14496-12, sections 4 and 8.11; ISO/IEC 23008-12).

Nothing moves: an item of metadata gets a type that readers pass over, and its bytes become zero. The orientation is a
property of the picture, not metadata.
"""

from collections.abc import Iterator
from typing import NamedTuple

from fastblur.codecs.picture import CodecError

_METADATA_ITEMS = (b"Exif", b"mime", b"uri ")
_SKIPPED = b"skip"
_IN_FILE, _IN_IDAT = 0, 1  # how an item's offsets are meant
_STRUCTURE = (b"ftyp", b"meta")


class _Box(NamedTuple):
    kind: bytes
    at: int  # offset of its type
    start: int  # of what is in it
    end: int


class _Extent(NamedTuple):
    item: int
    method: int
    start: int
    length: int


def strip(data: bytes) -> bytes:
    """Return a file of the same length without Exif, XMP and other such items, and without what no item lists."""
    top = list(_boxes(data, 0, len(data)))
    meta = next((box for box in top if box.kind == b"meta"), None)
    if meta is None or any(box.kind in (b"moov", b"moof") for box in top):
        raise CodecError("the file is no plain picture with a list of its items, expected one without a film")
    inside = {box.kind: box for box in _boxes(data, meta.start + 4, meta.end)}
    types = _item_types(data, inside[b"iinf"])
    metadata = {item for item, box in types.items() if box.kind in _METADATA_ITEMS}
    out = bytearray(len(data))
    for box in top:
        begin, end = box.at - 4, box.end if box.kind in _STRUCTURE else box.start
        out[begin:end] = data[begin:end]
        if box.kind not in (*_STRUCTURE, b"mdat"):
            out[box.at : box.at + 4] = b"free"
    for item, method, start, length in _extents(data, inside[b"iloc"]):
        if item not in metadata:
            if method == _IN_FILE:
                out[start : start + length] = data[start : start + length]
        elif method == _IN_IDAT:
            start += inside[b"idat"].start
            out[start : start + length] = bytes(length)
        elif method != _IN_FILE:
            raise CodecError("an item of metadata lies within another item, expected it within the file")
    for item in metadata:
        box = types[item]
        out[box.at : box.at + 4] = _SKIPPED
        out[box.start : box.end] = bytes(box.end - box.start)  # its name and content type
    return bytes(out)


def _boxes(data: bytes, at: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between two offsets; raises CodecError for one that does not lie within them."""
    while at + 8 <= end:
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        stop = at + size if size else end
        if not start <= stop <= end:
            raise CodecError(f"a box at {at} ends at {stop}, expected it within the {end} bytes")
        yield _Box(data[at + 4 : at + 8], at + 4, start, stop)
        at = stop


def _item_types(data: bytes, iinf: _Box) -> dict[int, _Box]:
    """Return, for each item, its type, where that stands, and where its name and what follows begin and end."""
    found = {}
    count_bytes = 4 if data[iinf.start] else 2
    for entry in _boxes(data, iinf.start + 4 + count_bytes, iinf.end):
        version = data[entry.start]
        if entry.kind != b"infe" or version < 2:
            raise CodecError(f"the list of items has an entry {entry.kind!r} of version {version}, expected 2 or 3")
        id_bytes = 2 if version == 2 else 4
        item = int.from_bytes(data[entry.start + 4 : entry.start + 4 + id_bytes], "big")
        at = entry.start + 4 + id_bytes + 2
        found[item] = _Box(data[at : at + 4], at, at + 4, entry.end)
    return found


def _extents(data: bytes, iloc: _Box) -> Iterator[_Extent]:
    """Yield where the parts of items lie."""
    version = data[iloc.start]
    at = iloc.start + 4
    sizes = data[at] >> 4, data[at] & 15, data[at + 1] >> 4, data[at + 1] & 15
    offset_bytes, length_bytes, base_bytes, index_bytes = sizes if version else (*sizes[:3], 0)
    at += 2

    def take(count: int) -> int:
        nonlocal at
        at += count
        return int.from_bytes(data[at - count : at], "big")

    id_bytes = 4 if version == 2 else 2
    for _ in range(take(id_bytes)):
        item = take(id_bytes)
        method = take(2) & 15 if version else _IN_FILE
        take(2)  # of which file
        base = take(base_bytes)
        for _ in range(take(2)):
            if at > iloc.end:
                raise CodecError("the list of where items lie is cut short, expected a whole file")
            take(index_bytes)
            start = base + take(offset_bytes)
            length = take(length_bytes)
            yield _Extent(item, method, start, length or len(data) - start)

"""The boxes of AVIF and HEIC files, and the items that they list (ISO/IEC 14496-12, sections 4 and 8.11)."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from fastblur.codecs.picture import CodecError

IN_FILE, IN_IDAT = 0, 1  # how an extent's offset is meant


class Box(NamedTuple):
    """A box: its kind, and offsets of that kind, of what is in the box and of its end."""

    kind: bytes
    at: int
    start: int
    end: int


class Extent(NamedTuple):
    """A part of an item: which, how its offset is meant, where it begins and how long it is."""

    item: int
    method: int
    start: int
    length: int


class Contents(NamedTuple):
    """What a file says of its items.

    Attributes:
        top: the boxes of the file.
        idat: offset of the data within the list of items; 0 without any.
        types: the kind of each item, where that stands, and where its name and what follows begin and end.
        extents: where the parts of items lie.
        primary: the item that is the picture.
        references: (kind, from, to) of each reference between items.
        crops: of items of which only a part is shown, the pixels cut off at the left, top, right and bottom.
    """

    top: list[Box]
    idat: int
    types: dict[int, Box]
    extents: list[Extent]
    primary: int
    references: list[tuple[bytes, int, int]]
    crops: list[tuple[float, float, float, float]]


def read_contents(data: bytes) -> Contents:
    """Parse a file. Raises CodecError, IndexError or KeyError for one that is broken or is no plain picture."""
    top = list(boxes(data, 0, len(data)))
    meta = next((box for box in top if box.kind == b"meta"), None)
    if meta is None or any(box.kind in (b"moov", b"moof") for box in top):
        raise CodecError("the file is no plain picture with a list of its items, expected one without a film")
    inside = {box.kind: box for box in boxes(data, meta.start + 4, meta.end)}
    pitm = inside[b"pitm"]
    return Contents(
        top,
        inside[b"idat"].start if b"idat" in inside else 0,
        _types(data, inside[b"iinf"]),
        list(_extents(data, inside[b"iloc"])),
        int.from_bytes(data[pitm.start + 4 : pitm.end], "big"),
        list(_references(data, inside[b"iref"])) if b"iref" in inside else [],
        list(_crops(data, inside[b"iprp"])) if b"iprp" in inside else [],
    )


def boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two offsets; raises CodecError for one that does not lie within them."""
    while at < end:
        size, start = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        stop = at + size if size else end
        if not start <= stop <= end:
            raise CodecError(f"a box at {at} ends at {stop}, expected it within the {end} bytes")
        yield Box(data[at + 4 : at + 8], at + 4, start, stop)
        at = stop


def _types(data: bytes, iinf: Box) -> dict[int, Box]:
    found = {}
    for entry in boxes(data, iinf.start + 4 + (4 if data[iinf.start] else 2), iinf.end):
        version = data[entry.start]
        if entry.kind != b"infe" or version < 2:
            raise CodecError(f"the list of items has an entry {entry.kind!r} of version {version}, expected 2 or 3")
        id_bytes = 2 if version == 2 else 4
        item = int.from_bytes(data[entry.start + 4 : entry.start + 4 + id_bytes], "big")
        at = entry.start + 4 + id_bytes + 2
        found[item] = Box(data[at : at + 4], at, at + 4, entry.end)
    return found


def _extents(data: bytes, iloc: Box) -> Iterator[Extent]:
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
        method = take(2) & 15 if version else IN_FILE
        take(2)  # of which file
        base = take(base_bytes)
        for _ in range(take(2)):
            if at > iloc.end:
                raise CodecError("the list of where items lie is cut short, expected a whole file")
            take(index_bytes)
            start = base + take(offset_bytes)
            length = take(length_bytes)
            yield Extent(item, method, start, length or len(data) - start)


def _references(data: bytes, iref: Box) -> Iterator[tuple[bytes, int, int]]:
    size = 4 if data[iref.start] else 2
    for box in boxes(data, iref.start + 4, iref.end):
        numbers = [int.from_bytes(data[at : at + size], "big") for at in range(box.start, box.start + size, size)]
        first = box.start + size + 2
        for at in range(first, box.end, size):
            yield box.kind, numbers[0], int.from_bytes(data[at : at + size], "big")


def _crops(data: bytes, iprp: Box) -> Iterator[tuple[float, float, float, float]]:
    """Yield what the clean apertures of items cut off (ISO/IEC 14496-12, section 12.1.4)."""
    inside = {box.kind: box for box in boxes(data, iprp.start, iprp.end)}
    properties = list(boxes(data, inside[b"ipco"].start, inside[b"ipco"].end))
    for numbers in _associations(data, inside[b"ipma"]):
        listed = [properties[number - 1] for number in numbers if 0 < number <= len(properties)]
        own = {box.kind: box for box in listed}
        if b"clap" not in own or b"ispe" not in own:
            continue
        size = struct.unpack_from(">II", data, own[b"ispe"].start + 4)
        shown_and_offsets = struct.unpack_from(">IIIIiIiI", data, own[b"clap"].start)
        width, height, x, y = (shown_and_offsets[i] / (shown_and_offsets[i + 1] or 1) for i in range(0, 8, 2))
        left, top = (size[0] - width) / 2 + x, (size[1] - height) / 2 + y
        yield left, top, size[0] - width - left, size[1] - height - top


def _associations(data: bytes, ipma: Box) -> Iterator[list[int]]:
    """Yield the numbers, from 1, of each item's properties."""
    version, is_wide = data[ipma.start], data[ipma.start + 3] & 1
    at = ipma.start + 8
    for _ in range(int.from_bytes(data[ipma.start + 4 : at], "big")):
        at += 4 if version else 2
        count, size = data[at], 2 if is_wide else 1
        at += 1
        numbers = [int.from_bytes(data[i : i + size], "big") for i in range(at, at + count * size, size)]
        yield [number & (0x7FFF if is_wide else 0x7F) for number in numbers]
        at += count * size

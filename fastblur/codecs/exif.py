"""EXIF and TIFF directories: reading them, the orientation, and EXIF without its thumbnails and previews.

By hand, because no library keeps what may stay at its very offset, which MakerNotes need, and drops all the rest:
piexif is no longer maintained, exif cannot choose by tag, exiv2 is GPL, and Pillow writes the directories again and
keeps MakerNotes unseen.
"""

import struct
from typing import NamedTuple

from fastblur.codecs.embedded_images import contains_image

ORIENTATION = 0x112
EXIF_IFD = 0x8769
GPS_IFD = 0x8825
INTEROP_IFD = 0xA005
MAKER_NOTE = 0x927C

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
# Which directories may hang on which; other pointers are cut.
CHILDREN: dict[int, tuple[int, ...]] = {0: (EXIF_IFD, GPS_IFD), EXIF_IFD: (INTEROP_IFD,), GPS_IFD: (), INTEROP_IFD: ()}
# Pixels, and pointers to pixels, that no directory of a photograph's metadata needs: strips, tiles, SubIFDs, a JPEG
# thumbnail, its GDI+ twin, and Photoshop's resources and layers.
_PICTURE_TAGS = {0x111, 0x117, 0x144, 0x145, 0x14A, 0x15B, 0x201, 0x202, 0x501B, 0x8649, 0x935C, 0xC634}


class Entry(NamedTuple):
    """An entry of a directory: tag, type, number of values, their raw bytes, and where entry and values begin."""

    tag: int
    kind: int
    length: int
    value: bytes
    at: int
    value_at: int


def byte_order(tiff: bytes) -> str:
    """Return "<" or ">" for `struct`. Raises ValueError for bytes that are not TIFF."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        raise ValueError(f"TIFF begins with {tiff[:4]!r}, expected b'II*\\0' or b'MM\\0*' and an offset")
    return order


def first_ifd(tiff: bytes) -> int:
    """Return the offset of the first directory."""
    return int(struct.unpack_from(byte_order(tiff) + "I", tiff, 4)[0])


def read_ifd(tiff: bytes, offset: int, order: str) -> tuple[list[Entry], int]:
    """Return a directory's entries and the offset of the next directory (0: none).

    Entries of an unknown type, or whose value lies outside the data, are left out. Raises ValueError for a directory
    that does not lie within the data, or whose values together are larger than the data.
    """
    if not 8 <= offset <= len(tiff) - 2:
        raise ValueError(f"a TIFF directory lies at {offset}, expected it within the {len(tiff)} bytes")
    (count,) = struct.unpack_from(order + "H", tiff, offset)
    end = offset + 2 + 12 * count
    if not count or end > len(tiff):
        raise ValueError(f"a TIFF directory at {offset} has {count} entries, expected them within {len(tiff)} bytes")
    entries = []
    total = 0
    for at in range(offset + 2, end, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", tiff, at)
        size = _TYPE_SIZES.get(kind, 0) * length
        value_at = at + 8 if size <= 4 else struct.unpack_from(order + "I", tiff, at + 8)[0]
        if size and value_at + size <= len(tiff):
            total += size
            if total > len(tiff):
                raise ValueError(f"a TIFF directory at {offset} has more values than the {len(tiff)} bytes of data")
            entries.append(Entry(tag, kind, length, tiff[value_at : value_at + size], at, value_at))
    following = struct.unpack_from(order + "I", tiff, end)[0] if end + 4 <= len(tiff) else 0
    return entries, following


def number(entry: Entry, order: str) -> int:
    """Return the value of an entry that is one BYTE, SHORT or LONG, else 0."""
    if entry.length != 1 or entry.kind not in (1, 3, 4, 13):
        return 0
    return int.from_bytes(entry.value, "little" if order == "<" else "big")


def numbers(entry: Entry | None, order: str, default: int) -> tuple[int, ...]:
    """Return the values of an entry of BYTEs, SHORTs or LONGs; `default` where there is none."""
    letter = {1: "B", 3: "H", 4: "I", 13: "I"}.get(entry.kind) if entry else None
    if entry is None or letter is None:
        return (default,)
    return struct.unpack(f"{order}{entry.length}{letter}", entry.value)


def bare(exif: bytes) -> bytes:
    """Return EXIF without the "Exif" in front that JPEG has and other formats may have."""
    return exif[6:] if exif.startswith(b"Exif\0") else exif


def orientation(exif: bytes) -> int:
    """Return the EXIF orientation, 1 to 8; 1 where there is none, or the EXIF is broken."""
    tiff = bare(exif)
    try:
        order = byte_order(tiff)
        entries, _ = read_ifd(tiff, first_ifd(tiff), order)
    except ValueError:
        return 1
    value = next((number(entry, order) for entry in entries if entry.tag == ORIENTATION), 1)
    return value if 1 <= value <= 8 else 1


def clean_exif(exif: bytes) -> bytes:
    """Return EXIF (without "Exif" in front) that no longer shows the picture; empty where nothing is left.

    What can be reached from the main directory and its Exif, GPS and interoperability directories is kept at its very
    offset, and every other byte becomes zero: the thumbnail directory, its JPEG or uncompressed thumbnail, and whatever
    else lay about. An entry that holds an image file goes; so does the MakerNote with an embedded JPEG preview (a
    MakerNote that points outside itself loses what it points to). EXIF that cannot be parsed is dropped.
    """
    tiff = bare(exif)
    try:
        order = byte_order(tiff)
        out = bytearray(len(tiff))
        out[:8] = tiff[:8]
        end = _keep(tiff, out, first_ifd(tiff), order, 0)
    except ValueError:
        return b""
    if contains_image(bytes(out)):  # two entries shared an image's bytes
        return only_orientation(orientation(tiff))
    return bytes(out[:end])


def _keep(tiff: bytes, out: bytearray, offset: int, order: str, directory: int) -> int:
    """Copy a directory and what it needs to the same place in `out`; return the end of the last byte copied."""
    entries, _ = read_ifd(tiff, offset, order)
    kept = []
    end = offset
    for entry in entries:
        if entry.tag in CHILDREN:
            if entry.tag not in CHILDREN[directory]:
                continue
            try:
                end = max(end, _keep(tiff, out, number(entry, order), order, entry.tag))
            except ValueError:
                continue
        elif entry.tag in _PICTURE_TAGS or contains_image(entry.value):
            continue
        kept.append(entry)
    struct.pack_into(order + "H", out, offset, len(kept))
    at = offset + 2
    for entry in kept:
        out[at : at + 12] = tiff[entry.at : entry.at + 12]
        if len(entry.value) > 4:
            out[entry.value_at : entry.value_at + len(entry.value)] = entry.value
            end = max(end, entry.value_at + len(entry.value))
        at += 12
    out[at : at + 4] = bytes(4)  # no next directory
    return max(end, at + 4)


def only_orientation(value: int) -> bytes:
    """Return EXIF (without "Exif" in front) of an orientation alone; empty for 1."""
    return b"" if value == 1 else struct.pack("<4sIHHHIHHI", b"II*\0", 8, 1, ORIENTATION, 3, 1, value, 0, 0)

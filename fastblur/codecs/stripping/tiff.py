"""TIFF files without metadata: what is needed stays at its place, every other byte becomes zero (TIFF 6.0)."""

import struct

from fastblur.codecs.exif import ORIENTATION, Entry, byte_order, first_ifd, numbers, read_ifd
from fastblur.codecs.picture import CodecError

_OFFSETS_AND_LENGTHS = ((273, 279), (324, 325))  # of strips, of tiles
_ICC = 34675
# Layout of the pixels, what they mean, transparency, resolution, and the tables of JPEG in TIFF.
_NEEDED = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, ORIENTATION, 277, 278, 279, 280, 281, 282, 283, 284),
    *(288, 289, 290, 291, 292, 293, 296, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 332, 334, 336, 338, 339),
    *(340, 341, 342, 347, 529, 530, 531, 532, _ICC),
}
_OLD_JPEG = 6  # a compression whose pixels lie at places that several tags give


def strip(data: bytes) -> bytes:
    """Return a file of the same layout; sub-images, which are previews, go."""
    order = byte_order(data)
    start = first_ifd(data)
    entries, _ = read_ifd(data, start, order)
    tags = {entry.tag: entry for entry in entries}
    if numbers(tags.get(259), order, 1)[0] == _OLD_JPEG:
        raise CodecError("TIFF in old-style JPEG keeps its metadata, expected another compression")
    out = bytearray(len(data))
    out[:8] = data[:8]
    end = max(8, _keep_pixels(data, out, [(tags.get(a), tags.get(b)) for a, b in _OFFSETS_AND_LENGTHS], order))
    kept = [entry for entry in entries if entry.tag in _NEEDED]
    rows = b"".join(data[entry.at : entry.at + 12] for entry in kept)
    directory = struct.pack(order + "H", len(kept)) + rows + bytes(4)
    out[start : start + len(directory)] = directory
    end = max(end, start + len(directory))
    for entry in kept:
        if len(entry.value) > 4:
            out[entry.value_at : entry.value_at + len(entry.value)] = entry.value
            end = max(end, entry.value_at + len(entry.value))
    return bytes(out[:end])


def _keep_pixels(data: bytes, out: bytearray, places: list[tuple[Entry | None, Entry | None]], order: str) -> int:
    """Copy strips and tiles to the same place in `out`; return the end of the last one."""
    end = 0
    for offsets, lengths in places:
        if offsets is None:
            continue
        starts, sizes = numbers(offsets, order, 0), numbers(lengths, order, 0)
        if len(starts) != len(sizes) or 0 in (*starts, *sizes):  # 0 also where a tag is missing or of another type
            raise CodecError("TIFF does not say how long its strips are, expected that to tell them from its metadata")
        for start, size in zip(starts, sizes, strict=True):
            if start + size > len(data):
                raise CodecError(f"TIFF is cut short after {len(data)} bytes, expected pixels up to {start + size}")
            out[start : start + size] = data[start : start + size]
            end = max(end, start + size)
    if not end:
        raise CodecError("TIFF does not say where its pixels are, expected strips or tiles")
    return end

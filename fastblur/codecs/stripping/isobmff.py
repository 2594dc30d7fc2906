"""AVIF and HEIC files without metadata.

Nothing moves: an item of metadata gets a type that readers pass over, and its bytes become zero. The orientation is a
property of the picture, not metadata.
"""

from fastblur.codecs.isobmff import IN_FILE, IN_IDAT, read_contents
from fastblur.codecs.picture import CodecError

_METADATA_ITEMS = (b"Exif", b"mime", b"uri ")
_SKIPPED = b"skip"
_STRUCTURE = (b"ftyp", b"meta")


def strip(data: bytes) -> bytes:
    """Return a file of the same length without Exif, XMP and other such items, and without what no item lists."""
    contents = read_contents(data)
    metadata = {item for item, box in contents.types.items() if box.kind in _METADATA_ITEMS}
    out = bytearray(len(data))
    for box in contents.top:
        begin, end = box.at - 4, box.end if box.kind in _STRUCTURE else box.start
        out[begin:end] = data[begin:end]
        if box.kind not in (*_STRUCTURE, b"mdat"):
            out[box.at : box.at + 4] = b"free"
    for item, method, start, length in contents.extents:
        if item not in metadata:
            if method == IN_FILE:
                out[start : start + length] = data[start : start + length]
        elif method == IN_IDAT:
            start += contents.idat
            out[start : start + length] = bytes(length)
        elif method != IN_FILE:
            raise CodecError("an item of metadata lies within another item, expected it within the file")
    for item in metadata:
        box = contents.types[item]
        out[box.at : box.at + 4] = _SKIPPED
        out[box.start : box.end] = bytes(box.end - box.start)  # its name and content type
    return bytes(out)

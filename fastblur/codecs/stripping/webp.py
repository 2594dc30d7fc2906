"""WebP files without metadata (RFC 9649, section 2.7)."""

import struct

from fastblur.codecs.exif import only_orientation, orientation
from fastblur.codecs.picture import CodecError

_PICTURE = (b"VP8X", b"ICCP", b"ALPH", b"VP8 ", b"VP8L")
_EXIF_FLAG, _XMP_FLAG = 0x08, 0x04  # of the chunk VP8X


def strip(data: bytes) -> bytes:
    """Return the file with the chunks of its picture and colour profile, and EXIF of the orientation only."""
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + size > len(data):
            raise CodecError(f"WebP is cut short in a chunk of {size} bytes, expected a whole file")
        chunks.setdefault(name, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    turned = orientation(chunks.get(b"EXIF", b""))
    kept = {name: body for name, body in chunks.items() if name in _PICTURE}
    if b"VP8X" in kept:
        flags = kept[b"VP8X"][0] & ~(_EXIF_FLAG | _XMP_FLAG)
        if turned != 1:
            flags |= _EXIF_FLAG
            kept[b"EXIF"] = only_orientation(turned)
        kept[b"VP8X"] = bytes([flags]) + kept[b"VP8X"][1:]
    body = b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for name, content in kept.items()
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body

"""PNG files without metadata: chunks that say how the picture looks stay as they are, the others go."""

import struct

from fastblur.codecs.exif import only_orientation
from fastblur.codecs.picture import CodecError
from fastblur.codecs.png import make_chunk, read_orientation

# Ancillary chunks (W3C PNG, third edition, section 11.3) that change how the picture looks. Critical ones all stay.
_NEEDED = {
    *(b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI"),  # colour space
    *(b"tRNS", b"bKGD", b"hIST", b"pHYs"),
}


def strip(data: bytes) -> bytes:
    """Return the file up to its end chunk, with an eXIf chunk of the orientation where the picture is turned."""
    turned = read_orientation(data)
    parts = [data[:8]]
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        name, end = data[at + 4 : at + 8], at + 12 + size
        if end > len(data):
            break
        if name == b"IDAT" and turned != 1:
            parts.append(make_chunk(b"eXIf", only_orientation(turned)))
            turned = 1
        is_critical = not name[0] & 0x20
        if is_critical or name in _NEEDED:
            parts.append(data[at:end])
        if name == b"IEND":
            return b"".join(parts)
        at = end
    raise CodecError(f"PNG is cut short after {at} bytes, expected a whole file")

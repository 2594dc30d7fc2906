"""The scans of a JPEG file (ITU-T T.81, annexes B and G): where they end, and whether all coefficients are there."""

import re

import numpy as np

from fastblur.codecs.jpeg_segments import DHT, EOI, SOI, SOS, Header

# In a scan, 0xFF is followed by a stuffed zero, a restart marker or more filling; anything else is a marker.
MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")


def ends_with_its_picture(data: bytes, header: Header) -> bool:
    """Return whether no start or end of a picture is found after the header but at the file's end, as in most files."""
    from fastblur.codecs.jpeg_search import first_start_or_end  # which loads Numba

    first = first_start_or_end(np.frombuffer(data, np.uint8), header.body)
    return first == len(data) or (first == len(data) - 2 and data[-1] == EOI)


def end_of_scans(data: bytes, header: Header) -> int:
    """Return the offset after the end marker; of the next file's start, or the data's end, where there is none."""
    at = header.body
    while (found := MARKER.search(data, at)) is not None:
        marker = data[found.start() + 1]
        if marker == EOI:
            return found.end()
        if marker == SOI:
            return found.start()
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")  # over the segment
    return len(data)


def without_coding(data: bytes) -> bytes:
    """Return a JPEG file without coded pixels and without the Huffman tables that encoders fit to them.

    Example:
        >>> from io import BytesIO
        >>> from PIL import Image
        >>> from fastblur.codecs.jpeg_scans import without_coding
        >>> files = [BytesIO(), BytesIO()]
        >>> for level, file in enumerate(files):
        ...     Image.new("L", (64, 64), 90 * level).save(file, "JPEG", optimize=True)
        >>> black, grey = (file.getvalue() for file in files)
        >>> black == grey, without_coding(black) == without_coding(grey)
        (False, True)
    """
    kept, at, in_scan = bytearray(), 0, False
    while (found := MARKER.search(data, at)) is not None:
        marker = data[found.start() + 1]
        end = found.end()
        if marker not in (SOI, EOI):
            end += int.from_bytes(data[end : end + 2], "big")
        if not in_scan:
            kept += data[at : found.start()]
        kept += data[found.start() : found.end() if marker == DHT else end]
        at, in_scan = end, marker == SOS
        if marker == EOI:
            break
    return bytes(kept + data[at:])


def has_all_scans(data: bytes, header: Header) -> bool:
    """Return whether the scans bring every coefficient of every component in full, and no segment is cut short."""
    missing = {component[0]: set(range(64)) for component in header.components}
    at = header.body
    while (found := MARKER.search(data, at)) is not None and data[found.start() + 1] != EOI:
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
        if at > len(data):
            return False
        if data[found.start() + 1] == SOS:
            count = data[found.end() + 2]
            first, last, precision = data[at - 3 : at]
            for i in range(count):
                if precision & 15 == 0:
                    missing.get(data[found.end() + 3 + 2 * i], set()).difference_update(range(first, last + 1))
    return not any(missing.values())

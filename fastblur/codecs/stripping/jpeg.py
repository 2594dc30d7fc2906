"""JPEG files without metadata: segments of the applications and comments go, tables and scans stay as they are."""

from fastblur.codecs.exif import only_orientation, orientation
from fastblur.codecs.jpeg_scans import MARKER
from fastblur.codecs.jpeg_segments import (
    APP0,
    APP1,
    APP2,
    APP14,
    COM,
    EOI,
    SOI,
    Header,
    exif,
    kept_segments,
    read_header,
    segment,
)


def strip(data: bytes) -> bytes:
    """Return the file up to the end of its picture, with JFIF, ICC, Adobe's colours and the orientation only."""
    header = read_header(data)
    return b"".join((b"\xff\xd8", *_needed(header), *_tables(header), *_scans(data, header.scan)))


def without_previews(data: bytes) -> bytes:
    """Return the file up to the end of its picture, with all metadata but those that hold a picture."""
    header = read_header(data)
    kept = kept_segments(header)
    if len(header.components) != 3 or header.is_rgb:  # of which it leaves out the colours
        kept += _adobe(header)
    return b"".join((b"\xff\xd8", *kept, *_tables(header), *_scans(data, header.scan)))


def _is_metadata(marker: int) -> bool:
    return 0xE0 <= marker <= 0xEF or marker == COM


def _tables(header: Header) -> list[bytes]:
    return [segment(marker, b"", payload) for marker, payload in header.segments if not _is_metadata(marker)]


def _adobe(header: Header) -> list[bytes]:
    """Return the segments that say what the colours are."""
    adobe = [payload for marker, payload in header.segments if marker == APP14 and payload.startswith(b"Adobe")]
    return [segment(APP14, b"", payload[:12]) for payload in adobe if len(payload) >= 12]


def _needed(header: Header) -> list[bytes]:
    """Return the segments without which the picture would look different, JFIF first."""
    jfif, exif_segments = [], []
    if header.jfif is not None:
        jfif = [segment(APP0, b"", header.jfif[:12] + b"\0\0")]  # a thumbnail of 0 x 0
    if (turned := orientation(exif(header))) != 1:
        exif_segments = [segment(APP1, b"Exif\0\0", only_orientation(turned))]
    parts = [payload for marker, payload in header.segments if marker == APP2 and payload.startswith(b"ICC_PROFILE\0")]
    return [*jfif, *exif_segments, *(segment(APP2, b"", part) for part in parts), *_adobe(header)]


def _scans(data: bytes, start: int) -> list[bytes]:
    """Return the scans with the tables between them, from `start` to the end marker or, without one, the last scan.

    Metadata between them are left out.
    """
    parts: list[bytes] = []
    kept = at = start
    while (found := MARKER.search(data, at)) is not None:
        marker = data[found.start() + 1]
        if marker in (EOI, SOI):
            end = found.end() if marker == EOI else found.start()
            return [*parts, data[kept:end]]
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
        if _is_metadata(marker):
            parts.append(data[kept : found.start()])
            kept = at
    return [*parts, data[kept:]]

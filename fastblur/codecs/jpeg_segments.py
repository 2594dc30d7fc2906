"""The segments of a JPEG file before its pixels: frame, tables, and the metadata that may stay in a changed image.

Markers are numbered as in ITU-T T.81, table B.1; APP segments as JFIF, Exif (JEITA CP-3451), XMP part 3 and the ICC
specification use them. By hand, because Pillow gives the segments only together with a decoder, and not where the
pixels begin.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from fastblur.codecs.embedded_images import clean_photoshop, contains_image, xmp_mentions_image
from fastblur.codecs.exif import clean_exif
from fastblur.codecs.picture import CodecError

APP0, APP1, APP2, APP13, APP14, COM = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
SOI, EOI, SOS, DQT, DHT = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_PAYLOAD = {0x00, 0x01, *range(0xD0, 0xD9)}

_EXIF = b"Exif\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
_LONGEST = 65533  # bytes of payload in a segment


@dataclass(frozen=True)
class Header:
    """What stands before the first scan.

    Attributes:
        segments: (marker, payload) of every segment in order, the frame included.
        body: offset of the first segment that is neither APP nor COM.
        frame: marker of the frame, 0xC0 for baseline, 0xC2 for progressive.
        bits: bits a sample.
        height, width: in pixels.
        components: (identifier, horizontal factor, vertical factor, quantisation table) of each.
        scan: offset of the marker after all that, of the first scan.
    """

    segments: list[tuple[int, bytes]] = field(repr=False)
    body: int
    frame: int
    bits: int
    height: int
    width: int
    components: list[tuple[int, int, int, int]]
    scan: int

    @property
    def jfif(self) -> bytes | None:
        """The payload of the JFIF segment, which makes the colours of three components YCbCr."""
        return next((p for m, p in self.segments if m == APP0 and p.startswith(b"JFIF\0") and len(p) >= 14), None)

    @property
    def adobe(self) -> int | None:
        """The colour transform of the Adobe segment: 0 none, 1 YCbCr, 2 YCCK; None without that segment."""
        adobe = (p[11] for m, p in self.segments if m == APP14 and p.startswith(b"Adobe") and len(p) >= 12)
        return next(adobe, None)

    @property
    def is_rgb(self) -> bool:
        """Whether three components are R, G, B; decided as libjpeg decides it (its default_decompress_parms)."""
        if len(self.components) != 3 or self.jfif is not None:
            return False
        if self.adobe is not None:
            return self.adobe == 0
        return bytes(c[0] for c in self.components) == b"RGB"


def read_header(data: bytes) -> Header:
    """Parse a JPEG file up to its first scan. Raises CodecError where that is impossible."""
    segments: list[tuple[int, bytes]] = []
    frame = b""
    frame_marker = body = 0
    at = 2
    while True:
        at = data.find(b"\xff", at)  # what is between segments is skipped, as libjpeg does
        if at < 0 or at + 4 > len(data):
            raise CodecError(f"JPEG ends after {len(data)} bytes, before its pixels, expected a whole file")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _WITHOUT_PAYLOAD:
            at += 2
            continue
        if not body and not APP0 <= marker <= 0xEF and marker != COM:
            body = at
        if marker in (SOS, EOI):
            break
        end = at + 2 + (data[at + 2] << 8 | data[at + 3])
        if end > len(data) or end < at + 4:
            raise CodecError(f"JPEG is cut short in segment 0x{marker:02X} at byte {len(data)}, expected a whole file")
        payload = data[at + 4 : end]
        segments.append((marker, payload))
        if marker in _FRAMES:
            frame, frame_marker = payload, marker
        at = end
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        raise CodecError("JPEG has no frame before its pixels, expected a valid file")
    components = [(frame[i], frame[i + 1] >> 4, frame[i + 1] & 15, frame[i + 2]) for i in range(6, 6 + 3 * frame[5], 3)]
    height, width = frame[1] << 8 | frame[2], frame[3] << 8 | frame[4]
    return Header(segments, body, frame_marker, frame[0], height, width, components, at)


def read_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) from the frame, quickly; raises CodecError or IndexError where there is none."""
    at = data.find(b"\xff", 2)
    while 0 <= at < len(data) - 9:
        marker = data[at + 1]
        if marker in _FRAMES:
            return data[at + 7] << 8 | data[at + 8], data[at + 5] << 8 | data[at + 6]
        if marker in (SOS, EOI):
            break
        if marker == 0xFF:
            at += 1
        else:
            at = data.find(b"\xff", at + 2 + (0 if marker in _WITHOUT_PAYLOAD else data[at + 2] << 8 | data[at + 3]))
    raise CodecError("JPEG has no frame before its pixels, expected a valid file")


def quantisation_tables(header: Header) -> list[tuple[int, ...]]:
    """Return each component's table, 64 values in the file's zigzag order. Raises CodecError if one is missing."""
    tables: dict[int, tuple[int, ...]] = {}
    for marker, payload in header.segments:
        at = 0
        while marker == DQT and at < len(payload):
            size = 2 if payload[at] >> 4 else 1
            values = payload[at + 1 : at + 1 + 64 * size]
            if len(values) == 64 * size:
                tables[payload[at] & 15] = struct.unpack(">64H" if size == 2 else "64B", values)
            at += 1 + 64 * size
    missing = [c[3] for c in header.components if c[3] not in tables]
    if missing:
        raise CodecError(f"JPEG has no quantisation table {missing[0]} before its pixels, expected a valid file")
    return [tables[c[3]] for c in header.components]


def exif(header: Header) -> bytes:
    """Return the payloads of all EXIF segments, joined, without "Exif" in front; empty if there are none."""
    return b"".join(payload[6:] for marker, payload in header.segments if marker == APP1 and payload.startswith(_EXIF))


def kept_segments(header: Header) -> list[bytes]:
    """Return the metadata for a changed image: a list of whole segments, nearly in the file's order.

    JFIF (without its thumbnail), EXIF (see `clean_exif`), XMP (unless it shows an image), ICC, Photoshop resources (see
    `clean_photoshop`) and comments stay. Adobe's segment stays for YCbCr; for RGB and CMYK the encoder writes its own.
    Everything else is dropped: JFXX thumbnails, MPF and FlashPix previews, JUMBF, and the makers' own segments.
    """
    found: dict[tuple[int, bytes], list[bytes]] = {}
    for marker, payload in header.segments:
        for kind in _CLEANERS:
            if kind[0] == marker and payload.startswith(kind[1]):
                found.setdefault(kind, []).append(payload[len(kind[1]) :])
    if len(header.components) != 3 or header.is_rgb:
        found.pop((APP14, b"Adobe"), None)
    return [segment(*kind, payload) for kind, payloads in found.items() for payload in _CLEANERS[kind](payloads)]


def segment(marker: int, prefix: bytes, payload: bytes) -> bytes:
    """Return a whole segment."""
    return struct.pack(">BBH", 0xFF, marker, 2 + len(prefix) + len(payload)) + prefix + payload


def _clean_jfif(payloads: list[bytes]) -> list[bytes]:
    return [p[:7] + b"\0\0" for p in payloads[:1] if len(p) >= 9]  # version, unit and density; a thumbnail of 0 x 0


def _clean_exif(payloads: list[bytes]) -> list[bytes]:
    tiff = clean_exif(b"".join(p[1:] for p in payloads))
    return [b"\0" + part for part in _parts(tiff, _EXIF + b"\0")]


def _clean_xmp(payloads: list[bytes]) -> list[bytes]:
    return [p for p in payloads if not xmp_mentions_image(p)]


def _clean_more_xmp(payloads: list[bytes]) -> list[bytes]:
    # 32 bytes of digest, 4 of the whole length, 4 of this part's offset: an image may run over several parts.
    whole = b"".join(p[40:] for p in sorted(payloads, key=lambda p: p[:32] + p[36:40]))
    return [] if xmp_mentions_image(whole) else payloads


def _clean_photoshop(payloads: list[bytes]) -> list[bytes]:
    return _parts(clean_photoshop(b"".join(payloads)), _PHOTOSHOP)


def _clean_adobe(payloads: list[bytes]) -> list[bytes]:
    return [p[:7] for p in payloads[:1] if len(p) >= 7 and p[6] == 1]  # 1: YCbCr; what follows is private


def _clean_comments(payloads: list[bytes]) -> list[bytes]:
    return [p for p in payloads if not contains_image(p)]


def _parts(data: bytes, prefix: bytes) -> list[bytes]:
    size = _LONGEST - len(prefix)
    return [data[at : at + size] for at in range(0, len(data), size)]


_CLEANERS: dict[tuple[int, bytes], Callable[[list[bytes]], list[bytes]]] = {
    (APP0, b"JFIF\0"): _clean_jfif,
    (APP1, _EXIF): _clean_exif,
    (APP1, b"http://ns.adobe.com/xap/1.0/\0"): _clean_xmp,
    (APP1, b"http://ns.adobe.com/xmp/extension/\0"): _clean_more_xmp,
    (APP2, b"ICC_PROFILE\0"): lambda payloads: payloads,
    (APP13, _PHOTOSHOP): _clean_photoshop,
    (APP14, b"Adobe"): _clean_adobe,
    (COM, b""): _clean_comments,
}

"""Image files built for the tests, and what Pillow, as an independent reader, says of them."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image


def photo(height: int = 61, width: int = 83, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A smooth picture with some grain, (H, W, C) uint8, unlike in every channel and direction."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 20.0
    planes = [128 + 90 * np.sin(x * (1 + c) + c) * np.cos(y * (2 - c / 2) + x / 3) for c in range(channels)]
    noise = rng.normal(0, 4, (height, width, channels))
    return np.clip(np.stack(planes, axis=2) + noise, 0, 255).astype(np.uint8)


def image(mode: str = "RGB", height: int = 61, width: int = 83, seed: int = 0) -> Image.Image:
    pixels = photo(height, width, len(mode), seed)
    return Image.fromarray(pixels[..., 0] if len(mode) == 1 else pixels, mode)


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def heic(picture: Image.Image, **options: Any) -> bytes:
    """A HEIC file; the test is skipped where pillow-heif is absent."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="the package pillow-heif is absent")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(picture).save(buffer, **{"quality": 90, **options})
    return buffer.getvalue()


def deep(channels: int, height: int = 61, width: int = 83) -> np.ndarray:
    """A picture of 16 bits a channel, (H, W, C) uint16, whose low bytes are full of detail."""
    noise = np.random.default_rng(channels).integers(0, 256, (height, width, channels))
    return (photo(height, width, channels).astype(np.uint16) << 8) + noise.astype(np.uint16)


def deep_png(pixels: np.ndarray, filters: tuple[int, ...] = (0, 1, 2, 3, 4), interlaced: bool = False) -> bytes:
    """(H, W, C) uint16 as a PNG whose rows have the filters in turn, written as the standard words it."""
    height, width, channels = pixels.shape
    step, raw = 2 * channels, b""
    parts = [(0, 0, 1, 1)]
    if interlaced:
        parts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    for x, y, dx, dy in parts:
        part = pixels[y::dy, x::dx]
        above = bytes(part.shape[1] * step)
        for number, row in enumerate(part if part.shape[1] else []):
            line, kind = row.astype(">u2").tobytes(), filters[number % len(filters)]
            raw += bytes([kind])
            for i, value in enumerate(line):
                left, corner = (line[i - step], above[i - step]) if i >= step else (0, 0)
                raw += bytes([(value - _predicted(kind, left, above[i], corner)) % 256])
            above = line
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, interlaced)
    packed = zlib.compress(raw)
    half = len(packed) // 2
    chunks = ((b"IHDR", header), (b"IDAT", packed[:half]), (b"IDAT", packed[half:]), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    if kind == 4:
        guess = left + above - corner
        return min((left, above, corner), key=lambda value: abs(guess - value))
    return (0, left, above, (left + above) // 2)[kind]


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def array(data: bytes, mode: str | None = None) -> np.ndarray:
    """Pillow's pixels of a file, (H, W, C)."""
    picture = opened(data)
    pixels = np.asarray(picture.convert(mode) if mode else picture)
    return pixels.reshape(*pixels.shape[:2], -1)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


THUMBNAIL = saved(image(height=40, width=50, seed=9), "JPEG", quality=60)


def shows_thumbnail(data: bytes, thumbnail: bytes = THUMBNAIL) -> bool:
    """Whether any 24 bytes of the thumbnail's coded pixels occur in the data."""
    start = thumbnail.index(b"\xff\xda") if b"\xff\xda" in thumbnail else 0
    return any(thumbnail[at : at + 24] in data for at in range(start, len(thumbnail) - 24, 8))


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def with_segments(jpeg: bytes, *segments: bytes, after_app0: bool = True) -> bytes:
    """The JPEG with segments put after its APP0 (or after SOI)."""
    at = 2
    if after_app0 and jpeg[2:4] == b"\xff\xe0":
        at += 2 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:at] + b"".join(segments) + jpeg[at:]


def segments_of(jpeg: bytes) -> list[tuple[int, bytes]]:
    """(marker, payload) of every segment up to the first scan, of a well-formed file."""
    found = []
    at = 2
    while jpeg[at + 1] != 0xDA:
        size = int.from_bytes(jpeg[at + 2 : at + 4], "big")
        found.append((jpeg[at + 1], jpeg[at + 4 : at + 2 + size]))
        at += 2 + size
    return found


def scan_of(jpeg: bytes) -> bytes:
    """Everything from the first scan on."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return jpeg[at:]


class Tiff:
    """A writer of TIFF directories, for EXIF with whatever a camera may put there."""

    def __init__(self, order: str = "<") -> None:
        self.order = order
        self.data = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))

    def blob(self, value: bytes) -> int:
        self.data += bytes(len(self.data) % 2)
        at = len(self.data)
        self.data += value
        return at

    def directory(self, entries: list[tuple[int, int, Any]], following: int = 0) -> int:
        """Write a directory of (tag, type, value); value is bytes, an int, or (offset, count) for data elsewhere."""
        sizes = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1}
        rows = []
        for tag, kind, value in sorted(entries, key=lambda e: e[0]):
            if isinstance(value, int):
                field = struct.pack(self.order + ("H2x" if kind == 3 else "I"), value)
                rows.append(struct.pack(self.order + "HHI", tag, kind, 1) + field)
            elif isinstance(value, tuple):
                rows.append(struct.pack(self.order + "HHII", tag, kind, value[1], value[0]))
            else:
                count = len(value) // sizes[kind]
                field = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(self.order + "I", self.blob(value))
                rows.append(struct.pack(self.order + "HHI", tag, kind, count) + field)
        body = struct.pack(self.order + "H", len(rows)) + b"".join(rows) + struct.pack(self.order + "I", following)
        return self.blob(body)

    def done(self, first: int) -> bytes:
        struct.pack_into(self.order + "I", self.data, 4, first)
        return bytes(self.data)


def exif(
    orientation: int | None = 6,
    *,
    order: str = "<",
    thumbnail: bytes | None = THUMBNAIL,
    maker_note: bytes = b"Maker\0note",
    extra: list[tuple[int, int, Any]] | None = None,
) -> bytes:
    """EXIF (without "Exif" in front) as a camera writes it: main, Exif, GPS and thumbnail directories."""
    tiff = Tiff(order)
    details = tiff.directory([(0x9003, 2, b"2021:02:03 04:05:06\0"), (0x927C, 7, maker_note)])
    place = tiff.directory([(1, 2, b"N\0"), (2, 5, struct.pack(tiff.order + "6I", 52, 1, 13, 1, 14, 1))])
    second = 0
    if thumbnail is not None:
        at = tiff.blob(thumbnail)
        second = tiff.directory([(0x103, 3, 6), (0x201, 4, at), (0x202, 4, len(thumbnail))])
    entries = [(0x10F, 2, b"A maker of cameras\0"), (0x8769, 4, details), (0x8825, 4, place), *(extra or [])]
    if orientation is not None:
        entries.append((0x112, 3, orientation))
    return tiff.done(tiff.directory(entries, second))

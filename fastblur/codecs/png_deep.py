"""Pixels of PNG files with 16 bits a channel, which Pillow reduces to 8 (W3C PNG, third edition, sections 7 to 10)."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from fastblur.codecs.picture import CodecError, DeepPixels
from fastblur.compile_cache import compile_cached

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
# The first column and row of each pass of an interlaced image, and the steps to the next.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def decode(data: bytes, width: int, height: int, kind: int, interlaced: bool) -> DeepPixels:  # (H, W, C) uint16
    """Return the pixels of a PNG of colour type `kind` with 16 bits a channel; raises CodecError for broken ones."""
    channels = _CHANNELS[kind]
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    parts = [(-(-(height - y) // dy), -(-(width - x) // dx)) for x, y, dx, dy in passes]  # rows and columns of each
    total = sum(rows * (1 + 2 * channels * columns) for rows, columns in parts if rows > 0 and columns > 0)
    unpacker = zlib.decompressobj()
    packed = _pixel_data(data)
    raw = np.frombuffer(unpacker.decompress(packed, total), np.uint8)
    if len(raw) < total:
        raise CodecError(f"PNG has {len(raw)} bytes of pixels, expected {total}")
    pixels = np.empty((height, width, channels), np.uint16)
    at = 0
    for (x, y, dx, dy), (rows, columns) in zip(passes, parts, strict=True):
        if rows <= 0 or columns <= 0:
            continue
        length = 1 + 2 * channels * columns
        lines = raw[at : at + rows * length].reshape(rows, length)
        at += rows * length
        if lines[:, 0].max() > 4:
            raise CodecError(f"PNG has filter {lines[:, 0].max()}, expected 0 to 4")
        values = np.zeros((rows + 1, length - 1), np.uint8)  # the first row stands for what is above the image
        _unfilter(lines, values, 2 * channels)
        pixels[y::dy, x::dx] = values[1:].reshape(rows, columns, 2 * channels).view(">u2")
    return pixels


def encode(pixels: DeepPixels, color: str) -> bytes:
    """Return (H, W, C) uint16 pixels as a PNG, not interlaced."""
    height, width = pixels.shape[:2]
    kind = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}[color]
    rows = pixels.astype(">u2").view(np.uint8).reshape(height, -1)
    lines = np.empty((height, 1 + rows.shape[1]), np.uint8)
    lines[:, 0] = 2  # filter "up": the difference to the row above
    lines[:1, 1:], lines[1:, 1:] = rows[:1], rows[1:] - rows[:-1]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 3)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))
        for name, body in chunks
    )


def _pixel_data(data: bytes) -> bytes:
    """Return the payloads of all IDAT chunks; raises CodecError for one that is cut short or has a wrong checksum."""
    parts: list[bytes] = []
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if at + 12 + length > len(data):
            raise CodecError(f"PNG ends after {len(data)} bytes, in a chunk, expected a whole file")
        if name == b"IEND":
            return b"".join(parts)
        if name == b"IDAT":
            if zlib.crc32(body, zlib.crc32(name)) != int.from_bytes(data[at + 8 + length : at + 12 + length], "big"):
                raise CodecError("PNG has pixels with a wrong checksum, expected a valid file")
            parts.append(body)
        at += 12 + length
    raise CodecError(f"PNG ends after {len(data)} bytes, before its end chunk, expected a whole file")


@compile_cached
def _unfilter(
    lines: NDArray[np.uint8],  # (H, 1 + n), each with its filter first
    values: NDArray[np.uint8],  # (1 + H, n), whose first row is zero
    step: int,  # bytes of a pixel
) -> None:
    for y in range(lines.shape[0]):
        kind = lines[y, 0]
        for i in range(values.shape[1]):
            left = np.int64(values[y + 1, i - step]) if i >= step else 0
            above = np.int64(values[y, i])
            corner = np.int64(values[y, i - step]) if i >= step else 0
            predicted = 0
            if kind == 1:
                predicted = left
            elif kind == 2:
                predicted = above
            elif kind == 3:
                predicted = (left + above) // 2
            elif kind == 4:
                near_left, near_above = abs(above - corner), abs(left - corner)
                near_corner = abs(left + above - 2 * corner)
                predicted = corner
                if near_left <= near_above and near_left <= near_corner:
                    predicted = left
                elif near_above <= near_corner:
                    predicted = above
            values[y + 1, i] = (np.int64(lines[y, 1 + i]) + predicted) & 255

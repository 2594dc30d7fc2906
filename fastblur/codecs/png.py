"""PNG files: the pixels by Pillow, the metadata chunk by chunk as in the source (W3C PNG, third edition).

Chunks are read by hand, because Pillow does not give them as they are, and keeps those that may hold a picture.
"""

import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from PIL.PngImagePlugin import PngImageFile

from fastblur.codecs.embedded_images import contains_image, xmp_mentions_image
from fastblur.codecs.exif import clean_exif, orientation
from fastblur.codecs.further_pictures import check_rest
from fastblur.codecs.picture import CodecError, DeepPixels, Picture, Pixels
from fastblur.codecs.pillow_io import check_size, save, to_image, to_pixels

_COLORS = {0: "L", 2: "RGB", 3: "RGB", 4: "LA", 6: "RGBA"}
# Chunks that are kept as they are, with the length that they have to be, so that they hold nothing else.
_KEPT_AS_THEY_ARE = {
    **{b"cHRM": 32, b"cICP": 4, b"gAMA": 4, b"mDCV": 24, b"cLLI": 8, b"sRGB": 1, b"pHYs": 9, b"tIME": 7},
    b"iCCP": None,  # of any length
}
_FRAMES = (b"acTL", b"fcTL", b"fdAT")  # without the first a reader shows one frame, but the others are there
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP = b"XML:com.adobe.xmp"
_LONGEST_TEXT = 2**24  # bytes after decompression


class _Header(NamedTuple):
    width: int
    height: int
    bits: int  # a channel
    kind: int  # colour type
    interlaced: bool


def size(data: bytes) -> tuple[int, int]:
    """Return (width, height)."""
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def check(data: bytes) -> None:
    """Raise CodecError for an animation, a broken header, or data after the picture that may show another."""
    _checked(data)


def _checked(data: bytes) -> tuple[_Header, list[tuple[bytes, bytes]]]:
    """Return the header and the chunks (name, payload)."""
    chunks = _chunks(data)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise CodecError("PNG has no header, expected a valid file")
    width, height, bits, kind, interlaced = struct.unpack(">IIBBxxB", chunks[0][1])
    if kind not in _COLORS:
        raise CodecError(f"PNG has colour type {kind}, expected 0, 2, 3, 4 or 6")
    if any(name in _FRAMES for name, _ in chunks):
        raise CodecError("animated PNG is not supported, expected one frame")
    return _Header(width, height, bits, kind, interlaced == 1), chunks


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode a PNG of 1 to 16 bits a channel; a palette becomes RGB, a transparent colour becomes an alpha channel."""
    header, chunks = _checked(data)
    bits, kind = header.bits, header.kind
    check_size(header.width, header.height, max_pixels)
    color = _COLORS[kind]
    transparent = next((payload for name, payload in chunks if name == b"tRNS"), b"")
    if kind == 3:
        color = "RGBA" if transparent else "RGB"
    if bits == 16:
        from fastblur.codecs import png_deep  # which loads Numba

        pixels: Pixels | DeepPixels = png_deep.decode(data, header.width, header.height, kind, header.interlaced)
    else:
        image = PngImageFile(io.BytesIO(data))
        image.load()
        pixels = to_pixels(image, color)
    if kind in (0, 2) and transparent:
        color += "A"
        pixels = _with_alpha(pixels, np.frombuffer(transparent, ">u2", pixels.shape[2]), bits)
    return Picture(pixels, "PNG", color, orientation(_exif(chunks)), data)


def encode(picture: Picture, pixels: Any) -> bytes:
    """Encode as PNG, not interlaced, with the source's colour space, ICC, EXIF, XMP, texts, resolution and time.

    Texts that hold an image are dropped, and so are unknown chunks. Compression level 3 takes about half the time of
    the usual 6 on photographs, for files a little larger.
    """
    source = _chunks(picture.source)
    if pixels.dtype == np.uint16:
        from fastblur.codecs import png_deep

        coded = png_deep.encode(pixels, picture.color)
    else:
        coded = save(to_image(pixels, picture.color), "PNG", compress_level=3)
    kept = []
    for name, payload in source:
        fixed = name in _KEPT_AS_THEY_ARE and _KEPT_AS_THEY_ARE[name] in (None, len(payload))
        if fixed or (name in _TEXTS and _keeps_text(name, payload)):
            kept.append(make_chunk(name, payload))
    exif = clean_exif(_exif(source))
    if exif:
        kept.append(make_chunk(b"eXIf", exif))
    after_header = 8 + 12 + 13
    return b"".join((coded[:after_header], *kept, memoryview(coded)[after_header:]))


def _with_alpha(
    pixels: Pixels | DeepPixels,  # (H, W, C)
    transparent: np.ndarray,  # (C,) in the file's own bits
    bits: int,
) -> Pixels | DeepPixels:  # (H, W, C + 1)
    """Add an alpha channel that is 0 where a pixel has the transparent colour."""
    most, opaque = 2**bits - 1, np.iinfo(pixels.dtype).max
    clear = (pixels == (transparent & most) * (opaque // most)).all(axis=2, keepdims=True)
    return np.concatenate((pixels, np.where(clear, 0, opaque).astype(pixels.dtype)), axis=2)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return (name, payload) of every whole chunk, pixels left empty; raises CodecError for pictures after the last."""
    chunks = []
    at = 8
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        if name == b"IEND":
            check_rest("PNG", memoryview(data)[at + 12 + size :])
        if at + 12 + size > len(data) or name == b"IEND":
            break
        chunks.append((name, b"" if name == b"IDAT" else data[at + 8 : at + 8 + size]))
        at += 12 + size
    return chunks


def read_orientation(data: bytes) -> int:
    """Return the EXIF orientation, 1 to 8."""
    return orientation(_exif(_chunks(data)))


def metadata_of(data: bytes) -> list[bytes]:
    """Return the EXIF, the texts and the contents of chunks that are not known."""
    chunks = _chunks(data)
    texts = [_text(name, payload) or b"" for name, payload in chunks if name in _TEXTS]
    others = [payload for name, payload in chunks if name[0] & 0x20 and name not in (*_KEPT_AS_THEY_ARE, *_TEXTS)]
    return [_exif(chunks), *texts, *others]


def make_chunk(name: bytes, payload: bytes) -> bytes:
    """Return a whole chunk."""
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(payload, zlib.crc32(name)))


def _exif(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """Return the EXIF of an eXIf chunk, or of the text in which ImageMagick keeps it."""
    for name, payload in chunks:
        if name == b"eXIf":
            return payload
    for name, payload in chunks:
        if name in _TEXTS and payload.startswith((b"Raw profile type exif\0", b"Raw profile type APP1\0")):
            lines = (_text(name, payload) or b"").split()  # the profile's name, its length, then hexadecimal digits
            try:
                return bytes.fromhex(b"".join(lines[2:]).decode("ascii"))
            except ValueError:
                continue
    return b""


def _keeps_text(name: bytes, payload: bytes) -> bool:
    if payload.startswith(b"Raw profile type"):  # hexadecimal EXIF or Photoshop resources, thumbnails and all
        return False
    text = _text(name, payload)
    if text is None:
        return False
    return not (xmp_mentions_image(text) if payload.startswith(_XMP) else contains_image(text))


def _text(name: bytes, payload: bytes) -> bytes | None:
    """Return the text of a tEXt, zTXt or iTXt chunk; None if it is broken or too long."""
    _, _, rest = payload.partition(b"\0")
    if name == b"tEXt":
        return rest
    if name == b"zTXt":
        packed, text = True, rest[1:]
    else:
        packed = rest[:1] == b"\1"
        text = rest[2:].split(b"\0", 2)[-1]
    if not packed:
        return text
    try:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(text, _LONGEST_TEXT)
    except zlib.error:
        return None
    return unpacked if unpacker.eof else None

"""decode and encode: tell a file's format from its bytes and hand it to the module of that format."""

from io import BytesIO
from typing import Any

import numpy as np
import simplejpeg
from PIL import Image

from fastblur.codecs import bmp, jpeg, png, tiff, webp
from fastblur.codecs.picture import CodecError, Picture

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""The endings of file names that are images, in lower case."""

OTHER_SUFFIXES = (
    *(
        ".apng",
        ".arw",
        ".avif",
        ".avifs",
        ".bw",
        ".cr2",
        ".cr3",
        ".cur",
        ".dcx",
        ".dds",
        ".dib",
        ".dng",
        ".emf",
        ".eps",
    ),
    *(".exr", ".fit", ".fits", ".flc", ".fli", ".gif", ".hdr", ".heic", ".heics", ".heif", ".hif", ".icb", ".icns"),
    *(".ico", ".j2c", ".j2k", ".jng", ".jp2", ".jpc", ".jpf", ".jpm", ".jpx", ".jxl", ".jxr", ".mng", ".mpo", ".nef"),
    *(".orf", ".pam", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".pnm", ".ppm", ".psd", ".pxr", ".qoi", ".raf", ".ras"),
    *(
        ".rgb",
        ".rgba",
        ".rw2",
        ".sgi",
        ".sun",
        ".svg",
        ".svgz",
        ".tga",
        ".vda",
        ".vst",
        ".wbmp",
        ".wdp",
        ".wmf",
        ".xbm",
    ),
    *(".xcf", ".xpm"),
)
"""The endings of the names of images that are not decoded; where nothing may pass unseen, such a file fails."""

_MODULES: dict[str, Any] = {"JPEG": jpeg, "PNG": png, "WEBP": webp, "BMP": bmp, "TIFF": tiff}
_EXPECTED = "expected JPEG, PNG, WebP, BMP or TIFF"


def decode(data: bytes, *, max_pixels: int = 2**28) -> Picture:
    """Decode an image file.

    Args:
        data: the whole file. Its format is told from its bytes, never from its name.
        max_pixels: the largest width times height that is decoded, checked before any memory is taken for pixels.

    Returns: a Picture, whose pixels are 8 bits a channel: palettes become RGB or RGBA, one bit becomes grey.
    Raises CodecError for a file that is no image, is cut short, broken or too large, has several frames, or has more
    than 8 bits a channel; TypeError where `data` is not bytes. Safe to call from many threads at once, which then run
    at once.
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data is a {type(data).__name__}, expected bytes")
    name = format_of(data)
    try:
        picture: Picture = _MODULES[name].decode(data, max_pixels)
    except CodecError:
        raise
    except Exception as error:  # Pillow reports broken bytes with nearly every type of exception
        raise CodecError(f"{name} cannot be decoded ({_reason(error)}), expected a whole and valid file") from error
    return picture


def encode(picture: Picture, pixels: np.ndarray) -> bytes:
    """Encode changed pixels as a file of the picture's own format.

    JPEG takes the source's quantisation tables, subsampling and progressive flag; the other formats lose nothing
    (WebP is written lossless, TIFF with the source's compression if that is lossless, else deflate). EXIF with its
    orientation, ICC, XMP, IPTC, comments and resolution are kept as far as the format has them; whatever may show the
    picture as it was before is not: thumbnails, previews, further images, private data (see `metadata` and `exif`).

    Args:
        picture: from `decode`.
        pixels: uint8, of the shape and the meaning of `picture.pixels`; that very array, changed, will do.

    Raises TypeError or ValueError for other pixels, CodecError where the file cannot be made.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = pixels.dtype if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise TypeError(f"pixels are {kind}, expected a uint8 array")
    if pixels.shape != picture.pixels.shape:
        raise ValueError(f"pixels have shape {pixels.shape}, expected {picture.pixels.shape} as the picture")
    try:
        data: bytes = _MODULES[picture.format].encode(picture, np.ascontiguousarray(pixels))
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(f"{picture.format} cannot be encoded ({_reason(error)}), expected what decode gave") from error
    return data


def format_of(data: bytes) -> str:
    """Return the format, "JPEG", "PNG", "WEBP", "BMP" or "TIFF", that the first bytes tell; CodecError for another."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if data.startswith(b"BM"):
        return "BMP"
    if not data:
        raise CodecError(f"the file is empty, {_EXPECTED}")
    if (other := _unsupported(data)) is not None:
        raise CodecError(f"{other} is not supported, {_EXPECTED}")
    raise CodecError(f"the file begins with {data[:8]!r}, {_EXPECTED}")


def is_image(data: bytes) -> bool:
    """Return whether bytes under a name that does not say so begin as an image file does, supported or not."""
    if data.startswith(b"BM"):  # as texts may too: of a bitmap the reserved bytes are zero, and its header's size small
        return data[6:10] == bytes(4) and data[15:18] == bytes(3)
    try:
        format_of(data)
    except CodecError:
        return _unsupported(data) is not None
    return True


def _unsupported(data: bytes) -> str | None:
    """Return which other image format the first bytes tell."""
    others = {
        "GIF": data.startswith(b"GIF8"),
        "HEIC": data[4:8] == b"ftyp" and data[8:11] in (b"hei", b"hev", b"mif", b"msf"),
        "AVIF": data[4:8] == b"ftyp" and data[8:11] == b"avi",
        "BigTIFF": data.startswith((b"II+\0", b"MM\0+")),
        "JPEG 2000": data.startswith((b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")),
        "JPEG XL": data.startswith((b"\0\0\0\x0cJXL ", b"\xff\x0a")),
        "PNM": data[:1] == b"P"
        and data[1:2] in b"1234567Ff"
        and data[2:3] in b"\n\r\t "
        and data[3:4] in b"#0123456789WH",
        "Photoshop": data.startswith(b"8BPS"),
        "DDS": data.startswith(b"DDS \x7c\0\0\0"),
        "ICO": data.startswith((b"\0\0\1\0", b"\0\0\2\0"))
        and data[5:6] == b"\0"
        and data[9:10] == b"\0"
        and len(data) > 21,
        "OpenEXR": data.startswith(b"v/1\x01"),
        "QOI": data.startswith(b"qoif"),
        "Radiance HDR": data.startswith((b"#?RADIANCE", b"#?RGBE")),
    }
    return next((name for name, found in others.items() if found), None)


def size_of(data: bytes) -> tuple[int, int]:
    """Return (width, height) as the file's header tells them, stored orientation; (0, 0) where it does not."""
    try:
        if format_of(data) == "JPEG":
            height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
            return int(width), int(height)
        with Image.open(BytesIO(data)) as image:
            return int(image.width), int(image.height)
    except Exception:  # Pillow reports broken bytes with nearly every type of exception
        return 0, 0


def decode_reduced(data: bytes, longest: int, max_pixels: int = 2**28) -> Picture | None:
    """Decode a JPEG at a half, a quarter or an eighth of its size, for a detector that sees no more of it.

    libjpeg leaves out the fine coefficients, which takes a fraction of the time. The longer side is still at least
    `longest`. Returns None where the image is not that much larger, or is not one that simplejpeg decodes; then
    `decode` says what there is to say.
    """
    width, height = size_of(data)
    factor = max(width, height) // max(longest, 1)
    if factor < 2 or width * height > max_pixels or format_of(data) != "JPEG":
        return None
    return jpeg.decode_reduced(data, min(factor, 8))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

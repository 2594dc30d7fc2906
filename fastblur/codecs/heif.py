"""HEIC files of one picture, by the package pillow-heif (extra `heif`); written without loss."""

import io
from typing import Any

from fastblur.codecs.embedded_images import xmp_mentions_image
from fastblur.codecs.exif import clean_exif
from fastblur.codecs.further_pictures import check_items
from fastblur.codecs.picture import CodecError, Picture, Pixels
from fastblur.codecs.pillow_io import check_size, to_image, to_pixels
from fastblur.need import need


def size(data: bytes) -> tuple[int, int]:
    """Return (width, height), upright."""
    width, height = need("pillow_heif", "heif").HeifImageFile(io.BytesIO(data)).size
    return width, height


def check(data: bytes) -> None:
    """Raise CodecError for several pictures, or more than 8 bits a channel."""
    _opened(data)
    check_items("HEIC", data)


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode a HEIC of one picture with 8 bits a channel; its rotation is applied, so it is always stored upright."""
    image = _opened(data)
    check_items("HEIC", data)
    check_size(image.width, image.height, max_pixels)
    color = image.mode if image.mode in ("L", "LA", "RGB", "RGBA") else "RGB"
    return Picture(to_pixels(image, color), "HEIF", color, 1, data)


def encode(picture: Picture, pixels: Pixels) -> bytes:
    """Encode without loss, with the source's ICC, EXIF and XMP; depth images, gain maps and thumbnails are dropped."""
    pillow_heif = need("pillow_heif", "heif")
    info = _opened(picture.source).info
    image = to_image(pixels, picture.color)
    xmp = info.get("xmp") or b""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(
        buffer,
        quality=-1,  # lossless
        chroma=444,
        matrix_coefficients=0,  # the channels as they are, not as luma and chroma
        exif=clean_exif(info.get("exif") or b"") or None,
        xmp=None if xmp_mentions_image(xmp) else xmp or None,
        **({"icc_profile": info["icc_profile"]} if info.get("icc_profile") else {}),
    )
    return buffer.getvalue()


def _opened(data: bytes) -> Any:
    image = need("pillow_heif", "heif").HeifImageFile(io.BytesIO(data))
    if getattr(image, "n_frames", 1) > 1:
        raise CodecError(f"a HEIC of {image.n_frames} pictures is not supported, expected one")
    if image.info.get("bit_depth", 8) > 8:
        raise CodecError(f"HEIC of {image.info['bit_depth']} bits a channel is not supported, expected 8")
    return image

"""AVIF files of one picture, by Pillow; written at its best quality, which is not without loss."""

import io

from PIL.AvifImagePlugin import AvifImageFile

from fastblur.codecs.embedded_images import xmp_mentions_image
from fastblur.codecs.exif import clean_exif, orientation
from fastblur.codecs.further_pictures import check_items
from fastblur.codecs.picture import CodecError, Picture, Pixels
from fastblur.codecs.pillow_io import check_size, save, to_image, to_pixels

_HIGH_BIT_DEPTH = 0x40  # in the third byte of the codec configuration (AV1 in ISOBMFF, section 2.3.3)


def size(data: bytes) -> tuple[int, int]:
    """Return (width, height)."""
    return AvifImageFile(io.BytesIO(data)).size


def check(data: bytes) -> None:
    """Raise CodecError for a sequence or further pictures, or more than 8 bits a channel."""
    _opened(data)
    check_items("AVIF", data)


def decode(data: bytes, max_pixels: int) -> Picture:
    """Decode an AVIF of one picture with 8 bits a channel; mirroring and rotation become the orientation."""
    image = _opened(data)
    check_items("AVIF", data)
    check_size(image.width, image.height, max_pixels)
    color = image.mode if image.mode in ("L", "RGB", "RGBA") else "RGB"
    return Picture(to_pixels(image, color), "AVIF", color, orientation(image.info.get("exif", b"")), data)


def encode(picture: Picture, pixels: Pixels) -> bytes:
    """Encode at quality 100 without subsampling, which moves a channel by 2 levels at most, with ICC, EXIF and XMP."""
    info = _opened(picture.source).info
    xmp = info.get("xmp", b"")
    return save(
        to_image(pixels, picture.color),
        "AVIF",
        quality=100,
        subsampling="4:0:0" if picture.color == "L" else "4:4:4",
        speed=8,
        max_threads=1,
        icc_profile=info.get("icc_profile", b""),
        exif=clean_exif(info.get("exif", b"")),
        xmp=b"" if xmp_mentions_image(xmp) else xmp,
    )


def _opened(data: bytes) -> AvifImageFile:
    at = data.find(b"av1C")
    while at >= 0:
        if at + 7 <= len(data) and data[at + 4] == 0x81 and data[at + 6] & _HIGH_BIT_DEPTH:
            raise CodecError("AVIF of more than 8 bits a channel is not supported, expected 8")
        at = data.find(b"av1C", at + 4)
    image = AvifImageFile(io.BytesIO(data))
    if image.n_frames > 1:
        raise CodecError(f"an AVIF sequence of {image.n_frames} frames is not supported, expected one picture")
    return image

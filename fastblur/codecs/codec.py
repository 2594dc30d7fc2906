"""decode and encode: a file's bytes to the codec of its format, and back."""

from typing import Any, Protocol

import numpy as np

from fastblur.codecs import avif, bmp, heif, jpeg, png, tiff, webp
from fastblur.codecs.formats import format_of
from fastblur.codecs.picture import CodecError, FormatName, Picture
from fastblur.need import MissingPackage
from fastblur.options import MAX_PIXELS


class Codec(Protocol):
    """What the module of a format has; anything raised stands for a file that cannot be used."""

    def size(self, data: bytes) -> tuple[int, int]:
        """Return (width, height) from the file's header."""

    def check(self, data: bytes) -> None:
        """Raise for what `decode` would refuse before it decodes pixels: another kind of file, or further pictures."""

    def decode(self, data: bytes, max_pixels: int) -> Picture:
        """Decode a whole file."""

    def encode(self, picture: Picture, pixels: Any) -> bytes:
        """Encode pixels, C-contiguous and of the shape of the picture's, as a file of the same format."""


CODECS: dict[FormatName, Codec] = {
    "JPEG": jpeg,
    "PNG": png,
    "WEBP": webp,
    "BMP": bmp,
    "TIFF": tiff,
    "AVIF": avif,
    "HEIF": heif,
}


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode an image file.

    Args:
        data: the whole file. Its format is told from its bytes, never from its name.
        max_pixels: the largest width times height that is decoded, checked before any memory is taken for pixels.

    Returns: a Picture, whose pixels are 8 bits a channel (PNG and TIFF of 16 stay 16): palettes become RGB or RGBA, one
    bit becomes grey.
    Raises CodecError for a file that is no image, is cut short, broken or too large, holds several frames or further
    pictures other than previews, has a depth that is not supported, or needs a package that is not installed; TypeError
    where `data` is not bytes. Safe to call from many threads at once, which then run at once.

    Example:
        >>> from io import BytesIO
        >>> from PIL import Image
        >>> from fastblur.codecs import decode
        >>> file = BytesIO()
        >>> Image.new("RGB", (4, 3), (255, 0, 0)).save(file, "PNG")
        >>> picture = decode(file.getvalue())
        >>> picture, picture.pixels.shape
        (Picture(format='PNG', color='RGB', orientation=1), (3, 4, 3))
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data is a {type(data).__name__}, expected bytes")
    name = format_of(data)
    try:
        return CODECS[name].decode(data, max_pixels)
    except CodecError:
        raise
    except MissingPackage as error:
        raise CodecError(str(error)) from error
    except Exception as error:  # Pillow reports broken bytes with nearly every type of exception
        raise CodecError(f"{name} cannot be decoded ({_reason(error)}), expected a whole and valid file") from error


def check(data: bytes) -> None:
    """Raise CodecError for a file that `decode` refuses, as far as that shows without decoding pixels.

    It is what a file gets that is copied without being searched: another format, several frames or pages, further
    pictures, a depth that is not supported.

    Example:
        >>> from fastblur.codecs import check
        >>> check(b"GIF89a")
        Traceback (most recent call last):
        fastblur.codecs.picture.CodecError: GIF is not supported, expected JPEG, PNG, WebP, BMP, TIFF, AVIF or HEIC
    """
    name = format_of(data)
    try:
        CODECS[name].check(data)
    except CodecError:
        raise
    except MissingPackage as error:
        raise CodecError(str(error)) from error
    except Exception as error:
        raise CodecError(f"{name} cannot be read ({_reason(error)}), expected a whole and valid file") from error


def encode(
    picture: Picture,
    pixels: np.ndarray,  # (H, W, C) uint8 or uint16
) -> bytes:
    """Encode changed pixels as a file of the picture's own format.

    JPEG takes the source's quantisation tables, subsampling and progressive flag; the other formats lose nothing
    (WebP and HEIC are written lossless, TIFF with the source's compression if that is lossless, else deflate), but for
    AVIF, which Pillow writes at its best quality: a channel moves by 2 levels at most. EXIF with its
    orientation, ICC, XMP, IPTC, comments and resolution are kept as far as the format has them; whatever may show the
    picture as it was before is not: thumbnails, previews, further images, private data (see `embedded_images` and
    `exif`).

    Args:
        picture: from `decode`.
        pixels: (H, W, C), of the dtype, shape and meaning of `picture.pixels`; that very array, changed, will do.

    Returns: the whole file.
    Raises TypeError or ValueError for other pixels, CodecError where the file cannot be made.

    Example:
        >>> from io import BytesIO
        >>> from PIL import Image
        >>> from fastblur.codecs import decode, encode
        >>> file = BytesIO()
        >>> Image.new("RGB", (4, 3)).save(file, "PNG")
        >>> picture = decode(file.getvalue())
        >>> picture.pixels[1, 2] = 200
        >>> decode(encode(picture, picture.pixels)).pixels[1, 2].tolist()
        [200, 200, 200]
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != picture.pixels.dtype:
        kind = pixels.dtype if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise TypeError(f"pixels are {kind}, expected a {picture.pixels.dtype} array")
    if pixels.shape != picture.pixels.shape:
        raise ValueError(f"pixels have shape {pixels.shape}, expected {picture.pixels.shape} as the picture")
    try:
        return CODECS[picture.format].encode(picture, np.ascontiguousarray(pixels))
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(f"{picture.format} cannot be encoded ({_reason(error)}), expected what decode gave") from error


def size_of(data: bytes) -> tuple[int, int]:
    """Return (width, height) as the file's header gives them, stored orientation; (0, 0) where it does not.

    Example:
        >>> from fastblur.codecs import size_of
        >>> size_of(b"no image")
        (0, 0)
    """
    try:
        return CODECS[format_of(data)].size(data)
    except Exception:  # Pillow reports broken bytes with nearly every type of exception
        return 0, 0


def decode_reduced(data: bytes, longest: int, max_pixels: int = MAX_PIXELS) -> Picture | None:
    """Decode a JPEG at a half, a quarter or an eighth of its size, for a detector that sees no more of it.

    libjpeg leaves out the fine coefficients, which takes a fraction of the time.

    Args:
        data: the whole file.
        longest: pixels that the longer side still has at least.
        max_pixels: the largest width times height of the file.

    Returns: None where the image is not that much larger, or is not one that simplejpeg decodes; then `decode` says
    what there is to say.

    Example:
        >>> from io import BytesIO
        >>> from PIL import Image
        >>> from fastblur.codecs import decode_reduced
        >>> file = BytesIO()
        >>> Image.new("RGB", (640, 480)).save(file, "JPEG")
        >>> decode_reduced(file.getvalue(), 160).pixels.shape
        (120, 160, 3)
    """
    width, height = size_of(data)
    factor = max(width, height) // max(longest, 1)
    if factor < 2 or width * height > max_pixels or format_of(data) != "JPEG":
        return None
    return jpeg.decode_reduced(data, min(factor, 8))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""strip_metadata: an image file without what says where, when and by whom it was made."""

from collections.abc import Callable

from fastblur.codecs.codec import check
from fastblur.codecs.formats import format_of
from fastblur.codecs.picture import CodecError, FormatName
from fastblur.codecs.stripping import isobmff, jpeg, png, tiff, webp

_STRIPPERS: dict[FormatName, Callable[[bytes], bytes]] = {
    "JPEG": jpeg.strip,
    "PNG": png.strip,
    "WEBP": webp.strip,
    "BMP": lambda data: data,  # which has none
    "TIFF": tiff.strip,
    "AVIF": isobmff.strip,
    "HEIF": isobmff.strip,
}


def strip_metadata(data: bytes) -> bytes:
    """Return an image file without its metadata.

    EXIF with GPS, XMP, IPTC, comments, texts, dates, private data, previews, gain maps and what follows the picture go.
    What shows the picture as it was stays: the colour profile, the EXIF orientation (all that is left of EXIF),
    resolution, gamma, transparency. The coded pixels stay byte for byte.

    Args:
        data: the whole file, of a format that `decode` takes.

    Returns: the whole file.
    Raises CodecError for a file that `check` refuses, or whose metadata cannot be told from its picture.

    Example:
        >>> from io import BytesIO
        >>> from PIL import Image
        >>> from fastblur.codecs import strip_metadata
        >>> file = BytesIO()
        >>> Image.new("RGB", (4, 3)).save(file, "JPEG", comment=b"by hand")
        >>> b"by hand" in file.getvalue(), b"by hand" in strip_metadata(file.getvalue())
        (True, False)
    """
    check(data)
    name = format_of(data)
    try:
        return _STRIPPERS[name](data)
    except CodecError:
        raise
    except Exception as error:  # of broken bytes, whatever the reader of the format raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CodecError(f"{name} keeps its metadata ({reason}), expected a file that can be parsed") from error

"""The formats of image files: their names, the endings of file names, and which one the first bytes tell."""

from typing import get_args

from fastblur.codecs.picture import CodecError, FormatName

SUFFIXES_OF: dict[FormatName, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
}

SUFFIXES: tuple[str, ...] = tuple(suffix for name in get_args(FormatName) for suffix in SUFFIXES_OF[name])
"""The endings of file names that are images, in lower case."""

OTHER_SUFFIXES = (
    ".apng", ".arw", ".avifs", ".bw", ".cr2", ".cr3", ".cur", ".dcx", ".dds", ".dib", ".dng", ".emf", ".eps",
    ".exr", ".fit", ".fits", ".flc", ".fli", ".gif", ".hdr", ".heics", ".icb", ".icns",
    ".ico", ".j2c", ".j2k", ".jng", ".jp2", ".jpc", ".jpf", ".jpm", ".jpx", ".jxl", ".jxr", ".mng", ".mpo", ".nef",
    ".orf", ".pam", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".pnm", ".ppm", ".psd", ".pxr", ".qoi", ".raf", ".ras",
    ".rgb", ".rgba", ".rw2", ".sgi", ".sun", ".svg", ".svgz", ".tga", ".vda", ".vst", ".wbmp", ".wdp", ".wmf", ".xbm",
    ".xcf", ".xpm",
)  # fmt: skip
"""The endings of the names of images that are not decoded; where nothing may pass unseen, such a file fails."""

_LABELS = [{"WEBP": "WebP", "HEIF": "HEIC"}.get(name, name) for name in get_args(FormatName)]
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
EXPECTED = f"expected {', '.join(_LABELS[:-1])} or {_LABELS[-1]}"


def format_of(data: bytes) -> FormatName:
    """Return the format that the first bytes tell; raises CodecError for one that is not decoded.

    Example:
        >>> from fastblur.codecs.formats import format_of
        >>> format_of(b"\\x89PNG\\r\\n\\x1a\\n")
        'PNG'
    """
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
    brands = _brands(data)
    if brands & _AVIF_BRANDS:
        return "AVIF"
    if brands & _HEIF_BRANDS:
        return "HEIF"
    if not data:
        raise CodecError(f"the file is empty, {EXPECTED}")
    if (other := other_format_of(data)) is not None:
        raise CodecError(f"{other} is not supported, {EXPECTED}")
    raise CodecError(f"the file begins with {data[:8]!r}, {EXPECTED}")


def is_image(data: bytes) -> bool:
    """Return whether bytes under a name that does not say so begin as an image file does, supported or not.

    Example:
        >>> from fastblur.codecs import is_image
        >>> is_image(b"GIF89a"), is_image(b"{}")
        (True, False)
    """
    if data.startswith(b"BM"):  # as texts may too: of a bitmap the reserved bytes are zero, and its header's size small
        return data[6:10] == bytes(4) and data[15:18] == bytes(3)
    try:
        format_of(data)
    except CodecError:
        return other_format_of(data) is not None
    return True


def _brands(data: bytes) -> set[bytes]:
    """Return the brands in the file type box of ISO base media (ISO/IEC 14496-12, section 4.3), if there is one."""
    if data[4:8] != b"ftyp":
        return set()
    box = data[8 : min(int.from_bytes(data[:4], "big"), 256)] or data[8:12]
    return {box[at : at + 4] for at in range(0, len(box), 4) if at != 4}  # the second is a version


def other_format_of(data: bytes) -> str | None:
    """Return which image format that is not decoded the first bytes tell."""
    others = {
        "GIF": data.startswith(b"GIF8"),
        "HEIF of an unknown codec": bool(_brands(data) & {b"mif1", b"mif2", b"msf1", b"miaf"}),
        "CR3": b"crx " in _brands(data),
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

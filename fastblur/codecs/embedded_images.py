"""Which metadata may stay in a changed image: nothing that may hold a picture of it as it was before."""

import re
import struct

# The beginnings of image files inside other data. Some cameras change a preview's first byte, so for JPEG the second
# one and the marker after it are enough. The last line are JPEG, PNG, WebP and GIF in base64, as XMP holds them, and
# JPEG in hexadecimal.
_IMAGE = re.compile(
    rb"\xd8\xff[\xc0\xc4\xdb-\xef\xfe]|\x89PNG\r\n|RIFF....WEBP|jP  \r\n|\xff\x4f\xff\x51|GIF8[79]a|ftyp(?:avi|hei|mif)"
    rb"|/9j/|iVBORw0KGgo|UklGR|R0lGOD|[fF]{2}[dD]8[fF]{2}",
    re.DOTALL,
)

# XMP properties that hold an image, or announce one that follows the picture in its file and is not carried over.
_XMP_IMAGE = re.compile(
    rb"Thumbnails|xmpGImg|GImage|GDepth|GCamera|GContainer|Container:|MicroVideo|MotionPhoto|hdrgm|HDRGainMap|DepthMap"
)

_RESOURCE_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")
# Photoshop thumbnails of versions 4 and 5, and copies of the EXIF, which has its own thumbnail.
_THUMBNAIL_RESOURCES = (1033, 1036, 1058, 1059)


def contains_image(data: bytes) -> bool:
    """Return whether the beginning of an image file (JPEG, PNG, WebP, GIF, JPEG 2000) occurs anywhere in the data."""
    return _IMAGE.search(data) is not None


def xmp_mentions_image(xmp: bytes) -> bool:
    """Return whether XMP holds an image, or properties made for holding one or for pointing to one."""
    plain = xmp.replace(b"\0", b"")  # XMP in UTF-16 or UTF-32
    return contains_image(plain) or _XMP_IMAGE.search(plain) is not None


def clean_photoshop(resources: bytes) -> bytes:
    """Return Photoshop image resources (what follows "Photoshop 3.0" in APP13) without those that show the picture.

    Thumbnails (1033, 1036), copies of EXIF (1058, 1059) and resources that hold an image file go; IPTC and the others
    stay as they are. Whatever follows the first resource that cannot be parsed goes too.
    """
    kept = []
    at = 0
    while resources[at : at + 4] in _RESOURCE_SIGNATURES and len(resources) >= at + 12:
        (code,) = struct.unpack_from(">H", resources, at + 4)
        start = at + 6 + (2 + resources[at + 6]) // 2 * 2  # the name: a length byte, the letters, made even
        if len(resources) < start + 4:
            break
        start += 4
        end = start + int.from_bytes(resources[start - 4 : start], "big")
        if end > len(resources):
            break
        if code not in _THUMBNAIL_RESOURCES and not contains_image(resources[start:end]):
            kept.append(resources[at:end] + b"\0" * ((end - start) % 2))
        at = end + (end - start) % 2
    return b"".join(kept)

"""Files that are not images by name: text, which hides no picture, or something that holds or may hold images.

What is not searched for faces must not reach the output unless the user says so, and must not be passed over as if it
had been searched. The first bytes tell a kind for the message only: whatever is not plain text may hold images.
"""

import fnmatch
import os
import re

from fastblur.codecs import OTHER_SUFFIXES, is_image

MIN_IMAGE_BYTES = 64  # of an image without any header: 8 x 8 pixels; hashes and numbers have fewer
HEAD_BYTES = 1 << 16  # of a file: as much as is looked at where it is not read whole

TEXT_SUFFIXES = (
    ".cfg", ".cls", ".csv", ".htm", ".html", ".ini", ".json", ".jsonl", ".log", ".md", ".rst", ".toml", ".tsv", ".txt",
    ".xml", ".yaml", ".yml",
)  # fmt: skip
SYSTEM_FILES = (".ds_store", "desktop.ini", "thumbs.db", ".gitignore", ".gitkeep")
"""Names of files that file managers leave in every folder, in lower case."""

_SIGNATURES = (
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"PK\x05\x06", "a ZIP archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x1f\x8b", "compressed by gzip"),
    (0, b"BZh", "compressed by bzip2"),
    (0, b"\xfd7zXZ", "compressed by xz"),
    (0, b"\x28\xb5\x2f\xfd", "compressed by Zstandard"),
    (0, b"\x04\x22\x4d\x18", "compressed by LZ4"),
    (257, b"ustar", "a tar"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"%PDF", "a PDF document"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of Microsoft Office or a thumbnail database"),
    (0, b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (0, b"OggS", "an Ogg file"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"\x00\x00\x01\xba", "an MPEG video"),
    (0, b"\x00\x00\x01\xb3", "an MPEG video"),
    (8, b"AVI ", "an AVI video"),
    (8, b"WAVE", "a WAVE sound"),
    (4, b"ftyp", "a video or another file of the MP4 family"),
    (4, b"moov", "a QuickTime video"),
    (128, b"DICM", "a DICOM file"),
    (0, b"\x80\x04\x95", "a Python pickle"),
    (0, b"\x80\x05\x95", "a Python pickle"),
)

# A picture in base64 begins so: JPEG, PNG, GIF, WebP and other RIFF, TIFF; in a data URL or as a value of its own.
_BASE64 = r"[/_]9j[/_][A-Za-z0-9+/_-]|iVBORw0KGgo|R0lGODlh|R0lGODdh|UklGR|SUkqA|TU0AK"
IN_TEXT = rf"data:(image|video|application/octet)|(^|[^A-Za-z0-9+/])({_BASE64})"
"""A regular expression, also of RE2, that finds images in a text."""
_IN_TEXT = re.compile(IN_TEXT.encode())
_DRAWN = re.compile(rb"\s*(/\* XPM \*/|#define \w+_width\b|%!PS|P[1-3]\s)")


def has_image_in_text(text: str | bytes) -> bool:
    """Return whether a text has an image in base64 in it, as data URLs do.

    Example:
        >>> from fastblur.pipeline.shards.content import has_image_in_text
        >>> has_image_in_text("<img src='data:image/png;base64,iVBORw0KGgoAAA'>"), has_image_in_text("a face")
        (True, False)
    """
    return _IN_TEXT.search(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text) is not None


def unsearched_kind(data: bytes, *, whole: bool = True) -> str | None:
    """Return what a file is that holds or may hold images, for a message as "is a ZIP archive".

    None for plain text, and for fewer bytes than an image has.

    Args:
        data: its content, which is no image that can be decoded.
        whole: whether that is all of it, or only the first bytes.
    """
    for offset, signature, kind in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature:
            return kind
    if is_image(data):
        return "an image"
    text = _text(data, whole)
    if text is None:
        return "of a kind that is not known" if len(data) >= MIN_IMAGE_BYTES else None
    if _DRAWN.match(text):
        return "a picture written as text"
    return "text with an image in it" if has_image_in_text(text) else None


def unsearched_problem(kind: str) -> str:
    """Return why a file of such a kind fails."""
    return f"is {kind}, which is not searched, expected --others copy or skip to go on without that"


def is_named_as_text(name: str) -> bool:
    """Return whether a file's name says that it is text, or what file managers leave behind."""
    base = os.path.basename(name).lower()
    return base.endswith(TEXT_SUFFIXES) or base in SYSTEM_FILES


def is_named_as_other_image(name: str) -> bool:
    """Return whether a file's name says that it is an image of a format that is not decoded."""
    return name.lower().endswith(OTHER_SUFFIXES)


def matches_members(name: str, patterns: tuple[str, ...]) -> bool:
    """Return whether a member of a tar is one of those that are to be searched.

    Args:
        name: of the member.
        patterns: each an extension as WebDataset has it, all behind the first dot of the name ("jpg" is not that of
            a.seg.jpg), or a pattern with "*" or "?" for the whole extension or the whole name after the last "/".
    """
    base = _one_spelling(name.rpartition("/")[2].lower())
    extension = _one_spelling(base.partition(".")[2])
    for pattern in map(_one_spelling, map(str.lower, patterns)):
        is_pattern = "*" in pattern or "?" in pattern
        if fnmatch.fnmatchcase(extension, pattern) or (is_pattern and fnmatch.fnmatchcase(base, pattern)):
            return True
    return False


def _one_spelling(name: str) -> str:
    """Return a name or extension with one of the spellings of JPEG and TIFF: who says jpg means them all."""
    return re.sub(r"(^|\.)(jpeg|jpe|jfif)$", r"\1jpg", re.sub(r"(^|\.)tiff$", r"\1tif", name))


def _text(data: bytes, whole: bool) -> bytes | None:
    """Return a text as UTF-8; None where it is none."""
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    for missing in range(1 if whole else 4):  # a part may end within a character
        try:
            text = data[: len(data) - missing].decode(encoding)
        except UnicodeDecodeError:
            continue
        return None if "\0" in text else text.encode("utf-8", "surrogatepass")
    return None

"""What is plain text, and what holds or may hold images."""

import base64
import gzip
import io
import json
import pickle
import zipfile
from typing import Any

import numpy as np
import pytest

from fastblur.pipeline.shards.content import is_named_as_text, matches_members, unsearched_kind
from tests.pipeline.helpers import encoded

PIXELS = np.random.default_rng(1).integers(0, 255, (40, 50, 3), np.uint8)


def archive(kind: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.jpg", b"x")
    if kind == "npz":
        buffer = io.BytesIO()
        np.savez(buffer, image=PIXELS)
    return buffer.getvalue()


def array(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return buffer.getvalue()


JPEG, PNG = encoded(PIXELS, "JPEG"), encoded(PIXELS, "PNG")
HOLDING = {
    "zip": (archive("zip"), "a ZIP archive"),
    "npz": (archive("npz"), "a ZIP archive"),
    "npy": (array(PIXELS), "a NumPy array"),
    "gz of an image": (gzip.compress(JPEG), "compressed by gzip"),
    "pickle": (pickle.dumps(PIXELS), "a Python pickle"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + bytes(99), "a 7z archive"),
    "mp4": (b"\0\0\0\x20ftypisom" + bytes(99), "a video or another file of the MP4 family"),
    "webm": (b"\x1a\x45\xdf\xa3" + bytes(99), "a Matroska or WebM video"),
    "pdf": (b"%PDF-1.7\n1 0 obj", "a PDF document"),
    "avi": (b"RIFF\0\0\0\0AVI LIST" + bytes(99), "an AVI video"),
    "parquet": (b"PAR1" + bytes(99), "a Parquet file"),
    "tar": (bytes(257) + b"ustar\x0000" + bytes(300), "a tar"),
    "raw pixels": (PIXELS.tobytes(), "of a kind that is not known"),
    "bright raw pixels": ((PIXELS // 4 + 190).tobytes(), "of a kind that is not known"),
    "an image": (PNG, "an image"),
    "labelme": (
        json.dumps({"imageData": base64.b64encode(JPEG).decode()}).encode(),
        "text with an image",
    ),
    "data URL": (b'<img src="data:image/png;base64,' + base64.b64encode(PNG), "text with an image in it"),
    "PNG in base64": (b"id,image\n7," + base64.b64encode(PNG), "text with an image in it"),
    "base64 for URLs": (b"id,image\n7," + base64.urlsafe_b64encode(JPEG), "text with an image in it"),
    "pixels as text": (b"P3\n2 1\n255\n1 2 3 4 5 6\n", "a"),
    "XPM": (b'/* XPM */\nstatic char *a[] = {"2 1 2 1"};' + b" " * 99, "a picture written as text"),
    "XBM": (b"#define a_width 8\n#define a_height 8\n" + b" " * 99, "a picture written as text"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a picture written as text"),
}
PLAIN = {
    "nothing": b"",
    "a class": b"7",
    "a caption": "eine Katze, größer als ein Haus 🙂\n".encode(),
    "JSON": json.dumps({"caption": "x", "boxes": [[1, 2, 3, 4]], "path": "/9/j.jpg"}).encode(),
    "UTF-16": "a caption".encode("utf-16"),
    "with a byte order mark": b"\xef\xbb\xbfa caption",
    "a hash": bytes(range(100, 132)),
    "a number": np.float32(1.5).tobytes(),
    "text that begins as a bitmap": b"BMW is no bitmap, however long the text goes on" * 3,
    "a text in base64": base64.b64encode(b"some words that are no picture, and go on for a while" * 3),
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><circle r="5"/></svg>',
}


@pytest.mark.parametrize(("data", "kind"), HOLDING.values(), ids=HOLDING)
def test_what_holds_or_may_hold_images(data: bytes, kind: str) -> None:
    found = unsearched_kind(data)
    assert found is not None
    assert found.startswith(kind)


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
def test_what_holds_none(data: bytes) -> None:
    assert unsearched_kind(data) is None


def test_a_part_of_a_text_may_end_within_a_character() -> None:
    text = ("größer " * 20).encode()
    assert text[:3][-1] >= 0x80
    assert {unsearched_kind(text[:end], whole=False) for end in range(1, len(text))} == {None}
    assert unsearched_kind(("ü" * 60).encode()[:-1]) == "of a kind that is not known"


@pytest.mark.parametrize("name", ["a.txt", "b/LABELS.CSV", "x.json", ".DS_Store", "a/Thumbs.db"])
def test_names_of_text(name: str) -> None:
    assert is_named_as_text(name)


@pytest.mark.parametrize("name", ["a.zip", "txt", "a.txt.gz", "a.npy", "a.jpg", "a.gif"])
def test_other_names(name: str) -> None:
    assert not is_named_as_text(name)


@pytest.mark.parametrize(
    ("name", "patterns", "expected"),
    [
        ("a.jpg", ("jpg",), True),
        ("a.JPEG", ("jpg",), True),
        ("a.jpg", ("JPEG",), True),
        ("b/a.tiff", ("png", "tif"), True),
        ("a.seg.jpg", ("jpg",), False),
        ("a.seg.jpg", ("seg.jpeg",), True),
        ("a.seg.jpg", ("*.jpg",), True),
        ("a.left.png", ("*.left.*",), True),
        ("a.left.png", ("left.?ng",), True),
        ("a.depth.png", ("jpg", "png"), False),
        ("jpg", ("jpg",), False),
        ("jpg/a.png", ("jpg",), False),
        ("a.jpgx", ("jpg",), False),
    ],
)
def test_members_by_extension_or_pattern(name: str, patterns: tuple[str, ...], expected: bool) -> None:
    assert matches_members(name, patterns) is expected

"""Animations and files of several pictures fail, each with its sentence, searched or with given boxes."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.pipeline import run
from tests.codecs.files import heic
from tests.pipeline.helpers import encoded, failures, files_below

FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(range(256)) * 4


def plain(seed: int = 0) -> Image.Image:
    """A picture in which nothing is found."""
    grain = np.random.default_rng(seed).integers(100, 110, (64, 96, 3), np.uint8)
    return Image.fromarray(grain)


def frames(format: str, **options: object) -> bytes:
    return encoded(plain(), format, save_all=True, append_images=[plain(1), plain(2)], **options)


def without(data: bytes, chunk: bytes) -> bytes:
    """A PNG without the first chunk of a name, as if only the frames had stayed."""
    at = data.index(chunk) - 4
    return data[:at] + data[at + 12 + int.from_bytes(data[at : at + 4], "big") :]


def webp_without_flag() -> bytes:
    data = bytearray(frames("WEBP"))
    data[20] &= ~0x02
    return bytes(data)


def webp_of_two() -> bytes:
    """A WebP whose container holds a second picture behind the first."""
    one, two = (encoded(plain(seed), "WEBP", lossless=True)[12:] for seed in (0, 1))
    return b"RIFF" + struct.pack("<I", 4 + len(one) + len(two)) + b"WEBP" + one + two


def webp_with_film() -> bytes:
    one = encoded(plain(), "WEBP", lossless=True)[12:] + b"FILM" + struct.pack("<I", len(FILM)) + FILM
    return b"RIFF" + struct.pack("<I", 4 + len(one)) + b"WEBP" + one


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def avif() -> bytes:
    exif = Image.Exif()
    exif[0x10E] = "a picture"
    return encoded(plain(), "AVIF", exif=exif)


def avif_of_two() -> bytes:
    """An AVIF that lists a second picture, of which the first says nothing."""
    data = avif()
    at = data.index(b"infe", data.index(b"infe") + 4)
    data = data[:at] + data[at:].replace(b"Exif", b"jpeg", 1)
    return data.replace(b"cdsc", b"prem", 1)


def heic_of_two() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="the package pillow-heif is absent")
    file = pillow_heif.from_pillow(plain())
    file.add_from_pillow(plain(1))
    buffer = io.BytesIO()
    file.save(buffer)
    return buffer.getvalue()


def cropped_heic(width: int) -> bytes:
    """A HEIC of 64 x 48 pixels, coded as 64 x 64, that shows `width` of its columns."""
    data = bytearray(heic(plain().resize((64, 48))))
    at = data.index(b"clap") + 4
    assert struct.unpack_from(">II", data, at) == (64, 1)
    struct.pack_into(">I", data, at, width)
    return bytes(data)


CASES: dict[str, tuple[Callable[[], bytes], str]] = {
    "one.gif": (lambda: encoded(plain(), "GIF"), "is an image of a format that is not worked on"),
    "many.gif": (lambda: frames("GIF"), "is an image of a format that is not worked on"),
    "gif.jpg": (lambda: frames("GIF"), "GIF is not supported"),
    "many.webp": (lambda: frames("WEBP"), "animated WebP is not supported, expected one frame"),
    "flag.webp": (webp_without_flag, "animated WebP is not supported, expected one frame"),
    "two.webp": (webp_of_two, "WebP holds 2 pictures, expected one"),
    "film.webp": (webp_with_film, "WebP is followed by 1048 bytes that may show more"),
    "many.png": (lambda: frames("PNG"), "animated PNG is not supported, expected one frame"),
    "apart.png": (lambda: frames("PNG", default_image=True), "animated PNG is not supported, expected one frame"),
    "frames.png": (lambda: without(frames("PNG"), b"acTL"), "animated PNG is not supported, expected one frame"),
    "many.apng": (lambda: frames("PNG"), "is an image of a format that is not worked on"),
    "many.tif": (lambda: frames("TIFF"), "TIFF of several pages is not supported, expected one page"),
    "many.avif": (lambda: frames("AVIF"), "an AVIF sequence of 3 frames is not supported, expected one picture"),
    "many.avifs": (lambda: frames("AVIF"), "is an image of a format that is not worked on"),
    "two.avif": (avif_of_two, "AVIF holds 1 further pictures"),
    "film.avif": (lambda: avif() + box(b"mpvd", FILM), "AVIF is followed by 1048 bytes that may show more"),
    "behind.avif": (lambda: avif() + box(b"mdat", FILM), "AVIF is followed by 1048 bytes that may show more"),
    "two.heic": (heic_of_two, "a HEIC of 2 pictures is not supported, expected one"),
    "film.heic": (lambda: heic(plain()) + box(b"mpvd", FILM), "HEIC is followed by 1048 bytes that may show more"),
    "cropped.heic": (lambda: cropped_heic(40), "HEIC shows a part of a picture that is whole in the file"),
    "many.mpo": (lambda: frames("MPO"), "is an image of a format that is not worked on"),
    "mpo.jpg": (lambda: frames("MPO"), "JPEG is followed by"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_fails_with_its_reason(name: str, tmp_path: Path, write_boxes: Callable[..., Path]) -> None:
    make, reason = CASES[name]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / name).write_bytes(make())
    (tmp_path / "src/plain.png").write_bytes(encoded(plain(), "PNG"))
    boxes = write_boxes({name: [], "plain.png": []})
    for number, options in enumerate(({"boxes": boxes}, {"detect_size": 64})):
        out = tmp_path / str(number)
        summary = run(tmp_path / "src", out, **options)
        assert (summary.copied, summary.failed, summary.exit_status) == (1, 1, 1)
        assert files_below(out) == {"plain.png"}
        assert reason in failures(out)[name]
        assert failures(out)[name].count("\n") == 0


def test_what_belongs_to_one_picture_passes(tmp_path: Path, write_boxes: Callable[..., Path]) -> None:
    """An alpha channel, EXIF, a thumbnail, spare room: parts of a file that are no further pictures."""
    clear = plain().copy()
    clear.putalpha(200)
    exif = Image.Exif()
    exif[0x10E] = "a picture"
    made = {
        "a.avif": avif() + box(b"free", bytes(100)),
        "b.avif": encoded(clear, "AVIF", exif=exif),
        "c.webp": encoded(clear, "WEBP", exif=exif, lossless=True),
        "d.webp": encoded(clear, "WEBP", exif=exif, quality=80),
        "e.webp": encoded(plain(), "WEBP", save_all=True),
        "f.heic": heic(clear, exif=exif.tobytes()),
        "g.heic": heic(plain().resize((64, 48))),  # of which the coded picture is larger
    }
    (tmp_path / "src").mkdir()
    for name, data in made.items():
        (tmp_path / "src" / name).write_bytes(data)
    summary = run(tmp_path / "src", tmp_path / "out", boxes=write_boxes({name: [] for name in made}))
    assert failures(tmp_path / "out") == {}
    assert summary.copied == len(made)

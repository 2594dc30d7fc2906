"""Each format has its codec and its file names; without the packages there is one sentence."""

import subprocess
import sys
from typing import get_args

import pytest

from fastblur.codecs import OTHER_SUFFIXES, SUFFIXES, is_image
from fastblur.codecs.codec import CODECS
from fastblur.codecs.formats import SUFFIXES_OF, format_of
from fastblur.codecs.picture import FormatName
from tests.codecs.files import heic, image, saved

FORMATS = get_args(FormatName)


def test_every_format_has_a_codec_and_suffixes() -> None:
    assert tuple(CODECS) == tuple(SUFFIXES_OF) == FORMATS
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert not set(SUFFIXES) & set(OTHER_SUFFIXES)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in (*SUFFIXES, *OTHER_SUFFIXES))


@pytest.mark.parametrize("name", FORMATS)
def test_the_first_bytes_tell(name: str) -> None:
    assert format_of(heic(image()) if name == "HEIF" else saved(image(), name)) == name


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x18ftypavis\0\0\0\0avisavif", "AVIF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIF"),
        (b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc", "HEIF"),
        (b"\0\0\0\x18ftypheix\0\0\0\0mif1heix", "HEIF"),
    ],
)
def test_iso_media_is_known_by_all_its_brands(start: bytes, name: str) -> None:
    assert format_of(start + bytes(40)) == name
    assert is_image(start + bytes(40))


@pytest.mark.parametrize("brand", [b"isom", b"mp42", b"qt  ", b"M4A "])
def test_films_are_no_images(brand: bytes) -> None:
    assert not is_image(b"\0\0\0\x18ftyp" + brand + b"\0\0\2\0isommp41")


@pytest.mark.parametrize("suffix", [".avif", ".heic", ".heif", ".hif"])
def test_names_of_iso_media_are_images(suffix: str) -> None:
    assert suffix in SUFFIXES


@pytest.mark.parametrize("package", ["PIL", "simplejpeg"])
def test_without_a_package_there_is_a_sentence(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import fastblur.codecs"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    sentence = f"MissingPackage: the package {package} is missing, expected it installed: pip install 'fastblur[run]'"
    assert done.stderr.strip().endswith(sentence)

"""Each format has its codec and its file names; without the packages there is one sentence."""

import subprocess
import sys
from typing import get_args

import pytest

from fastblur.codecs import OTHER_SUFFIXES, SUFFIXES
from fastblur.codecs.codec import CODECS
from fastblur.codecs.formats import SUFFIXES_OF, format_of
from fastblur.codecs.picture import FormatName
from tests.codecs.files import image, saved

FORMATS = get_args(FormatName)


def test_every_format_has_a_codec_and_suffixes() -> None:
    assert tuple(CODECS) == tuple(SUFFIXES_OF) == FORMATS
    assert len(set(SUFFIXES)) == len(SUFFIXES)
    assert not set(SUFFIXES) & set(OTHER_SUFFIXES)
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in (*SUFFIXES, *OTHER_SUFFIXES))


@pytest.mark.parametrize("name", FORMATS)
def test_the_first_bytes_tell(name: str) -> None:
    assert format_of(saved(image(), name)) == name


@pytest.mark.parametrize("package", ["PIL", "simplejpeg"])
def test_without_a_package_there_is_a_sentence(package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import fastblur.codecs"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    sentence = f"MissingPackage: the package {package} is missing, expected it installed: pip install 'fastblur[run]'"
    assert done.stderr.strip().endswith(sentence)

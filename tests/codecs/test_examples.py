"""The examples in docstrings give what they say."""

import doctest
from importlib import import_module

import pytest

MODULES = ("codec", "formats", "orientation", "picture")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(import_module(f"fastblur.codecs.{name}"))
    assert result.attempted > 0
    assert result.failed == 0

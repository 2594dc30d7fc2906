"""The examples in the docstrings of operators, Regions and Recipe run and print what they say."""

import doctest
from importlib import import_module

import pytest

import fastblur

MODULES = ["ops.blur", "ops.pixelate", "ops.fill", "ops.masked", "regions", "recipes"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(import_module(f"fastblur.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_every_operator_has_an_example():
    for operator in (
        fastblur.blur,
        fastblur.pixelate,
        fastblur.fill,
        fastblur.masked_blur2d,
        fastblur.MaskedGaussianBlur2d,
        fastblur.MaskedGaussianBlur2d.forward,
        fastblur.Regions,
        fastblur.Regions.from_boxes,
        fastblur.Recipe,
    ):
        assert ">>> " in operator.__doc__, operator

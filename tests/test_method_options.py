"""The options of the methods are those of the operators."""

import inspect

import pytest

from fastblur import ops
from fastblur.errors import UsageError
from fastblur.method_options import METHOD_OPTIONS, operator_arguments
from fastblur.options import Method, choices
from fastblur.pipeline import run
from fastblur.pipeline.images.methods import make_hide
from fastblur.recipes import RECIPES, Recipe

OF_THE_CALL = {"images", "regions", "out", "backend"}


def test_every_method_has_options() -> None:
    assert tuple(METHOD_OPTIONS) == choices(Method)


@pytest.mark.parametrize("method", choices(Method))
def test_options_and_defaults_are_those_of_the_operator(method: str) -> None:
    parameters = inspect.signature(getattr(ops, method)).parameters
    own = {name: parameter.default for name, parameter in parameters.items() if name not in OF_THE_CALL}
    if method == "blur":  # its other defaults are the recipe's
        assert own.pop("recipe") == "default"
        assert METHOD_OPTIONS[method] == {"recipe": None, **own}
        assert set(own) == set(Recipe.__dataclass_fields__)
    else:
        assert METHOD_OPTIONS[method] == own
    assert make_hide(method, "cpu")[1].keys() == METHOD_OPTIONS[method].keys() | {"method"}


def test_every_option_is_one_of_run() -> None:
    parameters = inspect.signature(run).parameters
    for options in METHOD_OPTIONS.values():
        assert all(parameters[name].default is None for name in options)


def test_a_blur_has_its_recipe_as_argument() -> None:
    arguments, parameters = operator_arguments("blur", recipe="ilsvrc", scope="region", strength=None)
    assert arguments == {"recipe": Recipe(strength=0.1, margin=0.1, feather=0.1, scope="region")}
    assert parameters == {"recipe": "ilsvrc", **vars(RECIPES["ilsvrc"]), "scope": "region"}


def test_others_have_the_operators_defaults() -> None:
    arguments, parameters = operator_arguments("fill", color=(1, 2, 3))
    assert arguments == parameters == {"color": (1, 2, 3), "margin": 0.1, "feather": 0.0, "shape": "box"}


def test_scope_is_no_option_of_a_mosaic() -> None:
    with pytest.raises(UsageError, match="scope has no effect with method 'pixelate'"):
        operator_arguments("pixelate", scope="image")

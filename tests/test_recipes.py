"""Recipes: the named ones, their checks, and overrides."""

import dataclasses

import pytest

from fastblur import RECIPES, Recipe
from fastblur.recipes import resolve_recipe
from tests import formula


def test_the_named_recipes():
    assert {name: dataclasses.asdict(recipe) for name, recipe in RECIPES.items()} == formula.RECIPES
    assert Recipe() == RECIPES["default"]


def test_the_default_margin_is_three_deviations_of_the_feather():
    """What makes alpha >= 0.99 in the corners of the box: Phi(3) ** 2 = 0.9973."""
    recipe = RECIPES["default"]
    assert recipe.margin >= 3 * recipe.feather - 1e-12
    assert recipe.scope == "region"
    assert formula.ndtr(recipe.margin / recipe.feather) ** 2 > 0.997


def test_overrides():
    assert resolve_recipe("default", strength=0.3, shape="ellipse") == Recipe(strength=0.3, shape="ellipse")
    assert resolve_recipe("ilsvrc", feather=0.0, scope=None) == dataclasses.replace(RECIPES["ilsvrc"], feather=0.0)
    mine = Recipe(margin=0.4)
    assert resolve_recipe(mine) == mine
    assert resolve_recipe(mine, margin=None) == mine
    assert resolve_recipe(mine, margin=0) == Recipe(margin=0)
    assert RECIPES["default"] == Recipe()


@pytest.mark.parametrize("name", ["strength", "margin", "feather"])
@pytest.mark.parametrize("value", [-1e-9, float("nan"), float("inf"), "1", None, True, 1j])
def test_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"^{name} is .*, expected a number from 0 to 100$"):
        Recipe(**{name: value})


@pytest.mark.parametrize(("name", "allowed"), [("shape", "'box' or 'ellipse'"), ("scope", "'region' or 'image'")])
@pytest.mark.parametrize("value", ["Box", "", None, 1, ["box"]])
def test_words_out_of_range(name, allowed, value):
    with pytest.raises(ValueError, match=rf"^{name} is .*, expected {allowed}$"):
        Recipe(**{name: value})


def test_unknown_recipes():
    with pytest.raises(ValueError, match="recipe is 'strong', expected 'default' or 'ilsvrc'"):
        resolve_recipe("strong")
    with pytest.raises(TypeError, match="recipe is a NoneType, expected a name or a Recipe"):
        resolve_recipe(None)


def test_immutable_and_hashable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().strength = 1.0
    assert len({Recipe(), Recipe(), Recipe(margin=1)}) == 2

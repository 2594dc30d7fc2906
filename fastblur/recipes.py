"""Recipe: a named set of blur parameters; and the values that the operators' options may have."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from fastblur.errors import UsageError
from fastblur.options import check_choice, is_number, is_whole, listed

Shape = Literal["box", "ellipse"]
Scope = Literal["region", "image"]
BorderType = Literal["replicate", "reflect", "constant", "circular"]
Backend = Literal["cpu", "cuda", "reference"]

# Defaults of `pixelate` and `fill`; those of `blur` are its recipe's.
DEFAULT_BLOCKS = 8
DEFAULT_COLOR = 0
DEFAULT_MARGIN = 0.1
DEFAULT_FEATHER = 0.0
DEFAULT_SHAPE: Shape = "box"

MAX_BLOCKS = 1 << 16
MAX_FRACTION = 100  # of d: a larger blur looks the same everywhere, and takes more work


@dataclass(frozen=True)
class Recipe:
    """The parameters of a blur, all lengths as fractions of d, the longer side of a region's box.

    Attributes:
        strength: standard deviation of the Gaussian over d. The deviation has a floor of 0.5 px.
        margin: how far the box grows on every side, over d.
        feather: standard deviation of the soft edge over d; 0 is a hard edge. The edge ends three deviations outside.
        shape: "box", or "ellipse" (the one inscribed in the grown box).
        scope: whose d sets sigma and feather: "region", each region its own; "image", the largest of the image.

    Raises ValueError for a value outside its range.

    >>> from fastblur import Recipe
    >>> Recipe(strength=0.2, shape="ellipse")
    Recipe(strength=0.2, margin=0.15, feather=0.05, shape='ellipse', scope='region')
    """

    strength: float = 0.15
    margin: float = 0.15
    feather: float = 0.05
    shape: Shape = "box"
    scope: Scope = "region"

    def __post_init__(self) -> None:
        for name in ("strength", "margin", "feather"):
            check_fraction(name, getattr(self, name))
            object.__setattr__(self, name, float(getattr(self, name)))  # NumPy's numbers too
        check_choice("shape", self.shape, Shape)
        check_choice("scope", self.scope, Scope)


def check_fraction(name: str, value: Any) -> None:
    """Raise ValueError unless `value` is a number from 0 to `MAX_FRACTION`."""
    if not is_number(value) or not 0 <= float(value) <= MAX_FRACTION:
        raise UsageError(f"{name} is {value!r}, expected a number from 0 to {MAX_FRACTION}")


def check_blocks(blocks: Any) -> None:
    """Raise ValueError unless `blocks` is an int from 1 to `MAX_BLOCKS`."""
    if not is_whole(blocks) or not 1 <= int(blocks) <= MAX_BLOCKS:
        raise UsageError(f"blocks is {blocks!r}, expected an int from 1 to {MAX_BLOCKS}")


RECIPES: dict[str, Recipe] = {
    # alpha >= 0.99 over the whole detected box, corners included: the margin is three deviations of the feather.
    "default": Recipe(),
    # What the ImageNet team's script did (Yang et al., ICML 2022, arXiv:2103.06191). Its weakness: next to a large face
    # the mask of a small one is smoothed by the large one's deviation, and the small face stays partly visible.
    "ilsvrc": Recipe(strength=0.1, margin=0.1, feather=0.1, scope="image"),
}


def resolve_recipe(recipe: "str | Recipe", **overrides: "float | str | None") -> Recipe:
    """Return the recipe called `recipe` (or `recipe` itself) with every override that is not None.

    Raises ValueError for an unknown name or a value outside its range, TypeError for another type.
    """
    if isinstance(recipe, str):
        if recipe not in RECIPES:
            raise UsageError(f"recipe is {recipe!r}, expected {listed(tuple(RECIPES))}")
        recipe = RECIPES[recipe]
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe is a {type(recipe).__name__}, expected a name or a Recipe")
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    return replace(recipe, **given) if given else recipe

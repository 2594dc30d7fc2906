"""The options of each method, their defaults, and the check that what they make hides a face. Needs no torch."""

from dataclasses import fields
from math import erf, sqrt
from os import PathLike
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from fastblur.errors import UsageError
from fastblur.options import DetectorEngine, Method, check_choice
from fastblur.recipes import (
    DEFAULT_BLOCKS,
    DEFAULT_COLOR,
    DEFAULT_FEATHER,
    DEFAULT_MARGIN,
    DEFAULT_SHAPE,
    Recipe,
    Scope,
    Shape,
    check_blocks,
    check_fraction,
    resolve_recipe,
)

if TYPE_CHECKING:
    import torch


class DetectorOptions(TypedDict, total=False):
    """The settings of a detector that is given by name; `DetectorSettings` explains them."""

    threshold: float | None
    detect_size: int | None
    weights: str | PathLike[str] | None
    device: "torch.device | str | None"
    engine: DetectorEngine | None
    threads: int | None
    half: bool | None
    graph: bool | None


class MethodOptions(TypedDict, total=False):
    """The options of the methods; `fastblur.blur`, `pixelate` and `fill` explain them."""

    recipe: str | Recipe | None
    strength: float | None
    margin: float | None
    feather: float | None
    shape: Shape | None
    scope: Scope | None
    blocks: int | None
    color: Any


class HidingOptions(DetectorOptions, MethodOptions, total=False):
    """All that `FaceBlur` and `HideFaces` take besides their own arguments."""


METHOD_OPTIONS: dict[str, dict[str, Any]] = {
    "blur": dict.fromkeys(("recipe", *(field.name for field in fields(Recipe)))),
    "pixelate": {"blocks": DEFAULT_BLOCKS, "margin": DEFAULT_MARGIN, "shape": DEFAULT_SHAPE},
    "fill": {
        "color": DEFAULT_COLOR,
        "margin": DEFAULT_MARGIN,
        "feather": DEFAULT_FEATHER,
        "shape": DEFAULT_SHAPE,
    },
}
"""The options of each method with the defaults of its operator, None where the recipe has them.

They are those of the operators' signatures, as a test checks: reading them from there would load torch in processes
that do without it.
"""

MIN_STRENGTH = 0.05  # half of what the ImageNet team took
MAX_PRIVATE_BLOCKS = 32  # along a face's longer side
MIN_COVERAGE = 0.99  # of the middle of a square face


def operator_arguments(method: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of a method's operator, and the parameters that they stand for.

    Args:
        method: "blur", "pixelate" or "fill".
        options: those of the operator, as its own arguments; None stands for the operator's default.

    Raises ValueError (UsageError) for an unknown method, an option that is not the method's, or a value that does not
    fit or would not hide a face.

    Example:
        >>> from fastblur.method_options import operator_arguments
        >>> operator_arguments("pixelate", blocks=6)[0]
        {'blocks': 6, 'margin': 0.1, 'shape': 'box'}
    """
    check_choice("method", method, Method)
    given = {name: _plain(value) for name, value in options.items() if value is not None}
    for name in given:
        if not any(name in known for known in METHOD_OPTIONS.values()):
            raise UsageError(f"{name!r} is no option, expected some of {', '.join(METHOD_OPTIONS[method])}")
        if name not in METHOD_OPTIONS[method]:
            raise UsageError(f"{name} has no effect with method {method!r}, expected it left out")
    if method == "blur":
        name = given.pop("recipe", "default")
        recipe = resolve_recipe(name, **given)
        check_hides(recipe.margin, recipe.feather, strength=recipe.strength)
        return {"recipe": recipe}, {"recipe": name, **vars(recipe)}
    arguments = METHOD_OPTIONS[method] | given
    for name in ("margin", "feather"):
        check_fraction(name, arguments.get(name, 0.0))
    check_choice("shape", arguments["shape"], Shape)
    if method == "pixelate":
        check_blocks(arguments["blocks"])
    if method == "fill":
        check_color(arguments["color"])
    check_hides(arguments["margin"], arguments.get("feather", 0), blocks=arguments.get("blocks"))
    return arguments, dict(arguments)


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as Python's, which journals can hold."""
    return value.item() if isinstance(value, np.generic) else value


def check_color(color: Any) -> None:
    """Raise UsageError for what is no colour in any scale: a number of 0 or more, or several, also as "255,0,0"."""
    parts = color.split(",") if isinstance(color, str) else color
    try:
        values = np.asarray(parts, np.float64).reshape(-1)
    except (TypeError, ValueError, RuntimeError):
        values = np.zeros(0)
    if not len(values) or isinstance(color, bool) or not ((values >= 0) & (values <= 255)).all():
        raise UsageError(f"color is {color!r}, expected a level 0..255 or three of them, as 255,0,0")


def check_hides(margin: float, feather: float, *, strength: float | None = None, blocks: int | None = None) -> None:
    """Raise UsageError for values with which a face could still be recognised, though the operators take them.

    The soft edge of `feather` must leave the middle of a square face its blur to at least 99 %.
    """
    if strength is not None and strength < MIN_STRENGTH:
        raise UsageError(
            f"strength is {strength}, expected at least {MIN_STRENGTH}: with less a face can be recognised"
        )
    if blocks is not None and blocks > MAX_PRIVATE_BLOCKS:
        raise UsageError(
            f"blocks is {blocks}, expected at most {MAX_PRIVATE_BLOCKS}: with more a face can be recognised"
        )
    if feather > 0 and (covered := erf((0.5 + margin) / feather / sqrt(2)) ** 2) < MIN_COVERAGE:
        raise UsageError(
            f"feather is {feather} with a margin of {margin}, which hides the middle of a face by {covered:.0%}, "
            f"expected at least {MIN_COVERAGE:.0%}: a smaller feather or a larger margin"
        )

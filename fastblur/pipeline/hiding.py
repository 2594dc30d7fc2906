"""The operator of a run: from the options of the command to a function that hides regions in pictures."""

from collections.abc import Callable
from inspect import signature
from math import erf, sqrt
from typing import Any

import numpy as np
import torch

from fastblur.annotations import Boxes
from fastblur.codecs import Picture
from fastblur.ops import blur, fill, pixelate
from fastblur.pipeline.lane import Lane
from fastblur.recipes import resolve_recipe

Hide = Callable[[list[Picture], list[Boxes]], None]

OPTIONS = {
    "blur": ("recipe", "strength", "margin", "feather", "shape"),
    "pixelate": ("blocks", "margin", "shape"),
    "fill": ("color", "margin", "feather", "shape"),
}


WEAKEST = 0.05  # strength; half of what the ImageNet team took
FINEST = 32  # blocks along a face's longer side
COVERED = 0.99


def make_hide(method: str, device: str, **options: Any) -> tuple[Hide, dict[str, Any]]:
    """Return a function that hides boxes in the pixels of pictures, in place, and the parameters it uses.

    The function takes a list of pictures and as many arrays of boxes, (n, 4) xyxy in stored coordinates.

    Args:
        method: "blur", "pixelate" or "fill".
        device: where the operator runs, "cpu" or "cuda".
        options: those of the operator, as its own arguments; None stands for the operator's default. `color` is a text,
            "128" or "255,0,0", a level or RGB in 0..255.

    Raises ValueError for an unknown method, an option that is not the method's, or a value that the operator refuses.
    """
    operator, arguments, parameters = operator_of(method, **options)
    color = parse_color(str(arguments.pop("color"))) if method == "fill" else None
    lane = Lane(device)

    def hide(pictures: list[Picture], boxes: list[Boxes]) -> None:
        for kind in {picture.color for picture in pictures}:
            chosen = [i for i, picture in enumerate(pictures) if picture.color == kind]
            images = [torch.from_numpy(pictures[i].pixels).permute(2, 0, 1) for i in chosen]
            extra: dict[str, Any] = {} if color is None else {"color": as_levels(color, kind)}
            with lane.open():
                moved = lane.to_device(images)
                operator(moved, [boxes[i] for i in chosen], out=moved, **arguments, **extra)
                lane.back(moved, images)

    # A first call on a tiny image lets the operator check its options and compile what it needs before the run starts.
    tiny = Picture(np.zeros((8, 8, 3), np.uint8), "PNG", "RGB", 1, b"")
    hide([tiny], [np.array([[1, 1, 7, 7]], np.float32)])
    return hide, {"method": method, **parameters}


def operator_of(method: str, **options: Any) -> tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]:
    """Return the operator of a method, its arguments, and the parameters that they stand for.

    Args:
        method: "blur", "pixelate" or "fill".
        options: those of the operator, as its own arguments; None stands for the operator's default.

    Raises ValueError for an unknown method or an option that is not the method's.
    """
    if method not in OPTIONS:
        raise ValueError(f"method is {method!r}, expected one of {', '.join(map(repr, OPTIONS))}")
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if not any(name in known for known in OPTIONS.values()):
            raise ValueError(f"{name!r} is no option, expected some of {', '.join(OPTIONS[method])}")
        if name not in OPTIONS[method]:
            raise ValueError(f"--{name} has no effect with --method {method}, expected it left out")
    if method == "blur":
        name = given.pop("recipe", "default")
        recipe = resolve_recipe(name, **given)
        check_hides(recipe.margin, recipe.feather, strength=recipe.strength)
        return blur, {"recipe": recipe}, {"recipe": name, **vars(recipe)}
    operator: Callable[..., Any] = pixelate if method == "pixelate" else fill
    arguments = {name: signature(operator).parameters[name].default for name in OPTIONS[method]} | given
    check_hides(arguments["margin"], arguments.get("feather", 0), blocks=arguments.get("blocks"))
    return operator, arguments, dict(arguments)


def check_hides(margin: float, feather: float, *, strength: float | None = None, blocks: int | None = None) -> None:
    """Raise ValueError for values with which a face can still be known, though the operators take them.

    The soft edge of `feather` must leave the middle of a square face its blur to at least 99 %.
    """
    if strength is not None and strength < WEAKEST:
        raise ValueError(f"strength is {strength}, expected at least {WEAKEST}: less leaves a face to be known")
    if blocks is not None and blocks > FINEST:
        raise ValueError(f"blocks is {blocks}, expected at most {FINEST}: more leave a face to be known")
    if feather > 0 and (covered := erf((0.5 + margin) / feather / sqrt(2)) ** 2) < COVERED:
        raise ValueError(
            f"feather is {feather} with a margin of {margin}, which hides the middle of a face by {covered:.0%}, "
            f"expected at least {COVERED:.0%}: a smaller feather or a larger margin"
        )


def parse_color(text: str) -> tuple[int, int, int]:
    """Return the RGB levels of "128" or "255,0,0".

    Raises ValueError for another form.
    """
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if len(levels) not in (1, 3) or not all(0 <= level <= 255 for level in levels):
        raise ValueError(f"color is {text!r}, expected a level 0..255 or three of them, as 255,0,0")
    red, green, blue = levels * (3 // len(levels))
    return red, green, blue


def as_levels(rgb: tuple[int, int, int], color: str) -> list[float]:
    """Return an RGB colour as the channels of an image in `color`: opaque with alpha, ITU-R 601 luma where grey."""
    red, green, blue = rgb
    if color in ("L", "LA"):
        channels = [float(round(0.299 * red + 0.587 * green + 0.114 * blue))]
    elif color == "CMYK":
        channels = [255.0 - red, 255.0 - green, 255.0 - blue, 0.0]
    else:
        channels = [float(level) for level in rgb]
    return [*channels, 255.0] if color in ("LA", "RGBA") else channels

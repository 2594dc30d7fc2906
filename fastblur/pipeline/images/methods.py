"""The operator of a run: from the options of the command to a function that hides regions in pictures."""

from collections.abc import Callable
from math import erf, sqrt
from typing import Any

import numpy as np

from fastblur.annotations.readers import Boxes
from fastblur.codecs import Picture
from fastblur.kernels.cpu.schedule import NO_COLOR, Parameters, hide_in_arrays, of_blur, of_fill, of_pixelate
from fastblur.recipes import Shape, check_blocks, check_choice, check_fraction, resolve_recipe

Hide = Callable[[list[Picture], list[Boxes]], None]

OPTIONS: dict[str, dict[str, Any]] = {
    "blur": dict.fromkeys(("recipe", "strength", "margin", "feather", "shape")),
    "pixelate": {"blocks": 8, "margin": 0.1, "shape": "box"},
    "fill": {"color": 0, "margin": 0.1, "feather": 0.0, "shape": "box"},
}
"""The options of each method, with the operators' own defaults; a blur's are its recipe's."""

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
    arguments, parameters = arguments_of(method, **options)
    color = parse_color(arguments.pop("color")) if method == "fill" else None
    at_once = in_arrays(method, arguments) if device == "cpu" else on_device(method, arguments, device)

    def hide(pictures: list[Picture], boxes: list[Boxes]) -> None:
        for kind in {picture.color for picture in pictures}:
            chosen = [i for i, picture in enumerate(pictures) if picture.color == kind]
            levels = None if color is None else as_levels(color, kind)
            at_once([pictures[i].pixels for i in chosen], [boxes[i] for i in chosen], levels)

    # A first call on a tiny image compiles what is needed before the run starts.
    tiny = Picture(np.zeros((8, 8, 3), np.uint8), "PNG", "RGB", 1, b"")
    hide([tiny], [np.array([[1, 1, 7, 7]], np.float32)])
    return hide, {"method": method, **parameters}


AtOnce = Callable[[list[np.ndarray], list[Boxes], list[float] | None], None]
"""Hides boxes in (H, W, C) uint8 images of one kind, in place; the last is the level of each channel to fill with."""


def in_arrays(method: str, arguments: dict[str, Any]) -> AtOnce:
    """Return what hides by the CPU kernel, without torch, which takes a second to load."""
    parameters = parameters_of(method, arguments)

    def hide(images: list[np.ndarray], boxes: list[Boxes], color: list[float] | None) -> None:
        hide_in_arrays(images, boxes, parameters, NO_COLOR if color is None else np.array(color, np.float32))

    return hide


def parameters_of(method: str, arguments: dict[str, Any]) -> Parameters:
    """Return a method's arguments as the CPU kernel takes them."""
    if method == "blur":
        return of_blur(arguments["recipe"])
    return of_pixelate(**arguments) if method == "pixelate" else of_fill(**arguments)


def on_device(method: str, arguments: dict[str, Any], device: str) -> AtOnce:
    """Return what hides by the operator on a device."""
    import torch

    from fastblur import ops
    from fastblur.pipeline.images.cuda_stream import Lane

    operator, lane = getattr(ops, method), Lane(device)

    def hide(images: list[np.ndarray], boxes: list[Boxes], color: list[float] | None) -> None:
        here = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
        extra: dict[str, Any] = {} if color is None else {"color": color}
        with lane.open():
            there = lane.to_device(here)
            operator(there, boxes, out=there, **arguments, **extra)
            lane.back(there, here)

    return hide


def arguments_of(method: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of a method's operator, and the parameters that they stand for.

    Args:
        method: "blur", "pixelate" or "fill".
        options: those of the operator, as its own arguments; None stands for the operator's default.

    Raises ValueError for an unknown method, an option that is not the method's, or a value that does not fit or would
    not hide a face.
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
        return {"recipe": recipe}, {"recipe": name, **vars(recipe)}
    arguments = OPTIONS[method] | given
    for name in ("margin", "feather"):
        check_fraction(name, arguments.get(name, 0.0))
    check_choice("shape", arguments["shape"], Shape)
    if method == "pixelate":
        check_blocks(arguments["blocks"])
    check_hides(arguments["margin"], arguments.get("feather", 0), blocks=arguments.get("blocks"))
    return arguments, dict(arguments)


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


def parse_color(color: Any) -> tuple[int, int, int]:
    """Return the RGB levels of "128" or "255,0,0", of a level, or of a sequence of three.

    Raises ValueError for another form.
    """
    text = color if isinstance(color, str) else ",".join(map(str, np.atleast_1d(color).tolist()))
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if len(levels) not in (1, 3) or not all(0 <= level <= 255 for level in levels):
        raise ValueError(f"color is {color!r}, expected a level 0..255 or three of them, as 255,0,0")
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

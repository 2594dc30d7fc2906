"""The methods of a run: their options, and for each a function that hides regions in pictures.

Kernels and torch are imported when a function is made, so that a process that only checks options loads neither.
"""

from collections.abc import Callable
from dataclasses import fields
from math import erf, sqrt
from typing import Any

import numpy as np

from fastblur.annotations.rows import Boxes
from fastblur.codecs import Picture
from fastblur.errors import UsageError
from fastblur.options import Method, check_choice
from fastblur.recipes import (
    DEFAULT_BLOCKS,
    DEFAULT_COLOR,
    DEFAULT_FEATHER,
    DEFAULT_MARGIN,
    DEFAULT_SHAPE,
    Recipe,
    Shape,
    check_blocks,
    check_fraction,
    resolve_recipe,
)

Hide = Callable[[list[Picture], list[Boxes]], None]
"""Takes pictures and for each its boxes, (n, 4) xyxy px in stored coordinates; changes the pixels in place."""

OPTIONS: dict[str, dict[str, Any]] = {
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

They are those of the operators' signatures, as tests/pipeline/images/test_methods.py checks: reading them from there
would load torch in processes that do without it.
"""

MIN_STRENGTH = 0.05  # half of what the ImageNet team took
MAX_PRIVATE_BLOCKS = 32  # along a face's longer side
MIN_COVERAGE = 0.99  # of the blur, in the middle of a square face


def make_hide(method: str, device: str, **options: Any) -> tuple[Hide, dict[str, Any]]:
    """Return a function that hides boxes in the pixels of pictures, and the parameters it uses.

    Args:
        method: "blur", "pixelate" or "fill".
        device: where the operator runs, "cpu" or "cuda".
        options: those of the operator, as `arguments_of` takes them.

    Raises ValueError as `arguments_of` does.
    """
    arguments, parameters = arguments_of(method, **options)
    color = parse_color(arguments.pop("color")) if method == "fill" else None
    hide_batch = hide_on_cpu(method, arguments) if device == "cpu" else hide_on_device(method, arguments, device)

    def hide(pictures: list[Picture], boxes: list[Boxes]) -> None:
        for kind in {picture.color for picture in pictures}:
            chosen = [i for i, picture in enumerate(pictures) if picture.color == kind]
            levels = None if color is None else as_levels(color, kind)
            hide_batch([pictures[i].pixels for i in chosen], [boxes[i] for i in chosen], levels)

    # A first call on a tiny image compiles what is needed before the run starts.
    tiny = Picture(np.zeros((8, 8, 3), np.uint8), "PNG", "RGB", 1, b"")
    hide([tiny], [np.array([[1, 1, 7, 7]], np.float32)])
    return hide, {"method": method, **parameters}


HideBatch = Callable[[list[np.ndarray], list[Boxes], list[float] | None], None]
"""Hides boxes in (H, W, C) uint8 images of one kind, in place; the last is the level of each channel to fill with."""


def hide_on_cpu(method: str, arguments: dict[str, Any]) -> HideBatch:
    """Return what hides by the CPU kernel itself: the operators would load torch, which takes a second."""
    from fastblur.kernels.cpu.schedule import NO_COLOR, hide_in_arrays
    from fastblur.kernels.parameters import KernelParameters

    if method == "blur":
        parameters = KernelParameters.for_blur(arguments["recipe"])
    else:
        make = KernelParameters.for_pixelate if method == "pixelate" else KernelParameters.for_fill
        parameters = make(**arguments)

    def hide(images: list[np.ndarray], boxes: list[Boxes], color: list[float] | None) -> None:
        hide_in_arrays(images, boxes, parameters, NO_COLOR if color is None else np.array(color, np.float32))

    return hide


def hide_on_device(method: str, arguments: dict[str, Any], device: str) -> HideBatch:
    """Return what hides by the operator on a device."""
    import torch

    from fastblur import ops
    from fastblur.pipeline.images.cuda_stream import DeviceStream

    operator, stream = getattr(ops, method), DeviceStream(device)

    def hide(images: list[np.ndarray], boxes: list[Boxes], color: list[float] | None) -> None:
        on_host = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
        extra: dict[str, Any] = {} if color is None else {"color": color}
        with stream.activate():
            on_device = stream.to_device(on_host)
            operator(on_device, boxes, out=on_device, **arguments, **extra)
            stream.copy_back(on_device, on_host)

    return hide


def arguments_of(method: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of a method's operator, and the parameters that they stand for.

    Args:
        method: "blur", "pixelate" or "fill".
        options: those of the operator, as its own arguments; None stands for the operator's default. `color` is a text,
            "128" or "255,0,0", a level or RGB in 0..255.

    Raises ValueError for an unknown method, an option that is not the method's, or a value that does not fit or would
    not hide a face.
    """
    check_choice("method", method, Method)
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if not any(name in known for known in OPTIONS.values()):
            raise UsageError(f"{name!r} is no option, expected some of {', '.join(OPTIONS[method])}")
        if name not in OPTIONS[method]:
            raise UsageError(f"--{name} has no effect with --method {method}, expected it left out")
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
    """Raise UsageError for values with which a face can still be recognised, though the operators take them.

    The soft edge of `feather` must leave the middle of a square face its blur to at least 99 %.
    """
    if strength is not None and strength < MIN_STRENGTH:
        raise UsageError(
            f"strength is {strength}, expected at least {MIN_STRENGTH}: a face can be recognised with less"
        )
    if blocks is not None and blocks > MAX_PRIVATE_BLOCKS:
        raise UsageError(
            f"blocks is {blocks}, expected at most {MAX_PRIVATE_BLOCKS}: a face can be recognised with more"
        )
    if feather > 0 and (covered := erf((0.5 + margin) / feather / sqrt(2)) ** 2) < MIN_COVERAGE:
        raise UsageError(
            f"feather is {feather} with a margin of {margin}, which hides the middle of a face by {covered:.0%}, "
            f"expected at least {MIN_COVERAGE:.0%}: a smaller feather or a larger margin"
        )


def parse_color(color: Any) -> tuple[int, int, int]:
    """Return the RGB levels of "128" or "255,0,0", of a level, or of a sequence of three.

    Raises UsageError for another form.
    """
    text = color if isinstance(color, str) else ",".join(map(str, np.atleast_1d(color).tolist()))
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if len(levels) not in (1, 3) or not all(0 <= level <= 255 for level in levels):
        raise UsageError(f"color is {color!r}, expected a level 0..255 or three of them, as 255,0,0")
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

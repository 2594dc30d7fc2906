"""The methods of a run: for each a function that hides regions in pictures.

Kernels and torch are imported when a function is made, so that a process that only checks options loads neither.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastblur.boxes import Boxes
from fastblur.codecs import Picture
from fastblur.errors import UsageError
from fastblur.method_options import operator_arguments

Hide = Callable[[list[Picture], list[Boxes]], None]
"""Takes pictures and for each its boxes, (n, 4) xyxy px in stored coordinates; changes the pixels in place."""


def make_hide(method: str, device: str, **options: Any) -> tuple[Hide, dict[str, Any]]:
    """Return a function that hides boxes in the pixels of pictures, and the parameters it uses.

    Args:
        method: "blur", "pixelate" or "fill".
        device: where the operator runs, "cpu" or "cuda".
        options: those of the operator, as `operator_arguments` takes them.

    Raises ValueError as `operator_arguments` does.
    """
    arguments, parameters = operator_arguments(method, **options)
    color = parse_color(arguments.pop("color")) if method == "fill" else None
    hide_batch = hide_on_cpu(method, arguments) if device == "cpu" else hide_on_device(method, arguments, device)

    def hide(pictures: list[Picture], boxes: list[Boxes]) -> None:
        for kind, dtype in {(picture.color, picture.pixels.dtype) for picture in pictures}:
            chosen = [i for i, one in enumerate(pictures) if (one.color, one.pixels.dtype) == (kind, dtype)]
            levels = None if color is None else as_levels(color, kind)
            images, rows = [pictures[i].pixels for i in chosen], [boxes[i] for i in chosen]
            if dtype == np.uint8:
                hide_batch(images, rows, levels)
                continue
            # 16 bits are hidden as float32 in 0..1, which holds them exactly.
            floats = [np.divide(image, 65535, dtype=np.float32) for image in images]
            hide_batch(floats, rows, None if levels is None else [level / 255 for level in levels])
            for image, changed in zip(images, floats, strict=True):
                image[...] = np.rint(changed * 65535).clip(0, 65535)

    # A first call on a tiny image compiles what is needed before the run starts.
    tiny = Picture(np.zeros((8, 8, 3), np.uint8), "PNG", "RGB", 1, b"")
    hide([tiny], [np.array([[1, 1, 7, 7]], np.float32)])
    return hide, {"method": method, **parameters}


HideBatch = Callable[[list[np.ndarray], list[Boxes], list[float] | None], None]
"""Hides boxes in (H, W, C) images of one kind, uint8 or float32, in place; the last are the levels to fill with."""


def hide_on_cpu(method: str, arguments: dict[str, Any]) -> HideBatch:
    """Return what hides by the CPU kernel itself: the operators would load torch, which takes a second."""
    from fastblur.kernels.cpu.schedule import NO_COLOR, hide_in_arrays
    from fastblur.kernels.parameters import KernelParameters

    parameters = KernelParameters.for_method(method, arguments)

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

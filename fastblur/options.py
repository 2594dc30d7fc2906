"""The choices that users have, each listed once: the command, the checks and the documentation take them from here.

The choices of a recipe (`Shape`, `Scope`) are in `fastblur.recipes`, the detectors' names in `fastblur.detectors`.
"""

from numbers import Integral, Real
from typing import Any, Literal, get_args

from fastblur.errors import UsageError

Method = Literal["blur", "pixelate", "fill"]
"""The operator that hides the faces."""

EngineName = Literal["auto", "processes", "threads", "ray"]
"""Who does the work of a run."""

Device = Literal["auto", "cpu", "cuda"]
"""Where detector and operator of a run work; "auto" is CUDA where there is one."""

Format = Literal["images", "webdataset", "table"]
"""The kinds of files that a run can be confined to."""

Unlisted = Literal["fail", "copy", "detect"]
"""What happens to an image that the boxes file does not list; the first is the default."""

Others = Literal["fail", "copy", "skip"]
"""What happens to files that hold or may hold images and are not searched; the first is the default."""

BoxCoordinates = Literal["auto", "stored", "upright"]
"""Whether given boxes are of the picture as it is stored, or upright (turned as its EXIF orientation says)."""

BoxFormat = Literal["xyxy", "xywh", "cxcywh", "xyxyn", "xywhn", "cxcywhn"]
"""What the four numbers of a box are, as torchvision calls it.

Two corners; the upper left corner, width and height; or the centre, width and height; in pixels, or with an n relative
to the image's sides, 0..1. COCO has "xywh"; what Ultralytics calls xywh and xywhn are "cxcywh" and "cxcywhn".
"""

Channels = Literal["rgb", "bgr"]
"""The order of an image's colour channels; OpenCV reads files as BGR."""

JpegWay = Literal["blocks", "encode"]
"""How JPEG files are changed: block by block where that is possible, or decoded and encoded whole."""

OnError = Literal["continue", "stop"]
"""What a failed image does to a run."""

OnRowError = Literal["drop", "raise"]
"""What a failed row does to a Ray Data job."""

DetectorEngine = Literal["torch", "onnx"]
"""What runs a detector's network."""

MAX_PIXELS = 1 << 28
"""Width times height above which an image is not decoded, unless the user says otherwise."""


def choices(literal: Any) -> tuple[str, ...]:
    """Return the values of a `Literal` type, in its order.

    Example:
        >>> from fastblur.options import Method, choices
        >>> choices(Method)
        ('blur', 'pixelate', 'fill')
    """
    return get_args(literal)


def check_choice(name: str, value: object, literal: Any) -> None:
    """Raise UsageError unless `value` is one of the values of the `Literal` type.

    Example:
        >>> from fastblur.options import OnError, check_choice
        >>> check_choice("on_error", "halt", OnError)
        Traceback (most recent call last):
        fastblur.errors.UsageError: on_error is 'halt', expected 'continue' or 'stop'
    """
    allowed = choices(literal)
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}, expected {listed(allowed)}")


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, of Python or NumPy, and no truth value.

    Example:
        >>> import numpy as np
        >>> from fastblur.options import is_number
        >>> is_number(np.float32(0.5)), is_number(True), is_number("1")
        (True, False, False)
    """
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number, of Python or NumPy, and no truth value."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def listed(names: "tuple[str, ...]") -> str:
    """Return names for a sentence: "'a', 'b' or 'c'"."""
    *first, last = map(repr, names)
    return f"{', '.join(first)} or {last}" if first else last

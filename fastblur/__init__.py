"""Hide faces in image tensors and image files at data-set scale.

The names below are the whole public library. Each is imported when it is first used, so that `import fastblur` costs
little more than `import torch`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastblur._version import __version__ as __version__

if TYPE_CHECKING:
    from fastblur.detectors import load_detector
    from fastblur.jpeg import hide_jpeg
    from fastblur.module import FaceBlur
    from fastblur.ops import MaskedGaussianBlur2d, blur, fill, masked_blur2d, pixelate
    from fastblur.recipes import RECIPES, Recipe
    from fastblur.regions import Regions

_HOME = {
    "Regions": "fastblur.regions",
    "Recipe": "fastblur.recipes",
    "RECIPES": "fastblur.recipes",
    "blur": "fastblur.ops",
    "pixelate": "fastblur.ops",
    "fill": "fastblur.ops",
    "masked_blur2d": "fastblur.ops",
    "MaskedGaussianBlur2d": "fastblur.ops",
    "load_detector": "fastblur.detectors",
    "FaceBlur": "fastblur.module",
    "hide_jpeg": "fastblur.jpeg",
}

__all__ = [
    "RECIPES",
    "FaceBlur",
    "MaskedGaussianBlur2d",
    "Recipe",
    "Regions",
    "blur",
    "fill",
    "hide_jpeg",
    "load_detector",
    "masked_blur2d",
    "pixelate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fastblur' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Hide faces in image tensors and image files at data-set scale.

Public is what docs/reference.md lists: the names below, and those in `__all__` of `fastblur.detectors`,
`fastblur.transforms`, `fastblur.integrations.ray_data` and `fastblur.pipeline`. Each name below is imported when it is
first used, so that `import fastblur` loads nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastblur import forked as forked  # before the program can fork
from fastblur._version import __version__ as __version__

if TYPE_CHECKING:
    from fastblur import detectors as detectors
    from fastblur import integrations as integrations
    from fastblur import pipeline as pipeline
    from fastblur import transforms as transforms
    from fastblur.collating import collate
    from fastblur.detectors import load_detector
    from fastblur.errors import FastblurError, FileError, UsageError
    from fastblur.jpeg import hide_jpeg
    from fastblur.module import FaceBlur
    from fastblur.need import MissingPackage
    from fastblur.ops.blur import blur
    from fastblur.ops.fill import fill
    from fastblur.ops.masked import MaskedGaussianBlur2d, masked_blur2d
    from fastblur.ops.pixelate import pixelate
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
    "FastblurError": "fastblur.errors",
    "FileError": "fastblur.errors",
    "UsageError": "fastblur.errors",
    "MissingPackage": "fastblur.need",
    "hide_jpeg": "fastblur.jpeg",
    "collate": "fastblur.collating",
}
_MODULES = ("detectors", "integrations", "pipeline", "transforms")  # whose names are public too

__all__ = [
    "RECIPES",
    "FaceBlur",
    "FastblurError",
    "FileError",
    "MaskedGaussianBlur2d",
    "MissingPackage",
    "Recipe",
    "Regions",
    "UsageError",
    "blur",
    "collate",
    "fill",
    "hide_jpeg",
    "load_detector",
    "masked_blur2d",
    "pixelate",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"fastblur.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'fastblur' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted((*__all__, *_MODULES, "__version__"))

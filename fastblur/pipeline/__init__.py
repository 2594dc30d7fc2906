"""The way of an image file: bytes -> image -> Regions -> image -> bytes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastblur.pipeline.detect_files import Found, detect
    from fastblur.pipeline.run_files import run
    from fastblur.pipeline.summary import Summary

__all__ = ["Found", "Summary", "detect", "run"]

_HOME = {"Found": "detect_files", "detect": "detect_files", "run": "run_files", "Summary": "summary"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fastblur.pipeline' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"fastblur.pipeline.{_HOME[name]}"), name)
    return value

"""The way of an image file: bytes -> image -> Regions -> image -> bytes."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastblur.pipeline.correct_files import correct
    from fastblur.pipeline.detect_files import detect
    from fastblur.pipeline.errors import RunStopped
    from fastblur.pipeline.run_files import run
    from fastblur.pipeline.summary import CorrectSummary, DetectSummary, Summary

__all__ = ["CorrectSummary", "DetectSummary", "RunStopped", "Summary", "correct", "detect", "run"]

_HOME = {
    "CorrectSummary": "summary",
    "DetectSummary": "summary",
    "RunStopped": "errors",
    "Summary": "summary",
    "correct": "correct_files",
    "detect": "detect_files",
    "run": "run_files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'fastblur.pipeline' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"fastblur.pipeline.{_HOME[name]}"), name)
    return value

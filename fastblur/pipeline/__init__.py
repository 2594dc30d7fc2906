"""The way of an image file: bytes -> image -> Regions -> image -> bytes."""

from fastblur.pipeline.runner import run
from fastblur.pipeline.summary import Summary

__all__ = ["Summary", "run"]

"""The way of an image file: bytes -> image -> Regions -> image -> bytes."""

from fastblur.pipeline.listing import Found, detect
from fastblur.pipeline.runner import run
from fastblur.pipeline.summary import Summary

__all__ = ["Found", "Summary", "detect", "run"]

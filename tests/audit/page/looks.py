"""What is seen: screenshots as arrays, and where a color is in them."""

import io
import re
from typing import Any

import numpy as np
from PIL import Image

Pixels = Any  # (H, W, 3) uint8


def screenshot(page: Any) -> Pixels:
    page.wait_for_load_state("networkidle")
    complete = "[...document.images].filter((one) => one.complete).map((one) => one.decode().catch(() => 0))"
    page.evaluate(f"Promise.all({complete})")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))


def bounds_of(pixels: Pixels, color: tuple[int, ...], tolerance: int) -> tuple[int, int, int, int]:
    """The box, xyxy, around all pixels that differ from a color by at most `tolerance` in each channel."""
    near = np.abs(pixels.astype(int) - color).max(-1) <= tolerance
    assert near.any(), f"no pixel is like {color}"
    ys, xs = np.nonzero(near)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def color_of(page: Any, variable: str) -> tuple[int, ...]:
    """A color of the style sheet, RGB."""
    text = page.evaluate("name => getComputedStyle(document.documentElement).getPropertyValue(name)", variable)
    return tuple(bytes.fromhex(re.fullmatch(r"\s*#([0-9a-f]{6})\s*", text)[1]))

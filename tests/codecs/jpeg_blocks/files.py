"""JPEG files of every kind that can be rewritten block by block, and what independent readers say of them.

Coefficients come from jpeglib, which is libjpeg's own reader; samples are made of them in float64 with SciPy.
"""

import io
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from scipy.fft import idctn

from fastblur.codecs.jpeg_blocks import Rewritten, hide, read_layout
from fastblur.kernels.parameters import KernelParameters
from fastblur.recipes import RECIPES, Recipe
from tests.codecs.files import photo

MAX_PIXELS = 1 << 30
SAMPLINGS = {"444": (1, 1), "422": (2, 1), "440": (1, 2), "420": (2, 2), "411": (4, 1)}
"""Pixels that a chroma sample is wide and high."""

RECIPE_ELLIPSE = Recipe(0.15, 0.15, 0.05, "ellipse", "region")
METHODS = {
    "default": KernelParameters.for_blur(RECIPES["default"]),
    "ilsvrc": KernelParameters.for_blur(RECIPES["ilsvrc"]),
    "ellipse": KernelParameters.for_blur(RECIPE_ELLIPSE),
    "pixelate": KernelParameters.for_pixelate(8, 0.1, "box"),
    "pixelate ellipse": KernelParameters.for_pixelate(5, 0.1, "ellipse"),
    "fill": KernelParameters.for_fill(0.1, 0.0, "box"),
    "fill ellipse": KernelParameters.for_fill(0.1, 0.05, "ellipse"),
}
LEVELS = {"L": [70.0], "RGB": [200.0, 90.0, 30.0], "CMYK": [55.0, 165.0, 225.0, 0.0]}


def rewritten(data: bytes, boxes: Any, method: str = "default") -> Rewritten:
    levels = LEVELS if method.startswith("fill") else None
    layout = read_layout(data, MAX_PIXELS)
    return hide(data, layout, np.array(boxes, np.float32).reshape(-1, 4), METHODS[method], levels)


def jpeg(
    colors: str = "YCbCr",
    sampling: str = "444",
    height: int = 61,
    width: int = 83,
    quality: int = 90,
    seed: int = 0,
    **options: Any,
) -> bytes:
    """A JPEG file of a photograph-like picture; options are Pillow's."""
    channels = {"L": 1, "YCbCr": 3, "RGB": 3, "CMYK": 4, "YCCK": 4}[colors]
    pixels = photo(height, width, channels, seed)
    if sampling in ("440", "411"):
        return bytes(simplejpeg.encode_jpeg(pixels, quality, "RGB", sampling))
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)
    buffer = io.BytesIO()
    if channels > 1:
        options["subsampling"] = ("444", "422", "420").index(sampling)
    image.save(buffer, "JPEG", quality=quality, keep_rgb=colors == "RGB", **options)
    data = buffer.getvalue()
    if colors == "YCCK":
        at = data.index(b"Adobe") + 11
        assert data[at] == 0
        data = data[:at] + b"\x02" + data[at + 1 :]
    return data


def kinds() -> Iterator[tuple[str, dict[str, Any]]]:
    """A name and the arguments of `jpeg` for every kind."""
    tables: list[dict[str, Any]] = [{}, {"optimize": True}]
    restarts: list[dict[str, Any]] = [{}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 5}]
    for options, restart in product(tables, restarts):
        for colors, sampling in [("L", "444"), ("RGB", "444"), ("CMYK", "444"), ("CMYK", "420"), ("YCCK", "420")]:
            yield (
                f"{colors} {sampling} {options} {restart}",
                {"colors": colors, "sampling": sampling, **options, **restart},
            )
        for sampling in ("444", "422", "420"):
            yield f"YCbCr {sampling} {options} {restart}", {"sampling": sampling, **options, **restart}
    for sampling in ("440", "411"):
        yield f"YCbCr {sampling}", {"sampling": sampling}


def coefficients(data: bytes, folder: Path) -> list[np.ndarray]:
    """Each component's quantised coefficients as libjpeg reads them, (rows of blocks, blocks, 8, 8)."""
    jpeglib = pytest.importorskip("jpeglib", reason="jpeglib absent: nothing else reads coefficients")
    path = folder / "one.jpg"
    path.write_bytes(data)
    read = jpeglib.read_dct(str(path))
    return [np.asarray(one) for one in (read.Y, read.Cb, read.Cr, read.K) if one is not None]


def planes(data: bytes, folder: Path) -> list[np.ndarray]:
    """Each component's samples in float64, neither rounded nor cut, with what pads the last blocks."""
    tables = Image.open(io.BytesIO(data)).quantization
    components = frame(data)
    found = []
    for one, (_, _, _, table) in zip(coefficients(data, folder), components, strict=True):
        steps = np.array(tables[table], np.float64).reshape(8, 8)
        samples = idctn(one * steps, axes=(2, 3), norm="ortho") + 128
        rows, columns = one.shape[:2]
        found.append(samples.transpose(0, 2, 1, 3).reshape(8 * rows, 8 * columns))
    return found


def frame(data: bytes) -> list[tuple[int, int, int, int]]:
    """(identifier, horizontal factor, vertical factor, table) of each component."""
    at = 2
    while data[at + 1] not in (0xC0, 0xC1):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    n = data[at + 9]
    return [(data[i], data[i + 1] >> 4, data[i + 1] & 15, data[i + 2]) for i in range(at + 10, at + 10 + 3 * n, 3)]


def strictly_decoded(data: bytes) -> np.ndarray:
    """The pixels as libjpeg-turbo gives them where it takes every warning for an error; of CMYK as Pillow does."""
    components = len(frame(data))
    if components == 4:
        image = Image.open(io.BytesIO(data))
        image.load()
        return np.array(image)
    return np.array(simplejpeg.decode_jpeg(data, "GRAY" if components == 1 else "RGB"))

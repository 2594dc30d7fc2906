"""The formula of docs/architecture.md for one picture, region by region, sharing no code with the kernels.

It is what the output of a run is held against. Other than the reference (`fastblur.kernels.reference`) it takes memory
for one region at a time, so that a crowd of a thousand faces can be checked.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, erf, floor, inf, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastblur.boxes import Boxes
from fastblur.codecs import Picture
from fastblur.method_options import operator_arguments
from fastblur.pipeline.images.methods import as_levels, parse_color

TRUNCATE = 6.0  # deviations at which the Gaussian ends
REACH = 3.0  # deviations of the feather at which alpha ends
MIN_SIGMA, MIN_BLOCK = 0.5, 2  # px
MOST_WEIGHTS = 1 << 23  # of a matrix that filters lines, and numbers transformed at once
SLACK = 1e-3  # px by which a support is taken larger: float32 may round either way

Levels = NDArray[np.float32]
"""Pixels in 0..255, whatever their depth, (H, W, C)."""

Window = tuple[slice, slice]
"""Rows and columns of a picture."""


class Region(NamedTuple):
    """A region, grown by the margin: xyxy px, its longer side before that, and the side that sets deviations."""

    x0: float
    y0: float
    x1: float
    y1: float
    side: float
    scale: float


@dataclass
class Formula:
    """What a run does to the pixels of regions.

    Args:
        method: "blur", "pixelate" or "fill".
        options: of its operator, as `fastblur.pipeline.run` takes them.
    """

    method: str
    options: dict[str, Any]
    _values: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        arguments, _ = operator_arguments(self.method, **self.options)
        recipe = arguments.pop("recipe", None)
        self._values = {"feather": 0.0, "scope": "region", **arguments, **(vars(recipe) if recipe else {})}

    def supports(self, boxes: Boxes, height: int, width: int) -> list[Window]:  # boxes: (n, 4) xyxy px
        """Return the pixels that each region may change; those of an ellipse count as those of its box."""
        return [self._support(region, height, width) for region in self._regions(boxes)]

    def result(self, picture: Picture, boxes: Boxes, window: Window) -> Levels:
        """Return a window of the picture with its boxes hidden, not rounded."""
        height, width = picture.pixels.shape[:2]
        rows, columns = window
        image = levels(picture, window)
        total, mixed = np.zeros((*image.shape[:2], 1), np.float32), np.zeros_like(image)
        for region in self._regions(boxes):
            support = self._support(region, height, width)
            if 0 in _shape(support):
                continue
            here = _within(support[0], rows), _within(support[1], columns)
            alpha = self._alpha(region, support, height, width)[:, :, None]
            total[here] += alpha
            mixed[here] += alpha * self._hidden(picture, region, support)
        mean = mixed / np.where(total > 0, total, 1)
        return np.where(total > 0, image + np.minimum(total, 1) * (mean - image), image)

    def _regions(self, boxes: Boxes) -> list[Region]:
        rows = boxes.astype(np.float64).tolist()
        sides = [max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in rows]
        scales = [max(sides)] * len(sides) if self._values["scope"] == "image" else sides
        margin = self._values["margin"]
        return [
            Region(x0 - margin * d, y0 - margin * d, x1 + margin * d, y1 + margin * d, d, scale)
            for (x0, y0, x1, y1), d, scale in zip(rows, sides, scales, strict=True)
        ]

    def _support(self, region: Region, height: int, width: int) -> Window:
        reach = REACH * self._values["feather"] * region.scale + SLACK
        return (
            slice(max(0, ceil(region.y0 - reach - 0.5)), max(0, min(height, floor(region.y1 + reach - 0.5) + 1))),
            slice(max(0, ceil(region.x0 - reach - 0.5)), max(0, min(width, floor(region.x1 + reach - 0.5) + 1))),
        )

    def _alpha(self, region: Region, support: Window, height: int, width: int) -> NDArray[np.float32]:  # (h, w)
        deviation = self._values["feather"] * region.scale
        y, x = (np.arange(part.start, part.stop, dtype=np.float64) + 0.5 for part in support)
        if self._values["shape"] == "box":
            alpha = np.outer(
                _soft(y, region.y0, region.y1, height, deviation), _soft(x, region.x0, region.x1, width, deviation)
            )
            return alpha.astype(np.float32)
        a, b = (region.x1 - region.x0) / 2, (region.y1 - region.y0) / 2
        u, v = np.meshgrid((x - region.x0 - a) / a, (y - region.y0 - b) / b)
        k0, k1 = np.hypot(u, v), np.hypot(u / a, v / b)
        distance = np.where(k1 > 0, k0 * (k0 - 1) / np.where(k1 > 0, k1, 1), -min(a, b))
        alpha = _normal(-distance / deviation) if deviation > 0 else (distance <= 0).astype(np.float64)
        return np.where(distance <= REACH * deviation, alpha, 0).astype(np.float32)

    def _hidden(self, picture: Picture, region: Region, support: Window) -> Levels:
        """Return what a region is blended with, over its support."""
        if self.method == "fill":
            color = as_levels(parse_color(self._values["color"]), picture.color)
            return np.broadcast_to(np.array(color, np.float32), (*_shape(support), len(color)))
        if self.method == "pixelate":
            longest = max(region.x1 - region.x0, region.y1 - region.y0)
            side = max(MIN_BLOCK, ceil(longest / self._values["blocks"]))
            return _mosaic(picture, region, side, support)
        return _gaussian(picture, max(MIN_SIGMA, self._values["strength"] * region.scale), support)


def levels(picture: Picture, window: Window) -> Levels:
    """Return a window of a picture's pixels in 0..255."""
    pixels: Levels = picture.pixels[window].astype(np.float32)
    pixels /= np.float32(per_level(picture))
    return pixels


def per_level(picture: Picture) -> int:
    """Return how many values of a picture's depth make a level."""
    return 257 if picture.pixels.dtype == np.uint16 else 1


def _within(part: slice, whole: slice) -> slice:
    return slice(part.start - whole.start, part.stop - whole.start)


def _shape(window: Window) -> tuple[int, int]:
    rows, columns = window
    return rows.stop - rows.start, columns.stop - columns.start


def _normal(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the normal distribution function of each value."""
    function: Callable[[Any], NDArray[np.float64]] = np.vectorize(
        lambda z: 0.5 * (1 + erf(z / sqrt(2))), otypes=[float]
    )
    return function(values)


def _soft(t: NDArray[np.float64], low: float, high: float, size: int, deviation: float) -> NDArray[np.float64]:
    """Return an interval filtered with a Gaussian at the points t; a side that reaches the border goes on for ever."""
    low, high = (-inf if low <= 0 else low), (inf if high >= size else high)
    if deviation == 0:
        return ((t >= low) & (t <= high)).astype(np.float64)
    alpha = _normal((t - low) / deviation) - _normal((t - high) / deviation)
    return np.where((t >= low - REACH * deviation) & (t <= high + REACH * deviation), alpha, 0)


def _gaussian(picture: Picture, sigma: float, support: Window) -> Levels:
    """Return the picture filtered with a Gaussian, its border repeated, over a support."""
    height, width, _ = picture.pixels.shape
    reach = ceil(TRUNCATE * sigma)
    rows, columns = support
    near = (
        slice(max(0, rows.start - reach), min(height, rows.stop + reach)),
        slice(max(0, columns.start - reach), min(width, columns.stop + reach)),
    )
    image = levels(picture, near)
    down = _filtered(image, rows, near[0], height, sigma)
    across = _filtered(np.ascontiguousarray(down.transpose(1, 0, 2)), columns, near[1], width, sigma)
    return np.ascontiguousarray(across.transpose(1, 0, 2))


def _filtered(
    image: Levels,  # lines along the first axis
    wanted: slice,
    near: slice,
    size: int,
    sigma: float,
) -> Levels:
    """Return the wanted pixels of lines of `size` pixels filtered with a Gaussian; `near` is what `image` has of them.

    By a matrix, or, where that would be large, by Fourier transforms. Pixels on a border stand for all beyond it.
    """
    import torch  # whose products take as many threads as the audit says; NumPy's take all

    reach = ceil(TRUNCATE * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    length, lines = near.stop - near.start, image.reshape(image.shape[0], -1)
    # What lies further out than k pixels, k from 0 on: the part of a border pixel that is k pixels away.
    beyond = np.append(np.cumsum(weights[::-1])[::-1][reach + 1 :], 0.0)
    centres = np.arange(wanted.start, wanted.stop)
    if len(centres) * length <= MOST_WEIGHTS:
        offsets = np.arange(near.start, near.stop)[None] - centres[:, None]
        matrix = np.where(np.abs(offsets) <= reach, weights[np.clip(offsets + reach, 0, 2 * reach)], 0)
        result = (torch.from_numpy(matrix.astype(np.float32)) @ torch.from_numpy(lines)).numpy()
    else:
        result = _convolved(lines, weights, wanted.start - near.start, len(centres))
    first, last = centres, size - 1 - centres  # pixels to the borders
    if near.start == 0:
        result = result + np.outer(beyond[np.minimum(first, reach)], lines[0])
    if near.stop == size:
        result = result + np.outer(beyond[np.minimum(last, reach)], lines[-1])
    return result.astype(np.float32).reshape(len(centres), *image.shape[1:])


def _convolved(lines: Levels, weights: NDArray[np.float64], start: int, count: int) -> NDArray[np.float64]:
    """Return `count` pixels from `start` on of lines (length, n) filtered with weights, nothing beyond their ends."""
    length, reach = len(lines), len(weights) // 2
    weights = weights[max(0, reach - length) : reach + length + 1]  # all that meet a line
    reach = len(weights) // 2
    size = 1 << (length + len(weights) - 1).bit_length()
    transformed = np.fft.rfft(weights, size)[:, None]
    result = np.empty((count, lines.shape[1]))
    at_once = max(1, MOST_WEIGHTS // size)
    for n in range(0, lines.shape[1], at_once):
        part = np.fft.rfft(lines[:, n : n + at_once].astype(np.float64), size, axis=0)
        result[:, n : n + at_once] = np.fft.irfft(part * transformed, size, axis=0)[reach + start :][:count]
    return result


def _mosaic(picture: Picture, region: Region, side: int, support: Window) -> Levels:
    """Return blocks of `side` px, the first at R's upper left pixel, each the mean of its pixels, over a support."""
    height, width = picture.pixels.shape[:2]
    starts = floor(region.y0), floor(region.x0)
    blocks = [
        ((part.start - start) // side, (part.stop - 1 - start) // side + 1)
        for part, start in zip(support, starts, strict=True)
    ]
    result = np.empty((*_shape(support), picture.pixels.shape[2]), np.float32)
    for j in range(*blocks[0]):
        y0, y1 = max(0, starts[0] + j * side), min(height, starts[0] + (j + 1) * side)
        for i in range(*blocks[1]):
            x0, x1 = max(0, starts[1] + i * side), min(width, starts[1] + (i + 1) * side)
            mean = levels(picture, (slice(y0, y1), slice(x0, x1))).mean((0, 1), dtype=np.float64)
            top, left = support[0].start, support[1].start
            result[max(0, y0 - top) : y1 - top, max(0, x0 - left) : x1 - left] = mean
    return result

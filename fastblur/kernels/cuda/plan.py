"""The plan of the CUDA kernel: a region's support and grid, made on the device, and what the host can know of both.

Every program of the first launch plans its own region, so the host never learns how many there are or how large. It
only bounds the cells that a region can have: at a constant sigma / step they depend on the recipe, not on the face.
"""

from math import ceil

import triton
import triton.language as tl

from fastblur.boxes import MAX_COORDINATE
from fastblur.kernels import constants

RATIO = tl.constexpr(constants.SIGMA_PER_STEP)  # least sigma over step
TRUNCATE = tl.constexpr(3.5)  # deviations at which the taps end
SUPPORT = tl.constexpr(constants.ALPHA_SUPPORT)  # deviations of the feather at which alpha ends
FARTHEST = tl.constexpr(float(MAX_COORDINATE))  # pixels; coordinates and sigma end here
BLUR, MOSAIC, COLOR, MASK = map(tl.constexpr, (constants.BLUR, constants.MOSAIC, constants.FILL, constants.MASK))
REPLICATE, REFLECT, CONSTANT, CIRCULAR = map(tl.constexpr, constants.BORDERS.values())
INSIDE = tl.constexpr(constants.INSIDE)

INTS, FLOATS = tl.constexpr(16), tl.constexpr(8)  # columns of the plan's two tables, one row a region
# int32: support x0, y0, x1, y1; step x, y; reach x, y; first pixel of the grid x, y; its columns, rows.
# float32: R's left, top, right, bottom, from the support's first pixel; the feather's deviation in pixels;
# 1 / (2 variance) of the Gaussian that is left to the grid, in cells, x, y.


@triton.jit
def number(bits):
    """Return the float64 whose bits the int is: Triton hands floats over as float32."""
    return bits.to(tl.int64).to(tl.float64, bitcast=True)


@triton.jit
def _limited(value):
    return tl.minimum(tl.maximum(value.to(tl.float64), -FARTHEST), FARTHEST)


@triton.jit
def _visible(x0, y0, x1, y1, height, width):
    return (x0 < x1) & (y0 < y1) & (x0 < width) & (y0 < height) & (x1 > 0) & (y1 > 0)


@triton.jit
def _longest(boxes, count, height, width):
    """Return the longest side of the image's regions that are not degenerate."""
    longest = (height * 0).to(tl.float64)
    for first in range(0, count, 32):
        i = first + tl.arange(0, 32)
        x0 = tl.load(boxes + i * 4, mask=i < count, other=0)
        y0 = tl.load(boxes + i * 4 + 1, mask=i < count, other=0)
        x1 = tl.load(boxes + i * 4 + 2, mask=i < count, other=0)
        y1 = tl.load(boxes + i * 4 + 3, mask=i < count, other=0)
        side = tl.maximum(_limited(x1) - _limited(x0), _limited(y1) - _limited(y0))
        side = tl.where(_visible(x0, y0, x1, y1, height, width), side, 0.0)
        longest = tl.maximum(longest, tl.max(side, 0))
    return longest


@triton.jit
def _first(low, reach):
    """Return the first pixel whose centre alpha reaches, not cut to the image."""
    return tl.where(low <= 0, 0.0, tl.maximum(tl.ceil(low - reach - 0.5), 0.0))


@triton.jit
def _last(high, reach, size):
    """Return one past the last pixel whose centre alpha reaches."""
    inside = tl.maximum(tl.floor(high + reach - 0.5) + 1, 0.0)
    return tl.where(high >= size, size, tl.minimum(inside, size)).to(tl.int32)


@triton.jit
def _grid(sigma, first, last):
    """Return step, reach, first pixel and cells of a line's grid, and 1 / (2 variance) left to it."""
    step = tl.maximum((sigma / RATIO).to(tl.int32), 1)
    reach = tl.maximum(tl.ceil(sigma * TRUNCATE / step).to(tl.int32), 2)
    missing = sigma * sigma - (step.to(tl.float64) * step - 1) / 12  # averaging over `step` pixels has brought the rest
    cells = (last - first + step - 1) // step + 2 * reach
    return step, reach, first - reach * step, cells, 0.5 * step * step / missing


@triton.jit
def plan_region(
    boxes, counts, sigmas, b, i, most, height, width, strength, margin, feather, blocks,
    MODE: tl.constexpr, ELLIPSE: tl.constexpr, WHOLE: tl.constexpr, BORDER: tl.constexpr,
):  # fmt: skip
    """Return the row of the plan of region `i` of image `b`; a support of no area for one that is to be skipped."""
    height_, width_ = height.to(tl.float64), width.to(tl.float64)
    zero = height_ * 0
    left, top, right, bottom, deviation = zero, zero, width_, height_, zero
    x0, y0, x1, y1 = height * 0, height * 0, width, height
    if MODE == MASK:
        sigma_y = tl.minimum(tl.load(sigmas + b * 2).to(tl.float64), FARTHEST)
        sigma_x = tl.minimum(tl.load(sigmas + b * 2 + 1).to(tl.float64), FARTHEST)
        # Of a periodic line nothing is left but the mean at a deviation of one period.
        if BORDER == CIRCULAR:
            sigma_y, sigma_x = tl.minimum(sigma_y, height_), tl.minimum(sigma_x, width_)
        if BORDER == REFLECT:
            sigma_y, sigma_x = tl.minimum(sigma_y, 2 * height_ - 2), tl.minimum(sigma_x, 2 * width_ - 2)
    else:
        count = tl.minimum(tl.load(counts + b), most).to(tl.int32)
        boxes += b.to(tl.int64) * most * 4
        at = boxes + i * 4
        active = i < count
        bx0, by0 = tl.load(at, mask=active, other=0), tl.load(at + 1, mask=active, other=0)
        bx1, by1 = tl.load(at + 2, mask=active, other=0), tl.load(at + 3, mask=active, other=0)
        active = _visible(bx0, by0, bx1, by1, height, width)
        left, top, right, bottom = _limited(bx0), _limited(by0), _limited(bx1), _limited(by1)
        d = tl.maximum(right - left, bottom - top)
        scale = d
        if WHOLE:
            scale = _longest(boxes, count, height, width)
        grow = margin * d
        left, top, right, bottom = left - grow, top - grow, right + grow, bottom + grow
        deviation = feather * scale
        x0 = tl.minimum(_first(left, deviation * SUPPORT), width_).to(tl.int32)
        y0 = tl.minimum(_first(top, deviation * SUPPORT), height_).to(tl.int32)
        x1, y1 = _last(right, deviation * SUPPORT, width_), _last(bottom, deviation * SUPPORT, height_)
        active = active & (x0 < x1) & (y0 < y1)
        x0, y0, x1, y1 = x0 * active, y0 * active, x1 * active, y1 * active
        sigma_x = tl.minimum(tl.maximum(strength * scale, 0.5), FARTHEST)
        sigma_y = sigma_x
    if MODE == MOSAIC:
        longer = tl.maximum(right - left, bottom - top)
        step_x = tl.ceil(tl.minimum(tl.maximum(longer / blocks, 2.0), 4 * FARTHEST)).to(tl.int32)
        step_y, reach_x, reach_y, half_x, half_y = step_x, step_x * 0, step_x * 0, zero, zero
        # The first block that the support meets; far to the left of the image int32 would not do.
        first_x = (tl.floor(left) + tl.floor((x0 - tl.floor(left)) / step_x) * step_x).to(tl.int32)
        first_y = (tl.floor(top) + tl.floor((y0 - tl.floor(top)) / step_y) * step_y).to(tl.int32)
        columns, rows = (x1 - first_x + step_x - 1) // step_x, (y1 - first_y + step_y - 1) // step_y
    else:
        step_x, reach_x, first_x, columns, half_x = _grid(sigma_x, x0, x1)
        step_y, reach_y, first_y, rows, half_y = _grid(sigma_y, y0, y1)
    endless = float("inf")
    if not ELLIPSE:  # a side that reaches the border goes on for ever
        left, top = tl.where(left <= 0, -endless, left), tl.where(top <= 0, -endless, top)
        right, bottom = tl.where(right >= width_, endless, right), tl.where(bottom >= height_, endless, bottom)
    return (
        x0, y0, x1, y1, step_x, step_y, reach_x, reach_y, first_x, first_y, columns, rows,
        left - x0, top - y0, right - x0, bottom - y0, deviation, half_x, half_y,
    )  # fmt: skip


def most_cells(size: int, strength: float, spread: float, limit: int) -> int:
    """Return the most cells that a region's grid can have along a line of `size` pixels.

    `spread` is the most that a support can measure over the longer side that sets sigma = `strength` times it; a
    strength of 0 says that sigma is free. `limit` is another bound, or 0.
    """
    if limit:  # a mosaic, whose blocks are 2 px at least
        return min(limit, size // 2) + 2
    most = 0
    for step in range(1, 65):  # beyond, the bound falls
        sigma = RATIO.value * (step + 1)  # steps are cut down, so this is not reached
        support = min(size, ceil(spread * sigma / strength) + 2) if strength else size
        most = max(most, -(-support // step) + 2 * ceil(TRUNCATE.value * sigma / step))
    return most

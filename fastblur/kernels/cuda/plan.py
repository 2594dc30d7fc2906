"""The plan of the CUDA kernel, made on the device: which regions there are, their grids, and what is to do.

Regions that are there, and not padding, stand one after the other in the plan, whatever the rows they came in. The host
never learns how many there are or how large; it only bounds the cells that a region can have: at a constant sigma /
step they depend on the recipe, not on the face.

The plan is one int32 tensor: `HEADER` numbers, where each image's regions begin, running sums of the work in each of
the launches that follow, and a row of `ROW` columns a region. Only this file knows where in it what stands.
"""

from math import ceil

import triton
import triton.language as tl

from fastblur.boxes import MAX_COORDINATE
from fastblur.kernels import constants

RATIO = tl.constexpr(constants.SIGMA_PER_STEP)  # least sigma over step
TRUNCATE = tl.constexpr(3.5)  # deviations at which the taps end
SUPPORT = tl.constexpr(constants.ALPHA_SUPPORT)  # deviations of the feather at which alpha ends
MIN_SIGMA, MIN_BLOCK = tl.constexpr(constants.MIN_SIGMA), tl.constexpr(float(constants.MIN_BLOCK))
MIN_RADIUS = tl.constexpr(constants.MIN_RADIUS)
FARTHEST = tl.constexpr(float(MAX_COORDINATE))  # pixels; coordinates and sigma end here
BLUR, MOSAIC, COLOR, MASK = map(tl.constexpr, (constants.BLUR, constants.MOSAIC, constants.FILL, constants.MASK))
REPLICATE, REFLECT, CONSTANT, CIRCULAR = map(tl.constexpr, constants.BORDERS.values())
INSIDE = tl.constexpr(constants.INSIDE)

# What one program does at a time. A cell block: CELL_ROWS x up to CELLS cells, from POSITIONS pixels of each row. A
# line block: LINES x up to ACROSS pixels of a blurred grid, from WINDOW x WINDOW cells. EDGES of the numbers that alpha
# is made of. A tile: HIGH x WIDE pixels of the image. Where channels lie side by side these are elements, not pixels.
CELL_ROWS, CELLS, POSITIONS = tl.constexpr(16), tl.constexpr(32), tl.constexpr(64)
LINES, ACROSS, WINDOW = tl.constexpr(16), tl.constexpr(64), tl.constexpr(64)
EDGES = tl.constexpr(256)
HIGH, WIDE = tl.constexpr(16), tl.constexpr(32)
UNIT = tl.constexpr(8)  # elements: what pitches and places in the scratch are multiples of

HEADER, ROW = tl.constexpr(8), tl.constexpr(28)
AVERAGE, SMOOTH, BLEND = (tl.constexpr(i) for i in range(3))  # the running sums
REGIONS_AT_ONCE, IMAGES_AT_ONCE = tl.constexpr(256), tl.constexpr(512)


@triton.jit
def number(bits):
    """Return the float64 whose bits the int is: Triton hands floats over as float32."""
    return bits.to(tl.int64).to(tl.float64, bitcast=True)


@triton.jit
def sums_of(plan, images, slots, WHICH: tl.constexpr):
    """Return where the running sums of a launch's work stand, one a region."""
    return plan + HEADER + images + 1 + slots * WHICH


@triton.jit
def row_of(plan, images, slots, r):
    """Return where the row of region `r` stands."""
    return plan + HEADER + images + 1 + 3 * slots + r * ROW


@triton.jit
def regions_in(plan):
    """Return how many regions there are, and how many of them have their place in the scratch."""
    return tl.load(plan), tl.load(plan + 1)


@triton.jit
def load_image(row):
    """Return the region's image, and the first of its regions and one past the last."""
    return tl.load(row), tl.load(row + 1), tl.load(row + 2)


@triton.jit
def load_support(row, mask=None):
    """Return the support in whole pixels: x0, y0, x1, y1."""
    return (
        tl.load(row + 3, mask=mask),
        tl.load(row + 4, mask=mask),
        tl.load(row + 5, mask=mask),
        tl.load(row + 6, mask=mask),
    )


@triton.jit
def load_across(row):
    """Return the grid along x: step, reach, first pixel, cells, and how sharp its filter is."""
    sharpness = tl.load(row + 21).to(tl.float32, bitcast=True)
    columns = tl.load(row + 13) // UNIT * UNIT  # which they are; so that the compiler knows
    return tl.load(row + 7), tl.load(row + 9), tl.load(row + 11), columns, sharpness


@triton.jit
def load_down(row):
    """Return the grid along y: step, reach, first pixel, cells, and how sharp its filter is."""
    sharpness = tl.load(row + 22).to(tl.float32, bitcast=True)
    return tl.load(row + 8), tl.load(row + 10), tl.load(row + 12), tl.load(row + 14), sharpness


@triton.jit
def store_place(row, place, mask):
    """Write the place of the region's cells in the scratch, in UNITs; the row after the last has that of the end."""
    tl.store(row + 15, (place & 0x7FFFFFFF).to(tl.int32), mask=mask)
    tl.store(row + 23, (place >> 31).to(tl.int32), mask=mask)


@triton.jit
def load_place(row, mask=None):
    """Return the place of the region's cells in the scratch, in UNITs."""
    low, high = tl.load(row + 15, mask=mask).to(tl.int64), tl.load(row + 23, mask=mask).to(tl.int64)
    return (high << 31) + low


@triton.jit
def load_lines(row):
    """Return the blurred lines' first pixel, pitch (elements from line to line), number and place, in elements.

    The place counts from that of the cells. Alpha along x and along y follows the lines of the last plane.
    """
    pitch = tl.load(row + 24) // UNIT * UNIT  # which it is; so that the compiler knows
    return tl.load(row + 3) // 4 * 4, pitch, tl.load(row + 25), tl.load(row + 26).to(tl.int64) * UNIT


@triton.jit
def load_edges(row):
    """Return the place of alpha along x (pitch numbers) and y, float32, from that of the cells, in elements."""
    return tl.load(row + 27).to(tl.int64) * UNIT


@triton.jit
def load_shape(row):
    """Return the grown box from the support's first pixel, left, top, right, bottom, and the feather's deviation."""
    return (
        tl.load(row + 16).to(tl.float32, bitcast=True),
        tl.load(row + 17).to(tl.float32, bitcast=True),
        tl.load(row + 18).to(tl.float32, bitcast=True),
        tl.load(row + 19).to(tl.float32, bitcast=True),
        tl.load(row + 20).to(tl.float32, bitcast=True),
    )


@triton.jit
def find(sums, count, t):
    """Return the region that piece of work `t` belongs to, and which of its pieces it is."""
    far = tl.full((), 2147483647, tl.int32)
    before = 0
    for start in range(0, count, 1024):
        i = start + 31 + 32 * tl.arange(0, 32)
        before += tl.sum((tl.load(sums + i, mask=i < count, other=far) <= t).to(tl.int32), 0)
    i = 32 * before + tl.arange(0, 32)
    r = 32 * before + tl.sum((tl.load(sums + i, mask=i < count, other=far) <= t).to(tl.int32), 0)
    return r, t - tl.load(sums + r - 1, mask=r > 0, other=0)


@triton.jit
def cell_blocks(columns, rows, step_x, CHANNELS: tl.constexpr):
    """Return how many cells a block is wide, and how many blocks make up the grid, across and down."""
    wide = tl.minimum(tl.full((), POSITIONS, tl.int32) // (step_x * CHANNELS), CELLS // CHANNELS)
    wide = tl.maximum(wide, 1)
    return wide, (columns + wide - 1) // wide, (rows + CELL_ROWS - 1) // CELL_ROWS


@triton.jit
def blurred_size(x0, x1, rows, reach_y, CHANNELS: tl.constexpr):
    """Return the blurred grid's first pixel, pitch (elements from line to line) and lines."""
    first = x0 // 4 * 4
    pitch = ((x1 - first) * CHANNELS + UNIT - 1) // UNIT * UNIT
    return first, pitch, rows - 2 * reach_y


@triton.jit
def edges_size(pitch, y0, y1):
    """Return how many float32 numbers hold alpha along x and along y, of a region that is a box."""
    return pitch + (y1 - y0 + UNIT - 1) // UNIT * UNIT


@triton.jit
def line_blocks(first, x1, lines, step_x):
    """Return how many pixels a block of lines is wide, and how many blocks there are, across and down."""
    wide = tl.where(step_x == 1, ACROSS // 2, ACROSS)  # so that WINDOW cells are always enough
    return wide, (x1 - first + wide - 1) // wide, (lines + LINES - 1) // LINES


@triton.jit
def tiles_of(x0, y0, x1, y1, CHANNELS: tl.constexpr):
    """Return the first tile that the support touches, x and y, and how many it touches, across and down."""
    x, y = x0 * CHANNELS // WIDE, y0 // HIGH
    return x, y, (x1 * CHANNELS + WIDE - 1) // WIDE - x, (y1 + HIGH - 1) // HIGH - y


@triton.jit
def _limited(value):
    return tl.minimum(tl.maximum(value.to(tl.float64), -FARTHEST), FARTHEST)


@triton.jit
def _box(boxes, at, mask):
    box = boxes + at * 4
    return (
        tl.load(box, mask=mask, other=0),
        tl.load(box + 1, mask=mask, other=0),
        tl.load(box + 2, mask=mask, other=0),
        tl.load(box + 3, mask=mask, other=0),
    )


@triton.jit
def _visible(x0, y0, x1, y1, height, width):
    return (x0 < x1) & (y0 < y1) & (x0 < width) & (y0 < height) & (x1 > 0) & (y1 > 0)


@triton.jit
def _longest(boxes, first, count, height, width):
    """Return the longest side of each image's regions that are not degenerate; they are rows `first` on of `boxes`."""
    longest = (height * 0).to(tl.float64)
    for i in range(0, tl.max(count, 0)):
        x0, y0, x1, y1 = _box(boxes, first + i, i < count)
        side = tl.maximum(_limited(x1) - _limited(x0), _limited(y1) - _limited(y0))
        longest = tl.maximum(longest, tl.where(_visible(x0, y0, x1, y1, height, width), side, 0.0))
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
def region_support(boxes, at, first, count, active, height, width, margin, feather, WHOLE: tl.constexpr):
    """Return the supports (of no area where a region is to be skipped), grown boxes, feathers and scales."""
    bx0, by0, bx1, by1 = _box(boxes, at, active)
    active = active & _visible(bx0, by0, bx1, by1, height, width)
    left, top, right, bottom = _limited(bx0), _limited(by0), _limited(bx1), _limited(by1)
    d = tl.maximum(right - left, bottom - top)
    scale = d
    if WHOLE:
        scale = _longest(boxes, first, count, height, width)
    grow = margin * d
    left, top, right, bottom = left - grow, top - grow, right + grow, bottom + grow
    height_, width_ = height.to(tl.float64), width.to(tl.float64)
    reach = feather * scale * SUPPORT
    x0 = tl.minimum(_first(left, reach), width_).to(tl.int32)
    y0 = tl.minimum(_first(top, reach), height_).to(tl.int32)
    x1, y1 = _last(right, reach, width_), _last(bottom, reach, height_)
    active = active & (x0 < x1) & (y0 < y1)
    return x0 * active, y0 * active, x1 * active, y1 * active, left, top, right, bottom, feather * scale, scale


@triton.jit
def mask_sigmas(sigmas, b, active, height, width, BORDER: tl.constexpr):
    """Return the deviations along x and y that belong to the masks of images `b`."""
    sigma_y = tl.minimum(tl.load(sigmas + b * 2, mask=active, other=1).to(tl.float64), FARTHEST)
    sigma_x = tl.minimum(tl.load(sigmas + b * 2 + 1, mask=active, other=1).to(tl.float64), FARTHEST)
    height, width = height.to(tl.float64), width.to(tl.float64)
    # Of a periodic line nothing is left but the mean at a deviation of one period.
    if BORDER == CIRCULAR:
        sigma_y, sigma_x = tl.minimum(sigma_y, height), tl.minimum(sigma_x, width)
    if BORDER == REFLECT:
        sigma_y, sigma_x = tl.minimum(sigma_y, 2 * height - 2), tl.minimum(sigma_x, 2 * width - 2)
    return sigma_x, sigma_y


@triton.jit
def blur_grid(sigma, first, last, SPLINE: tl.constexpr):
    """Return step, reach, first pixel and cells of a line's grid, and its filter's sharpness a.

    A cell at a distance of d cells weighs 2^(-a d^2): the Gaussian of the variance that is left to the filter.
    With SPLINE the filtered cells go to pixels by a quadratic B-spline, which brings variance 1/4 and asks for one
    filtered cell more on each side; where the step is 1 the cells are the pixels, and there is no spline.
    """
    step = tl.maximum((sigma / RATIO).to(tl.int32), 1)
    reach = tl.maximum(tl.ceil(sigma * TRUNCATE / step).to(tl.int32), MIN_RADIUS)
    step_ = step.to(tl.float64)
    missing = sigma * sigma - (step_ * step_ - 1) / 12  # averaging over `step` pixels has brought the rest
    halo = step * 0
    if SPLINE:
        halo = (step > 1).to(tl.int32)
        missing -= halo * step_ * step_ / 4
    cells = (last - first + step - 1) // step + 2 * (reach + halo)
    return step, reach, first - (reach + halo) * step, cells, 0.7213475204444817 * step_ * step_ / missing


@triton.jit
def mosaic_grid(low, longer, blocks, first, last):
    """Return step, first pixel and cells of a mosaic along a line whose support is `first` to `last`."""
    step = tl.ceil(tl.minimum(tl.maximum(longer / blocks, MIN_BLOCK), FARTHEST * 4)).to(tl.int32)
    # The first block that the support meets; far to the left of the image int32 would not do.
    start = (tl.floor(low) + tl.floor((first - tl.floor(low)) / step) * step).to(tl.int32)
    return step, start, (last - start + step - 1) // step


def most_cells(size: int, strength: float, spread: float, limit: int) -> int:
    """Return the most cells that a region's grid can have along a line of `size` pixels.

    `spread` is the most that a support can measure over the longer side that sets sigma = `strength` times it; a
    strength of 0 says that sigma is free. `limit` is another bound, or 0.
    """
    return _bounds(size, strength, spread, limit)[0]


def most_lines(size: int, strength: float, spread: float, limit: int) -> int:
    """Return the most filtered cells that a region can have along a line of `size` pixels: its grid without reach."""
    return _bounds(size, strength, spread, limit)[1]


def _bounds(size: int, strength: float, spread: float, limit: int) -> tuple[int, int]:
    if limit:  # a mosaic, whose blocks are 2 px at least
        return min(limit, size // 2) + 2, min(limit, size // 2) + 2
    cells = lines = 0
    for step in range(1, 65):  # beyond, the bounds fall
        sigma = RATIO.value * (step + 1)  # steps are cut down, so this is not reached
        support = min(size, ceil(spread * sigma / strength) + 2) if strength else size
        halo = 2 * (step > 1)
        lines = max(lines, -(-support // step) + halo)
        cells = max(cells, -(-support // step) + halo + 2 * ceil(TRUNCATE.value * sigma / step))
    return cells, lines

"""The third launch: every region's cells filtered, into lines of blurred pixels in scratch.

The Gaussian is evaluated where it is wanted: its weight for a point and a cell is that of their distance. Along x the
points are the pixels; along y they are cells, whose lines the fourth launch brings to pixels. So a block is one product
of three small matrices, (lines x cells) (cells x cells) (cells x pixels). A step of 1 makes these the exact taps, a
mosaic the matrices of ones and zeros.
"""

import triton
import triton.language as tl

from fastblur.kernels.cuda.alpha import interval
from fastblur.kernels.cuda.image import image_size
from fastblur.kernels.cuda.plan import (
    ACROSS,
    COLOR,
    EDGES,
    LINES,
    SMOOTH,
    UNIT,
    WINDOW,
    edges_size,
    find,
    line_blocks,
    load_across,
    load_down,
    load_edges,
    load_image,
    load_lines,
    load_place,
    load_shape,
    load_support,
    regions_in,
    row_of,
    sums_of,
)


@triton.jit
def _weights(distance, reach, sharpness):
    """Return the Gaussian's weight, not normalised, at distances in cells: of the 2 reach + 1 nearest, 0 of others."""
    near = reach.to(tl.float32) + 0.5
    square = distance * distance
    return tl.where(square <= near * near, tl.exp2(square * -sharpness), 0.0)


@triton.jit
def smooth_block(plan, cells, t, channels, CHANNELS: tl.constexpr, PRECISION: tl.constexpr):
    """Filter block `t` of the lines of the region whose plan is the row `plan` and whose scratch begins at `cells`."""
    _x0, _y0, x1, _y1 = load_support(plan)
    step_x, reach_x, grid_x, columns, sharp_x = load_across(plan)
    _step_y, reach_y, _grid_y, rows, sharp_y = load_down(plan)
    first, pitch, lines, place = load_lines(plan)
    wide, blocks_x, _blocks_y = line_blocks(first, x1, lines, step_x)
    top, left = t // blocks_x * LINES, first + t % blocks_x * wide
    line, x = top + tl.arange(0, LINES), left + tl.arange(0, ACROSS)
    j = top + tl.arange(0, WINDOW)
    kind = cells.dtype.element_ty
    down = _weights((j - reach_y).to(tl.float32)[None, :] - line.to(tl.float32)[:, None], reach_y, sharp_y).to(kind)
    k = ((left - grid_x) // step_x - reach_x) // UNIT * UNIT + tl.arange(0, WINDOW)
    point = ((x - grid_x).to(tl.float32) + 0.5) / step_x.to(tl.float32) - 0.5
    across = _weights(point[None, :] - k.to(tl.float32)[:, None], reach_x, sharp_x).to(kind)
    # Sums of weights as products with ones come out where they are wanted. They are 0 beyond the block's pixels.
    sum_y = tl.dot(down, tl.full((WINDOW, WINDOW), 1, kind), input_precision=PRECISION)
    sum_x = tl.dot(tl.full((LINES, WINDOW), 1, kind), across, input_precision=PRECISION)
    scale_y, scale_x = 1.0 / sum_y, 1.0 / tl.maximum(sum_x, 1e-6)
    size = columns.to(tl.int64) * rows
    blurred = cells + place + line[:, None] * pitch.to(tl.int64) + ((x - first) * CHANNELS)[None, :]
    at = cells + j[:, None] * columns.to(tl.int64) + k[None, :]
    held = (j < rows)[:, None] & (k < columns)[None, :]
    kept = (line < lines)[:, None] & ((x < x1) & (x < left + wide))[None, :]
    for c in range(0, channels):
        block = tl.load(at + size * c, mask=held, other=0)
        if kind == tl.float16:
            narrow = (tl.dot(down, block) * scale_y).to(kind)
            result = tl.dot(narrow, across) * scale_x
        else:
            narrow = tl.dot(down, block, input_precision=PRECISION) * scale_y
            result = tl.dot(narrow, across, input_precision=PRECISION) * scale_x
        tl.store(blurred, result.to(kind), mask=kept)
        blurred += 1 if CHANNELS > 1 else pitch.to(tl.int64) * lines


@triton.jit
def edge_block(plan, cells, t, CHANNELS: tl.constexpr):
    """Write block `t` of alpha along x, an element each, and then along y, of a region that is a box."""
    edges = (cells + load_edges(plan)).to(tl.pointer_type(tl.float32))
    x0, y0, x1, y1 = load_support(plan)
    left, top, right, bottom, deviation = load_shape(plan)
    first, pitch, _lines, _place = load_lines(plan)
    at = t * EDGES + tl.arange(0, EDGES)
    along_x = at < pitch
    place = tl.where(along_x, first + at // CHANNELS - x0, at - pitch)
    size = tl.where(along_x, x1 - x0, y1 - y0)
    center = place.to(tl.float32) + 0.5
    alpha = interval(center, tl.where(along_x, left, top), tl.where(along_x, right, bottom), deviation)
    alpha = tl.where((place >= 0) & (place < size), alpha, 0.0)
    tl.store(edges + at, alpha, mask=at < edges_size(pitch, y0, y1))


@triton.jit
def smooth_or_edge(
    plan, cells, t, channels, MODE: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr
):  # fmt: skip
    """Do piece of work `t` of a region: first come its blocks of lines, then those of its edges."""
    blocks = 0
    if MODE != COLOR:
        _x0, _y0, x1, _y1 = load_support(plan)
        first, _pitch, lines, _place = load_lines(plan)
        _wide, blocks_x, blocks_y = line_blocks(first, x1, lines, load_across(plan)[0])
        blocks = blocks_x * blocks_y
        if t < blocks:
            smooth_block(plan, cells, t, channels, CHANNELS, PRECISION)
    if t >= blocks:
        edge_block(plan, cells, t - blocks, CHANNELS)


@triton.jit(do_not_specialize=["table", "height", "width", "channels", "images", "slots"])
def smooth(
    table, height, width, channels, plan, cells, images, slots,
    RAGGED: tl.constexpr, MODE: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Filter the cells of all regions that have their place in the scratch; as many programs as run at once."""
    _total, fitting = regions_in(plan)
    sums = sums_of(plan, images, slots, SMOOTH)
    blocks = tl.load(sums + fitting - 1, mask=fitting > 0, other=0)
    for work in range(tl.program_id(0), blocks, tl.num_programs(0)):
        r, t = find(sums, fitting, work)
        region = row_of(plan, images, slots, r)
        b, _first, _last = load_image(region)
        _high, _wide, deep = image_size(table, b, height, width, channels, RAGGED)
        smooth_or_edge(region, cells + load_place(region) * UNIT, t, deep, MODE, CHANNELS, PRECISION)

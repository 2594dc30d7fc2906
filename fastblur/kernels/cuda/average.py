"""The second launch: every region's neighbourhood averaged into cells of step x step pixels, in scratch.

A program sums the rows of 16 cells while it reads 64 neighbouring elements of each, and brings the columns together
with one matrix product: elements times how many of them (border included) lie in each cell.
"""

import triton
import triton.language as tl

from fastblur.kernels.cuda.image import image_at, image_size, load_elements
from fastblur.kernels.cuda.plan import (
    AVERAGE,
    CELL_ROWS,
    CELLS,
    CIRCULAR,
    INSIDE,
    POSITIONS,
    REFLECT,
    REPLICATE,
    UNIT,
    cell_blocks,
    find,
    load_across,
    load_down,
    load_image,
    load_place,
    regions_in,
    row_of,
    sums_of,
)


@triton.jit
def _inside(position, size, BORDER: tl.constexpr):
    """Return the pixel of a line that stands at a position outside it, for borders that repeat."""
    if BORDER == CIRCULAR:
        return ((position % size) + size) % size
    period = 2 * size - 2
    folded = ((position % period) + period) % period
    return tl.minimum(folded, period - folded)


@triton.jit
def _shares(i, n, begin, step, CHANNELS: tl.constexpr):
    """Return which elements `i` lie in which column `n`, (columns, elements); the first cell begins at `begin`."""
    pixel = i // CHANNELS
    place = tl.where(pixel >= begin, (pixel - begin) // step * CHANNELS + i % CHANNELS, -1)
    return tl.where(n[:, None] == place[None, :], 1.0, 0.0)


@triton.jit
def _border_shares(shares, i, n, cell_x, step, width, CHANNELS: tl.constexpr):
    """Let the first and the last pixel of a row stand for all beyond them."""
    before = tl.maximum(tl.minimum(cell_x + step, 0) - cell_x, 0)
    after = tl.maximum(cell_x + step - tl.maximum(cell_x, width), 0)
    here = (n % CHANNELS)[:, None] == (i % CHANNELS)[None, :]
    shares += tl.where(here & (i // CHANNELS == 0)[None, :], before.to(tl.float32)[:, None], 0.0)
    shares += tl.where(here & (i // CHANNELS == width - 1)[None, :], after.to(tl.float32)[:, None], 0.0)
    return shares


@triton.jit
def _border_rows(sums, base, x, mask, cell_y, there, step, height, row, stride, limit, ALIGNED: tl.constexpr):
    """Let the first and the last row stand for all beyond them."""
    above = tl.where(there, tl.maximum(tl.minimum(cell_y + step, 0) - cell_y, 0), 0)
    below = tl.where(there, tl.maximum(cell_y + step - tl.maximum(cell_y, height), 0), 0)
    for last in range(0, 2):
        y = cell_y * 0 + (height - 1) * last
        times = tl.where(last == 0, above, below)
        edge = load_elements(base, y, x, row, stride, limit, mask & (times > 0)[:, None], ALIGNED)
        sums += times.to(tl.float32)[:, None] * edge.to(tl.float32)
    return sums


@triton.jit
def _counted(first, step, size, BORDER: tl.constexpr):
    """Return by how many positions a cell's sum is divided, along one line."""
    if BORDER == INSIDE:
        return tl.maximum(tl.minimum(first + step, size) - tl.maximum(first, 0), 1).to(tl.float32)
    return (step + first * 0).to(tl.float32)


@triton.jit
def _summed(
    base, x, mask, cell_y, there, step, height, row, stride, limit, BORDER: tl.constexpr, ALIGNED: tl.constexpr
):  # fmt: skip
    """Return the sums of elements `x` over each cell's rows inside the image, float32."""
    total = tl.zeros((CELL_ROWS, POSITIONS), tl.int32 if base.dtype.element_ty == tl.uint8 else tl.float32)
    if (BORDER == REFLECT) | (BORDER == CIRCULAR):
        for dy in range(0, step):
            y = _inside(cell_y + dy, height, BORDER)
            total += load_elements(base, y, x, row, stride, limit, mask & there[:, None], False).to(total.dtype)
    else:
        top, bottom = tl.maximum(cell_y, 0), tl.where(there, tl.minimum(cell_y + step, height), 0)
        for dy in range(0, tl.minimum(step, height)):
            y = top + dy
            more = load_elements(base, y, x, row, stride, limit, mask & (y < bottom)[:, None], ALIGNED)
            total += more.to(total.dtype)
    return total.to(tl.float32)


@triton.jit
def average_block(
    base, height, width, plane, row, stride, plan, cells, t,
    BORDER: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Average block `t` of the region whose plan is the row `plan` and whose scratch begins at `cells`."""
    step_x, _reach, grid_x, columns, _sharpness = load_across(plan)
    step_y, _reach, grid_y, rows, _sharpness = load_down(plan)
    wide, blocks_x, blocks_y = cell_blocks(columns, rows, step_x, CHANNELS)
    channel = t // (blocks_x * blocks_y)
    base += channel.to(tl.int64) * plane
    n = tl.arange(0, CELLS)
    j, k = t // blocks_x % blocks_y * CELL_ROWS + tl.arange(0, CELL_ROWS), t % blocks_x * wide + n // CHANNELS
    cell_y, cell_x = grid_y + j * step_y, grid_x + k * step_x
    corner = grid_x + t % blocks_x * wide * step_x
    begin = corner
    end = grid_x + tl.minimum(t % blocks_x * wide + wide, columns) * step_x
    repeats = (BORDER == REFLECT) | (BORDER == CIRCULAR)
    if BORDER == REPLICATE:
        begin, end = tl.minimum(tl.maximum(begin, 0), width - 1), tl.minimum(tl.maximum(end - 1, 0), width - 1) + 1
    elif not repeats:
        begin, end = tl.maximum(begin, 0), tl.minimum(end, width)
    # Half precision holds means of uint8 in eighths of a level, and counts up to 2048; products of these are exact in
    # float32, so the result does not depend on how the elements lie.
    half: tl.constexpr = cells.dtype.element_ty == tl.float16
    levels: tl.constexpr = base.dtype.element_ty == tl.uint8
    finer = 8.0 if half and levels else 1.0
    scale = tl.where(step_x > 2048, 1.0 / step_x.to(tl.float32), 1.0)
    acc = tl.zeros((CELLS, CELL_ROWS), tl.float32)
    first = begin * CHANNELS if repeats else begin * CHANNELS // 4 * 4
    for start in range(first, end * CHANNELS, POSITIONS):
        i = start + tl.arange(0, POSITIONS)
        x = i
        if repeats:
            x = _inside(i, width, BORDER)
        mask = ((i >= first) & (i < (end * CHANNELS + 3) // 4 * 4))[None, :]
        sums = _summed(base, x, mask, cell_y, j < rows, step_y, height, row, stride, width * CHANNELS, BORDER, ALIGNED)
        shares = _shares(i, n, corner, step_x, CHANNELS)
        if BORDER == REPLICATE:
            if (corner < 0) | (corner + wide * step_x > width):
                shares = _border_shares(shares, i, n, cell_x, step_x, width, CHANNELS)
            if (tl.min(cell_y, 0) < 0) | (tl.max(cell_y, 0) + step_y > height):
                sums = _border_rows(
                    sums, base, x, mask, cell_y, j < rows, step_y, height, row, stride, width * CHANNELS, ALIGNED
                )  # fmt: skip
        if half:
            sums = sums * (finer / step_y.to(tl.float32))
            if levels:
                sums = tl.floor(sums + 0.5)
            acc = tl.dot((shares * scale).to(tl.float16), tl.trans(sums.to(tl.float16)), acc)
        else:
            acc = tl.dot(shares, tl.trans(sums), acc, input_precision=PRECISION)
    count_x, count_y = _counted(cell_x, step_x, width, BORDER), _counted(cell_y, step_y, height, BORDER)
    if half:
        means = acc * (1.0 / (count_x * (scale * finer)))[:, None]
    else:
        means = tl.div_rn(acc, count_x[:, None] * count_y[None, :])
    cells += (channel + n % CHANNELS).to(tl.int64)[:, None] * rows * columns
    kept = ((k < columns) & (n // CHANNELS < wide))[:, None] & (j < rows)[None, :]
    at = cells + k[:, None] + j[None, :] * columns.to(tl.int64)
    tl.store(at, means.to(cells.dtype.element_ty), mask=kept)


@triton.jit(do_not_specialize=["images_", "table", "image", "plane", "row", "step", "height", "width",
                               "channels", "images", "slots"])  # fmt: skip
def average(
    images_, table, image: tl.int64, plane: tl.int64, row: tl.int64, step: tl.int64, height, width, channels,
    plan, cells, images, slots,
    RAGGED: tl.constexpr, BORDER: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Average all regions that have their place in the scratch; as many programs as the device runs at once."""
    _total, fitting = regions_in(plan)
    sums = sums_of(plan, images, slots, AVERAGE)
    blocks = tl.load(sums + fitting - 1, mask=fitting > 0, other=0)
    for work in range(tl.program_id(0), blocks, tl.num_programs(0)):
        r, t = find(sums, fitting, work)
        region = row_of(plan, images, slots, r)
        b, _first, _last = load_image(region)
        high, wide, _deep = image_size(table, b, height, width, channels, RAGGED)
        base, plane_, row_, step_ = image_at(images_, table, b, image, plane, row, step, RAGGED)
        average_block(
            base, high, wide, plane_, row_, step_, region, cells + load_place(region) * UNIT, t,
            BORDER, CHANNELS, PRECISION, ALIGNED,
        )  # fmt: skip

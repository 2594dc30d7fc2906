"""The first launch: one program that finds the regions and writes the plan."""

import triton
import triton.language as tl

from fastblur.kernels.cuda.image import image_size
from fastblur.kernels.cuda.plan import (
    AVERAGE,
    BLEND,
    COLOR,
    EDGES,
    FARTHEST,
    HEADER,
    IMAGES_AT_ONCE,
    MASK,
    MIN_SIGMA,
    MOSAIC,
    REGIONS_AT_ONCE,
    SMOOTH,
    UNIT,
    blur_grid,
    blurred_size,
    cell_blocks,
    edges_size,
    line_blocks,
    mask_sigmas,
    mosaic_grid,
    number,
    region_support,
    row_of,
    store_place,
    sums_of,
    tiles_of,
)


@triton.jit
def _count_regions(counts, begins, images, most):
    """Write where each image's regions begin, in an order without gaps; return how many there are."""
    total = 0
    for start in range(0, images, IMAGES_AT_ONCE):
        b = start + tl.arange(0, IMAGES_AT_ONCE)
        count = tl.minimum(tl.maximum(tl.load(counts + b, mask=b < images, other=0), 0), most).to(tl.int32)
        tl.store(begins + b, total + tl.cumsum(count, 0) - count, mask=b < images)
        total += tl.sum(count, 0)
    tl.store(begins + images, total)
    tl.debug_barrier()
    return total


@triton.jit
def _image_of(begins, images, span, r):
    """Return the last image whose regions begin at or before each region `r`; `span` is a power of two >= images."""
    b = r * 0
    step = span
    while step > 0:
        later = b + step
        b = tl.where((later < images) & (tl.load(begins + tl.minimum(later, images)) <= r), later, b)
        step = step // 2
    return b


@triton.jit
def _store_row(row, mask, b, begin, end, support, grid, place, shape, lines):
    for k in tl.static_range(3):
        tl.store(row + k, (b, begin, end)[k], mask=mask)
    for k in tl.static_range(4):
        tl.store(row + 3 + k, support[k], mask=mask)
        tl.store(row + 24 + k, lines[k].to(tl.int32), mask=mask)
    for k in tl.static_range(8):
        tl.store(row + 7 + k, grid[k], mask=mask)
    store_place(row, place, mask)
    for k in tl.static_range(7):
        tl.store(row + 16 + k, shape[k].to(tl.float32).to(tl.int32, bitcast=True), mask=mask)


@triton.jit
def _grids(support, shape, sigma_x, sigma_y, blocks, MODE: tl.constexpr):
    """Return the regions' grids: steps, reaches, first pixels, columns and rows; and what is left to the filter."""
    x0, y0, x1, y1 = support
    left, top, right, bottom = shape
    if MODE == MOSAIC:
        longer = tl.maximum(right - left, bottom - top)
        step_x, grid_x, columns = mosaic_grid(left, longer, blocks, x0, x1)
        step_y, grid_y, rows = mosaic_grid(top, longer, blocks, y0, y1)
        reach_x, reach_y, sharp_x, sharp_y = step_x * 0, step_y * 0, sigma_x * 0 + 1, sigma_y * 0 + 1
    else:
        step_x, reach_x, grid_x, columns, sharp_x = blur_grid(sigma_x, x0 // 4 * 4, x1, False)
        step_y, reach_y, grid_y, rows, sharp_y = blur_grid(sigma_y, y0, y1, True)
    columns = (columns + UNIT - 1) // UNIT * UNIT  # those beyond are averaged too, and weigh nothing
    return (step_x, step_y, reach_x, reach_y, grid_x, grid_y, columns, rows), sharp_x, sharp_y


@triton.jit
def _work(
    support, grid, channels, MODE: tl.constexpr, ELLIPSE: tl.constexpr, CHANNELS: tl.constexpr, HALF: tl.constexpr
):
    """Return how many pieces of work each launch has in the regions, and what they take of the scratch.

    That is the UNITs in all, and for each region pitch, number and place of its lines, and the place of its edges.
    """
    x0, y0, x1, y1 = support
    step_x, _step_y, _reach_x, reach_y, _grid_x, _grid_y, columns, rows = grid
    _x, _y, tiles_x, tiles_y = tiles_of(x0, y0, x1, y1, CHANNELS)
    averages, smooths, cells, blurred = x0 * 0, x0 * 0, (x0 * 0).to(tl.int64), (x0 * 0).to(tl.int64)
    first, pitch, lines = blurred_size(x0, x1, rows, reach_y, CHANNELS)
    if MODE != COLOR:
        planes = channels // CHANNELS
        _wide, blocks_x, blocks_y = cell_blocks(columns, rows, step_x, CHANNELS)
        averages = blocks_x * blocks_y * planes
        _wide, blocks_x, blocks_y = line_blocks(first, x1, lines, step_x)
        smooths = blocks_x * blocks_y
        cells, blurred = columns.to(tl.int64) * rows * channels // UNIT, pitch.to(tl.int64) * lines * planes // UNIT
    taken = cells + blurred
    if (MODE != MASK) & (not ELLIPSE):
        edges = edges_size(pitch, y0, y1)
        smooths += (edges + EDGES - 1) // EDGES
        taken += (2 * edges if HALF else edges) // UNIT
    return averages, smooths, tiles_x * tiles_y, taken, (pitch, lines, cells, cells + blurred)


@triton.jit(do_not_specialize=["boxes", "counts", "sigmas", "images", "most", "slots", "span", "height", "width",
                               "channels", "strength", "margin", "feather", "blocks", "capacity"])  # fmt: skip
def plan_regions(
    plan, table, boxes, counts, sigmas, images, most, slots, span, height, width, channels,
    strength: tl.int64, margin: tl.int64, feather: tl.int64, blocks, capacity: tl.int64,
    RAGGED: tl.constexpr, MODE: tl.constexpr, ELLIPSE: tl.constexpr, WHOLE: tl.constexpr, BORDER: tl.constexpr,
    CHANNELS: tl.constexpr, HALF: tl.constexpr,
):  # fmt: skip
    """Write the plan of a batch; one program."""
    begins = plan + HEADER
    total = images
    if MODE != MASK:
        total = _count_regions(counts, begins, images, most)
    used, fitting = tl.full((), 0, tl.int64), 0
    done_a, done_s, done_b = 0, 0, 0
    for start in range(0, total, REGIONS_AT_ONCE):
        r = start + tl.arange(0, REGIONS_AT_ONCE)
        there = r < total
        b, begin, end = r, r, r + 1
        if MODE != MASK:
            b = _image_of(begins, images, span, r)
            begin, end = tl.load(begins + b), tl.load(begins + b + 1)
        b = tl.where(there, b, 0)
        high, wide, deep = image_size(table, b, height, width, channels, RAGGED)
        high_, wide_ = high.to(tl.float64), wide.to(tl.float64)
        if MODE == MASK:
            support = (b * 0, b * 0, wide * there, high * there)
            box = (high_ * 0, high_ * 0, wide_, high_)
            deviation = high_ * 0
            sigma_x, sigma_y = mask_sigmas(sigmas, b, there, high, wide, BORDER)
        else:
            first = b.to(tl.int64) * most
            x0, y0, x1, y1, left, top, right, bottom, deviation, scale = region_support(
                boxes, first + r - begin, first, tl.where(there, end - begin, 0), there, high, wide,
                number(margin), number(feather), WHOLE,
            )  # fmt: skip
            support, box = (x0, y0, x1, y1), (left, top, right, bottom)
            sigma_x = tl.minimum(tl.maximum(number(strength) * scale, MIN_SIGMA), FARTHEST)
            sigma_y = sigma_x
        grid, sharp_x, sharp_y = _grids(support, box, sigma_x, sigma_y, blocks, MODE)
        averages, smooths, tiles, taken, lines = _work(support, grid, deep, MODE, ELLIPSE, CHANNELS, HALF)
        seen = there & (support[2] > 0)
        taken = tl.where(seen, taken, 0)
        after = used + tl.cumsum(taken, 0)
        fits = there & (after <= capacity)
        todo = (fits & seen).to(tl.int32)
        sums_a = done_a + tl.cumsum(averages * todo, 0)
        sums_s = done_s + tl.cumsum(smooths * todo, 0)
        sums_b = done_b + tl.cumsum(tiles * todo, 0)
        tl.store(sums_of(plan, images, slots, AVERAGE) + r, sums_a, mask=there)
        tl.store(sums_of(plan, images, slots, SMOOTH) + r, sums_s, mask=there)
        tl.store(sums_of(plan, images, slots, BLEND) + r, sums_b, mask=there)
        endless = float("inf")
        left, top, right, bottom = box
        if not ELLIPSE:  # a side that reaches the border goes on for ever
            left, top = tl.where(left <= 0, -endless, left), tl.where(top <= 0, -endless, top)
            right, bottom = tl.where(right >= wide_, endless, right), tl.where(bottom >= high_, endless, bottom)
        shape = (
            left - support[0],
            top - support[1],
            right - support[0],
            bottom - support[1],
            deviation,
            sharp_x,
            sharp_y,
        )
        row = row_of(plan, images, slots, r)
        _store_row(row, there, b, begin, end, support, grid, after - taken, shape, lines)
        used += tl.sum(taken, 0)
        fitting += tl.sum(fits.to(tl.int32), 0)
        done_a += tl.sum(averages * todo, 0)
        done_s += tl.sum(smooths * todo, 0)
        done_b += tl.sum(tiles * todo, 0)
    i = tl.arange(0, REGIONS_AT_ONCE)  # of which two are meant: a single store would have its thread kept in memory
    tl.store(plan + i, tl.where(i == 0, total, fitting), mask=i < 2)
    store_place(row_of(plan, images, slots, total + i), used, i == 0)

"""The launch after the fourth, where the scratch may be too small: images whose regions had no place in it.

Nothing is launched twice for them, because the host does not know whether there are any. Each program takes one image
after the other through all steps, in a slice of the scratch, and waits between the steps for itself alone. So few
programs run, and slowly; it takes dozens of large faces in every image of a large batch to come to this.
"""

import triton
import triton.language as tl

from fastblur.kernels.cuda.average import average_block
from fastblur.kernels.cuda.blend import blend_tile
from fastblur.kernels.cuda.image import image_at, image_size
from fastblur.kernels.cuda.plan import (
    EDGES,
    HEADER,
    IMAGES_AT_ONCE,
    UNIT,
    blurred_size,
    cell_blocks,
    edges_size,
    line_blocks,
    load_across,
    load_down,
    load_place,
    load_support,
    regions_in,
    row_of,
    tiles_of,
)
from fastblur.kernels.cuda.smooth import smooth_or_edge


@triton.jit
def _most_scratch(plan, images, slots, fitting):
    """Return how many UNITs the image takes that takes most of those left out."""
    begins = plan + HEADER
    most = tl.full((), 1, tl.int64)
    for start in range(0, images, IMAGES_AT_ONCE):
        b = start + tl.arange(0, IMAGES_AT_ONCE)
        there = b < images
        first, last = tl.load(begins + b, mask=there, other=0), tl.load(begins + b + 1, mask=there, other=0)
        there = there & (first < last) & (last > fitting)
        begin = load_place(row_of(plan, images, slots, first), there)
        taken = load_place(row_of(plan, images, slots, last), there) - begin
        most = tl.maximum(most, tl.max(tl.where(there, taken, 0), 0))
    return most


@triton.jit
def _average_and_smooth(
    base, plane, row, step, height, width, channels, region, cells,
    MODE: tl.constexpr, ELLIPSE: tl.constexpr, BORDER: tl.constexpr, CHANNELS: tl.constexpr, PRECISION: tl.constexpr,
    ALIGNED: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Do the second (STEP 0) or the third launch's work (1) for one region."""
    x0, y0, x1, y1 = load_support(region)
    zero = tl.full((), 0, tl.int32)  # a loop's counter is no tensor in the interpreter
    if x0 < x1:
        step_x, _reach, _grid, columns, _sharpness = load_across(region)
        _step, reach_y, _grid, rows, _sharpness = load_down(region)
        if STEP == 0:
            _wide, blocks_x, blocks_y = cell_blocks(columns, rows, step_x, CHANNELS)
            for t in range(0, blocks_x * blocks_y * (channels // CHANNELS)):
                average_block(
                    base, height, width, plane, row, step, region, cells, zero + t, BORDER, CHANNELS, PRECISION, ALIGNED
                )
        else:
            first, pitch, lines = blurred_size(x0, x1, rows, reach_y, CHANNELS)
            _wide, blocks_x, blocks_y = line_blocks(first, x1, lines, step_x)
            blocks = blocks_x * blocks_y
            if not ELLIPSE:
                blocks += (edges_size(pitch, y0, y1) + EDGES - 1) // EDGES
            for t in range(0, blocks):
                smooth_or_edge(region, cells, zero + t, channels, MODE, CHANNELS, PRECISION)


@triton.jit(do_not_specialize=["images_", "table", "image", "plane", "row", "step", "height", "width",
                               "channels", "images", "slots", "capacity"])  # fmt: skip
def rest(
    images_, table, image: tl.int64, plane: tl.int64, row: tl.int64, step: tl.int64, height, width, channels,
    plan, cells, images, slots, capacity: tl.int64,
    RAGGED: tl.constexpr, MODE: tl.constexpr, ELLIPSE: tl.constexpr, BORDER: tl.constexpr, CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Do everything for the images that are left out, as many at a time as fit."""
    total, fitting = regions_in(plan)
    begins = plan + HEADER
    slices, size = 0, tl.full((), 0, tl.int64)
    if fitting < total:
        size = _most_scratch(plan, images, slots, fitting)
        slices = tl.minimum(capacity // size, tl.num_programs(0)).to(tl.int32)
    own, zero = tl.program_id(0), tl.full((), 0, tl.int32)
    for b in range(own, tl.where(own < slices, images, 0), tl.maximum(slices, 1)):
        first, last = tl.load(begins + b), tl.load(begins + b + 1)
        if (first < last) & (last > fitting):
            high, wide, deep = image_size(table, b, height, width, channels, RAGGED)
            base, plane_, row_, step_ = image_at(images_, table, b, image, plane, row, step, RAGGED)
            begin = load_place(row_of(plan, images, slots, first))
            mine = cells + (own * size - begin) * UNIT
            for phase in tl.static_range(2):
                for r in range(first, last):
                    region = row_of(plan, images, slots, r)
                    _average_and_smooth(
                        base, plane_, row_, step_, high, wide, deep, region, mine + load_place(region) * UNIT,
                        MODE, ELLIPSE, BORDER, CHANNELS, PRECISION, ALIGNED, phase,
                    )  # fmt: skip
                tl.debug_barrier()
            for r in range(first, last):
                x0, y0, x1, y1 = load_support(row_of(plan, images, slots, r))
                _x, _y, tiles_x, tiles_y = tiles_of(x0, y0, x1, y1, CHANNELS)
                for t in range(0, tiles_x * tiles_y):
                    blend_tile(
                        base, plane_, row_, step_, high, wide, deep, base, 0, 0, plan, 0,
                        plan, mine, images, slots, zero + r, zero + t, MODE, ELLIPSE, CHANNELS, ALIGNED,
                    )  # fmt: skip
            tl.debug_barrier()

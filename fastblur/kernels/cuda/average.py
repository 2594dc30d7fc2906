"""The first launch: every region's neighbourhood averaged into cells of step x step pixels, in float32 scratch.

A program sums the rows of 16 cells while it reads 64 neighbouring pixels of each, and brings the columns together with
one matrix product: pixels times how many of them (border included) lie in each cell.
"""

import triton
import triton.language as tl

from fastblur.kernels.cuda.plan import (
    CIRCULAR,
    COLOR,
    CONSTANT,
    FLOATS,
    INSIDE,
    INTS,
    REFLECT,
    REPLICATE,
    number,
    plan_region,
)

COLUMNS = tl.constexpr(16)  # of the table of a ragged batch, see launch
ROWS, CELLS, PIXELS = tl.constexpr(16), tl.constexpr(32), tl.constexpr(64)


@triton.jit
def pixel_at(position, size, BORDER: tl.constexpr):
    """Return the pixel of a line that stands at a position outside it, for borders that repeat."""
    if BORDER == CIRCULAR:
        return ((position % size) + size) % size
    period = 2 * size - 2
    folded = ((position % period) + period) % period
    return tl.minimum(folded, period - folded)


@triton.jit
def _overlap(pixel, first, step, size, BORDER: tl.constexpr):
    """Return how often `pixel` counts in the cell of `step` positions from `first` on."""
    begin, end = tl.maximum(first, pixel), tl.minimum(first + step, pixel + 1)
    if BORDER == REPLICATE:
        begin = tl.where(pixel == 0, first, begin)
        end = tl.where(pixel == size - 1, first + step, end)
    return tl.maximum(end - begin, 0).to(tl.float32)


@triton.jit
def _counted(first, step, size, BORDER: tl.constexpr):
    """Return by how many positions a cell's sum is divided, along one line."""
    if BORDER == INSIDE:
        return tl.maximum(tl.minimum(first + step, size) - tl.maximum(first, 0), 1).to(tl.float32)
    return (step + first * 0).to(tl.float32)


# Compiled anew for another dtype or recipe's shape, or where neighbouring pixels begin to lie side by side, but not for
# other sizes of images and batches.
UNSPECIALIZED = [
    "source_image", "source_row", "target_image", "target_row", "mask_image", "mask_row", "height", "width", "channels",
    "cells_region", "cells_plane", "cells_row", "slots", "images", "parts", "most", "strength", "margin", "feather",
    "blocks", "color_step",
]  # fmt: skip


@triton.jit(do_not_specialize=UNSPECIALIZED)
def average(
    source, table, source_image, source_row, source_column, source_channel, height, width, channels,
    boxes, counts, sigmas, ints, floats, cells, cells_region, cells_plane, cells_row,
    slots, parts, most, strength, margin, feather, blocks,
    RAGGED: tl.constexpr, MODE: tl.constexpr, ELLIPSE: tl.constexpr, WHOLE: tl.constexpr, BORDER: tl.constexpr,
    GROUP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Plan one region and average its share of cells; program (part, region, group of channels)."""
    part = tl.program_id(0) % parts
    slot = tl.program_id(0) // parts % slots
    group = tl.program_id(0) // parts // slots
    b, i = slot // most, slot % most
    if RAGGED:
        row = table + b * COLUMNS
        base = tl.load(row).to(tl.pointer_type(source.dtype.element_ty))
        height, width = tl.load(row + 3).to(tl.int32), tl.load(row + 4).to(tl.int32)
        channels = tl.load(row + 5).to(tl.int32)
        source_row, source_column, source_channel = tl.load(row + 6), tl.load(row + 7), tl.load(row + 8)
    else:
        base = source + b.to(tl.int64) * source_image
    (
        x0, y0, x1, y1, step_x, step_y, reach_x, reach_y, first_x, first_y, columns, rows,
        left, top, right, bottom, deviation, half_x, half_y,
    ) = plan_region(
        boxes, counts, sigmas, b, i, most, height, width, number(strength), number(margin), number(feather), blocks,
        MODE, ELLIPSE, WHOLE, BORDER,
    )  # fmt: skip
    if (part == 0) & (group == 0):
        at = ints + slot.to(tl.int64) * INTS
        tl.store(at, x0)
        tl.store(at + 1, y0)
        tl.store(at + 2, x1)
        tl.store(at + 3, y1)
        tl.store(at + 4, step_x)
        tl.store(at + 5, step_y)
        tl.store(at + 6, reach_x)
        tl.store(at + 7, reach_y)
        tl.store(at + 8, first_x)
        tl.store(at + 9, first_y)
        tl.store(at + 10, columns)
        tl.store(at + 11, rows)
        at = floats + slot.to(tl.int64) * FLOATS
        tl.store(at, left.to(tl.float32))
        tl.store(at + 1, top.to(tl.float32))
        tl.store(at + 2, right.to(tl.float32))
        tl.store(at + 3, bottom.to(tl.float32))
        tl.store(at + 4, deviation.to(tl.float32))
        tl.store(at + 5, half_x.to(tl.float32))
        tl.store(at + 6, half_y.to(tl.float32))
    if MODE != COLOR:
        # Whole cells that 64 pixels of a row make up: what a program takes across.
        across = tl.minimum(tl.maximum(tl.full((), PIXELS, tl.int32) // step_x, 1), CELLS)
        blocks_x, blocks_y = (columns + across - 1) // across, (rows + ROWS - 1) // ROWS
        wanted = tl.where((x0 < x1) & (group * GROUP < channels), blocks_x * blocks_y, 0)
        base += (group * GROUP).to(tl.int64) * source_channel
        cells += slot.to(tl.int64) * cells_region + (group * GROUP).to(tl.int64) * cells_plane
        for t in range(part, wanted, parts):
            j = t // blocks_x * ROWS + tl.arange(0, ROWS)
            k = t % blocks_x * across + tl.arange(0, CELLS)
            cell_y, cell_x = first_y + j * step_y, first_x + k * step_x
            begin = first_x + t % blocks_x * across * step_x
            end = first_x + tl.minimum(t % blocks_x * across + across, columns) * step_x
            lines = tl.minimum(step_y, height)
            if BORDER == REPLICATE:
                begin = tl.minimum(tl.maximum(begin, 0), width - 1)
                end = tl.minimum(tl.maximum(end - 1, 0), width - 1) + 1
                cell_top = tl.minimum(tl.maximum(cell_y, 0), height - 1)
            elif (BORDER == INSIDE) | (BORDER == CONSTANT):
                begin, end = tl.maximum(begin, 0), tl.minimum(end, width)
                cell_top = tl.maximum(cell_y, 0)
            else:
                lines = step_y
                cell_top = cell_y
            sum0 = tl.zeros((ROWS, CELLS), tl.float32)
            if GROUP == 3:
                sum1, sum2 = tl.zeros((ROWS, CELLS), tl.float32), tl.zeros((ROWS, CELLS), tl.float32)
            for start in range(begin, end, PIXELS):
                position = start + tl.arange(0, PIXELS)
                if (BORDER == REFLECT) | (BORDER == CIRCULAR):
                    x = pixel_at(position, width, BORDER)
                    shares = _overlap(position[:, None], cell_x[None, :], step_x, width, INSIDE)
                else:
                    x = position
                    shares = _overlap(position[:, None], cell_x[None, :], step_x, width, BORDER)
                shares = tl.where((position < end)[:, None], shares, 0.0)
                line0 = tl.zeros((ROWS, PIXELS), tl.float32)
                if GROUP == 3:
                    line1, line2 = tl.zeros((ROWS, PIXELS), tl.float32), tl.zeros((ROWS, PIXELS), tl.float32)
                along = x.to(tl.int64) * source_column
                for dy in range(0, lines):
                    y = cell_top + dy
                    if (BORDER == REFLECT) | (BORDER == CIRCULAR):
                        y = pixel_at(y, height, BORDER)
                        weight = tl.where(j < rows, 1.0, 0.0)
                    else:
                        weight = tl.where((j < rows) & (y < height), _overlap(y, cell_y, step_y, height, BORDER), 0.0)
                    at = base + (y.to(tl.int64) * source_row)[:, None] + along[None, :]
                    wanted_pixels = (weight > 0)[:, None] & (position < end)[None, :]
                    line0 += weight[:, None] * tl.load(at, mask=wanted_pixels, other=0).to(tl.float32)
                    if GROUP == 3:
                        line1 += weight[:, None] * tl.load(at + source_channel, mask=wanted_pixels, other=0).to(
                            tl.float32
                        )
                        line2 += weight[:, None] * tl.load(at + 2 * source_channel, mask=wanted_pixels, other=0).to(
                            tl.float32
                        )
                sum0 = tl.dot(line0, shares, sum0, input_precision=PRECISION)
                if GROUP == 3:
                    sum1 = tl.dot(line1, shares, sum1, input_precision=PRECISION)
                    sum2 = tl.dot(line2, shares, sum2, input_precision=PRECISION)
            area = _counted(cell_y, step_y, height, BORDER)[:, None] * _counted(cell_x, step_x, width, BORDER)[None, :]
            at = cells + j[:, None].to(tl.int64) * cells_row + k[None, :]
            wanted_cells = (j < rows)[:, None] & ((k < columns) & (k < t % blocks_x * across + across))[None, :]
            tl.store(at, tl.div_rn(sum0, area), mask=wanted_cells)
            if GROUP == 3:
                tl.store(at + cells_plane, tl.div_rn(sum1, area), mask=wanted_cells)
                tl.store(at + 2 * cells_plane, tl.div_rn(sum2, area), mask=wanted_cells)

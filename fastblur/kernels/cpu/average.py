"""The small grids of the CPU kernel: a region's neighbourhood averaged down by an integer step and filtered there.

All passes go along rows of contiguous elements, so that LLVM vectorises them. `plan` lists the types of what the
functions take; here also:

| parameter | type | meaning |
| --- | --- | --- |
| image, r | IMAGE, REGION | one row of `images`, of `regions` |
| total, buffer, sums | (elements,) float32 | rows of pixels summed into one; room for it, and for sums within it |
| count_y | int | how many rows the mean counts |
| cells | (columns * channels,) float32 | one row of cells |
| taps | (radius + 1,) float32 | the right half of a Gaussian, centre first |
"""

from math import exp

import numpy as np

from fastblur.kernels.constants import CIRCULAR, CONSTANT, INSIDE, REFLECT, REPLICATE
from fastblur.kernels.cpu.compiled import compiled, inlined, row_at

PIECE = 2048  # elements filtered together


@compiled
def make_grids(images, regions, first, last, scratch, border, dtype_like):
    """Average, and filter, the neighbourhoods of regions first..last into their grids."""
    for i in range(first, last):
        r = regions[i]
        image = images[r.image]
        taps_x, taps_y = _taps(r.sigma_x, r.radius_x), _taps(r.sigma_y, r.radius_y)
        size = r.columns * image.channels
        wide = size + 2 * r.radius_x * image.channels
        high = r.rows + 2 * r.radius_y
        total = np.empty(image.width * image.channels, np.float32)
        sums = np.empty(image.width * image.channels, np.float32)
        cells = np.empty(high * wide, np.float32)
        columns = np.empty(r.rows * wide, np.float32)
        rows = np.empty(r.rows * wide - 2 * r.radius_x * image.channels, np.float32)
        for p in range(image.planes):
            for j in range(high):
                top = r.grid_y0 + (j - r.radius_y) * r.step_y
                row = cells[j * wide : (j + 1) * wide]
                _average_cells(image, r, p, top, border, total, sums, row, dtype_like)
            _filter(cells, wide, taps_y, columns)
            _filter(columns, image.channels, taps_x, rows)
            start = r.grid_offset + p * r.rows * size
            for j in range(r.rows):
                for k in range(size):
                    scratch[start + j * size + k] = rows[j * wide + k]


@compiled
def _filter(source, shift, taps, out):
    """Filter along a line whose neighbours lie `shift` elements apart: columns, or rows with what joins them as halo.

    All rows are one line, and a piece of it that fits the nearest cache takes all taps: loops over single short rows
    would spend as long on their beginnings and ends.
    """
    radius = len(taps) - 1
    for start in range(0, len(out), PIECE):
        piece = out[start : start + PIECE]
        centre = source[start + radius * shift :]
        for i in range(len(piece)):
            piece[i] = taps[0] * centre[i]
        for t in range(1, radius, 2):
            before, after = source[start + (radius - t) * shift :], source[start + (radius + t) * shift :]
            before2, after2 = source[start + (radius - t - 1) * shift :], source[start + (radius + t + 1) * shift :]
            tap, tap2 = taps[t], taps[t + 1]
            for i in range(len(piece)):
                piece[i] += tap * (before[i] + after[i]) + tap2 * (before2[i] + after2[i])
        if radius % 2 == 1:
            before, after, tap = source[start:], source[start + 2 * radius * shift :], taps[radius]
            for i in range(len(piece)):
                piece[i] += tap * (before[i] + after[i])


@compiled
def _taps(sigma, radius):
    """Return the right half of a normalised Gaussian, centre first."""
    taps = np.ones(radius + 1, np.float32)
    if radius > 0:
        total = 1.0
        for t in range(1, radius + 1):
            taps[t] = exp(-0.5 * (t / sigma) ** 2)
            total += 2 * taps[t]
        for t in range(radius + 1):
            taps[t] /= total
    return taps


@inlined
def _sum_rows(image, start, top, step, border, total, dtype_like):
    """Set `total` to the sum of rows top..top + step, from element `start` on; return how many rows the mean counts."""
    height, bottom = image.height, top + step
    for i in range(len(total)):
        total[i] = 0
    for y in range(max(top, 0), min(bottom, height)):
        _add_row(image, start, y, np.float32(1), total, dtype_like)
    inside = max(0, min(bottom, height) - max(top, 0))
    if border == INSIDE or inside == step:
        return inside
    if border == REPLICATE:
        above, below = min(max(-top, 0), step), min(max(bottom - height, 0), step)
        if above > 0:
            _add_row(image, start, 0, np.float32(above), total, dtype_like)
        if below > 0:
            _add_row(image, start, height - 1, np.float32(below), total, dtype_like)
    elif border != CONSTANT:
        for y in range(top, bottom):
            if y < 0 or y >= height:
                _add_row(image, start, _border(y, height, border), np.float32(1), total, dtype_like)
    return step


@compiled
def _average_cells(image, r, plane, top, border, buffer, sums, cells, dtype_like):
    """Average one row of cells, step_y rows from `top` on, over the whole width of the neighbourhood."""
    channels, width, step = image.channels, image.width, r.step_x
    left = r.grid_x0 - r.radius_x * step
    right = left + len(cells) // channels * step
    # A reflected or repeated column may come from anywhere in the image.
    all_columns = border in (REFLECT, CIRCULAR) and (left < 0 or right > width)
    begin = 0 if all_columns else min(max(left, 0), width - 1)
    end = width if all_columns else max(min(right, width), begin + 1)
    total = buffer[: (end - begin) * channels]
    start = plane * image.source_plane + begin * channels
    count_y = _sum_rows(image, start, top, r.step_y, border, total, dtype_like)
    n = len(cells) // channels
    if step == 1 and left >= 0 and right <= width:
        scale = np.float32(1.0 / count_y)
        for i in range(len(cells)):
            cells[i] = total[i] * scale
        return
    # Cells that lie inside the image are sums of `step` neighbours; the few others are made pixel by pixel.
    low = min(n, max(0, -(left // step)))
    high = max(low, min(n, (width - left) // step))
    scale = np.float32(1.0 / (count_y * step))
    offset = (left + low * step - begin) * channels
    _sum_neighbours(total[offset:], step, channels, scale, sums, cells[low * channels : high * channels])
    for side in range(2):
        for j in range(0 if side == 0 else high, low if side == 0 else n):
            cell = cells[j * channels : (j + 1) * channels]
            _average_border_cell(image, left + j * step, step, count_y, begin, border, total, cell)


@compiled
def _sum_neighbours(total, step, channels, scale, sums, cells):
    """Sum `step` neighbouring pixels into each cell: short sums for all pixels at once, long ones cell by cell."""
    if step <= 8:
        n = len(cells) * step - (step - 1) * channels
        for i in range(n):
            sums[i] = total[i]
        for q in range(1, step):
            neighbour = total[q * channels :]
            for i in range(n):
                sums[i] += neighbour[i]
        at = 0
        if channels == 3:
            for j in range(0, len(cells), 3):
                cells[j], cells[j + 1], cells[j + 2] = sums[at] * scale, sums[at + 1] * scale, sums[at + 2] * scale
                at += 3 * step
        else:
            for j in range(0, len(cells), channels):
                for k in range(channels):
                    cells[j + k] = sums[at + k] * scale
                at += channels * step
        return
    for j in range(0, len(cells), channels):
        at = j * step
        for k in range(channels):
            value = np.float32(0)
            for q in range(step):
                value += total[at + q * channels + k]
            cells[j + k] = value * scale


@inlined
def _average_border_cell(image, x, step, count_y, begin, border, total, cell):
    """Average one cell that begins at column `x` and goes over the left or right border; `total` is from `begin` on."""
    channels, width = image.channels, image.width
    inside = max(0, min(x + step, width) - max(x, 0))
    count = count_y * (inside if border == INSIDE else step)
    for k in range(channels):
        value = 0.0
        for q in range(max(x, 0), min(x + step, width)):
            value += total[(q - begin) * channels + k]
        if border == REPLICATE:
            value += min(max(-x, 0), step) * total[k]
            value += min(max(x + step - width, 0), step) * total[len(total) - channels + k]
        elif border in (REFLECT, CIRCULAR):
            for q in range(x, x + step):
                if q < 0 or q >= width:
                    value += total[(_border(q, width, border) - begin) * channels + k]
        cell[k] = value / count if count > 0 else 0.0


@compiled
def _border(i, size, border):
    """Return the pixel of a line of `size` that stands for pixel `i` outside it, with REFLECT or CIRCULAR."""
    if border == CIRCULAR:
        return i % size
    folded = i % (2 * size - 2)
    return min(folded, 2 * size - 2 - folded)


@compiled
def _add_row(image, start, y, weight, total, dtype_like):
    row = row_at(image.source, start + y * image.source_row, len(total), dtype_like)
    for i in range(len(total)):
        total[i] += weight * np.float32(row[i])

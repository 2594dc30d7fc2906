"""The small grids of the CPU kernel: a region's neighbourhood averaged down by an integer step and filtered there.

All passes go along rows of contiguous elements, so that LLVM vectorises them. `plan` lists the types of what the
functions take; here also:

| parameter | type | meaning |
| --- | --- | --- |
| image, r | IMAGE, REGION | one row of `images`, of `regions` |
| rows, weights | (n,) int64, (>= n,) float32 | the image's rows that a row of cells is a sum of |
| count_y | int | rows that the mean counts |
| total, buffer, sums | (elements,) float32 | one row of pixels summed over `rows`; room for it and its sums |
| cells | (columns * channels,) float32 | one row of cells |
| taps | (radius + 1,) float32 | the right half of a Gaussian, centre first |
"""

from math import exp

import numpy as np

from fastblur.kernels.constants import CIRCULAR, CONSTANT, INSIDE, REFLECT, REPLICATE
from fastblur.kernels.cpu.compiled import compiled, row_at

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
        source_rows, row_weights = np.empty(r.step_y, np.int64), np.empty(r.step_y, np.float32)
        total = np.empty(image.width * image.channels, np.float32)
        sums = np.empty(image.width * image.channels, np.float32)
        cells = np.empty(high * wide, np.float32)
        columns = np.empty(r.rows * wide, np.float32)
        rows = np.empty(r.rows * wide - 2 * r.radius_x * image.channels, np.float32)
        for p in range(image.planes):
            for j in range(high):
                top = r.grid_y0 + (j - r.radius_y) * r.step_y
                n, count_y = _row_weights(top, r.step_y, image.height, border, source_rows, row_weights)
                row = cells[j * wide : (j + 1) * wide]
                _average_cells(image, r, p, source_rows[:n], row_weights, count_y, border, total, sums, row, dtype_like)
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


@compiled
def _row_weights(top, step, height, border, rows, weights):
    """Fill `rows` and `weights` with what rows top..top + step are a sum of; return how many, and what the mean counts.

    Both have room for `step` of them.
    """
    n = 0
    for y in range(max(top, 0), min(top + step, height)):
        rows[n], weights[n] = y, 1
        n += 1
    if border == INSIDE or n == step:
        return n, n
    if border == REPLICATE:
        above, below = min(max(-top, 0), step), min(max(top + step - height, 0), step)
        if above > 0:
            rows[n], weights[n] = 0, above
            n += 1
        if below > 0:
            rows[n], weights[n] = height - 1, below
            n += 1
    elif border != CONSTANT:
        for y in range(top, top + step):
            if y < 0 or y >= height:
                rows[n], weights[n] = _border(y, height, border), 1
                n += 1
    return n, step


@compiled
def _average_cells(image, r, plane, rows, weights, count_y, border, buffer, sums, cells, dtype_like):
    """Average one row of cells from the weighed `rows`, over the whole width of the neighbourhood."""
    channels, width, step = image.channels, image.width, r.step_x
    left = r.grid_x0 - r.radius_x * step
    right = left + len(cells) // channels * step
    # A reflected or repeated column may come from anywhere in the image.
    all_columns = border in (REFLECT, CIRCULAR) and (left < 0 or right > width)
    begin = 0 if all_columns else min(max(left, 0), width - 1)
    end = width if all_columns else max(min(right, width), begin + 1)
    total = buffer[: (end - begin) * channels]
    for i in range(len(total)):
        total[i] = 0
    start = plane * image.source_plane + begin * channels
    for k in range(len(rows)):
        _add(total, row_at(image.source, start + rows[k] * image.source_row, len(total), dtype_like), weights[k])
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


@compiled
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
def _add(total, row, weight):
    for i in range(len(total)):
        total[i] += weight * np.float32(row[i])

"""The small grids of the CPU kernel: a region's neighbourhood averaged down by an integer step and filtered there.

All passes go along rows of contiguous elements, so that LLVM vectorises them.
"""

from math import exp

import numpy as np

from fastblur.kernels.constants import CIRCULAR, CONSTANT, REFLECT, REPLICATE
from fastblur.kernels.cpu.compiled import compiled, row_at

PIECE = 2048  # elements filtered together


@compiled
def make_grids(images, regions, first, last, scratch, border, inside_only, like):
    """Average, and filter, the neighbourhoods of regions first..last into their grids."""
    for i in range(first, last):
        r = regions[i]
        image = images[r.image]
        taps_x, taps_y = _taps(r.sigma_x, r.reach_x), _taps(r.sigma_y, r.reach_y)
        size = r.columns * image.channels
        wide = size + 2 * r.reach_x * image.channels
        high = r.rows + 2 * r.reach_y
        total = np.empty(image.width * image.channels, np.float32)
        sums = np.empty(image.width * image.channels, np.float32)
        cells = np.empty(high * wide, np.float32)
        columns = np.empty(r.rows * wide, np.float32)
        rows = np.empty(r.rows * wide - 2 * r.reach_x * image.channels, np.float32)
        for p in range(image.planes):
            for j in range(high):
                top = r.first_y + (j - r.reach_y) * r.step_y
                row = cells[j * wide : (j + 1) * wide]
                _average_cells(image, r, p, top, border, inside_only, total, sums, row, like)
            _filter(cells, wide, taps_y, columns)
            _filter(columns, image.channels, taps_x, rows)
            start = r.grid + p * r.rows * size
            for j in range(r.rows):
                for k in range(size):
                    scratch[start + j * size + k] = rows[j * wide + k]


@compiled
def _filter(source, shift, taps, out):
    """Filter along a line whose neighbours lie `shift` elements apart: columns, or rows with what joins them as halo.

    All rows are one line, and a piece of it that fits the nearest cache takes all taps: loops over single short rows
    would spend as long on their beginnings and ends.
    """
    reach = len(taps) - 1
    for start in range(0, len(out), PIECE):
        piece = out[start : start + PIECE]
        centre = source[start + reach * shift :]
        for i in range(len(piece)):
            piece[i] = taps[0] * centre[i]
        for t in range(1, reach, 2):
            before, after = source[start + (reach - t) * shift :], source[start + (reach + t) * shift :]
            before2, after2 = source[start + (reach - t - 1) * shift :], source[start + (reach + t + 1) * shift :]
            tap, tap2 = taps[t], taps[t + 1]
            for i in range(len(piece)):
                piece[i] += tap * (before[i] + after[i]) + tap2 * (before2[i] + after2[i])
        if reach % 2 == 1:
            before, after, tap = source[start:], source[start + 2 * reach * shift :], taps[reach]
            for i in range(len(piece)):
                piece[i] += tap * (before[i] + after[i])


@compiled
def _taps(sigma, reach):
    """Return the right half of a normalised Gaussian, centre first."""
    taps = np.ones(reach + 1, np.float32)
    if reach > 0:
        total = 1.0
        for t in range(1, reach + 1):
            taps[t] = exp(-0.5 * (t / sigma) ** 2)
            total += 2 * taps[t]
        for t in range(reach + 1):
            taps[t] /= total
    return taps


@compiled
def _average_cells(image, r, plane, top, border, inside_only, buffer, sums, cells, like):
    """Average one row of cells, step_y rows from `top` on, over the whole width of the neighbourhood."""
    channels, width, height, step = image.channels, image.width, image.height, r.step_x
    left = r.first_x - r.reach_x * step
    right = left + len(cells) // channels * step
    all_columns = border != REPLICATE and border != CONSTANT and (left < 0 or right > width)
    begin = 0 if all_columns else min(max(left, 0), width - 1)
    end = width if all_columns else max(min(right, width), begin + 1)
    total = buffer[: (end - begin) * channels]
    for i in range(len(total)):
        total[i] = 0
    start = plane * image.source_plane + begin * channels
    bottom = top + r.step_y
    inside = max(0, min(bottom, height) - max(top, 0))
    for y in range(max(top, 0), min(bottom, height)):
        _add(total, row_at(image.source, start + y * image.source_row, len(total), like), np.float32(1))
    if inside < r.step_y and not inside_only:
        if border == REPLICATE:
            above, below = min(max(-top, 0), r.step_y), min(max(bottom - height, 0), r.step_y)
            if above > 0:
                _add(total, row_at(image.source, start, len(total), like), np.float32(above))
            if below > 0:
                last = start + (height - 1) * image.source_row
                _add(total, row_at(image.source, last, len(total), like), np.float32(below))
        elif border != CONSTANT:
            for y in range(top, bottom):
                if y < 0 or y >= height:
                    from_row = _border(y, height, border)
                    _add(
                        total,
                        row_at(image.source, start + from_row * image.source_row, len(total), like),
                        np.float32(1),
                    )
    count_y = inside if inside_only else r.step_y
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
            _average_border_cell(
                left + j * step,
                step,
                count_y,
                width,
                begin,
                channels,
                border,
                inside_only,
                total,
                cells[j * channels : (j + 1) * channels],
            )


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
def _average_border_cell(x, step, count_y, width, begin, channels, border, inside_only, total, cell):
    """Average one cell that begins at column `x` and reaches over the left or right border."""
    inside = max(0, min(x + step, width) - max(x, 0))
    count = count_y * (inside if inside_only else step)
    for k in range(channels):
        value = 0.0
        for q in range(max(x, 0), min(x + step, width)):
            value += total[(q - begin) * channels + k]
        if not inside_only:
            if border == REPLICATE:
                value += min(max(-x, 0), step) * total[k]
                value += min(max(x + step - width, 0), step) * total[len(total) - channels + k]
            elif border != CONSTANT:
                for q in range(x, x + step):
                    if q < 0 or q >= width:
                        value += total[(_border(q, width, border) - begin) * channels + k]
        cell[k] = value / count if count > 0 else 0.0


@compiled
def _border(i, size, border):
    """Return the pixel that stands for pixel `i` of a line of `size`; -1 for zero."""
    if 0 <= i < size:
        return i
    if border == REPLICATE:
        return min(max(i, 0), size - 1)
    if border == CIRCULAR:
        return i % size
    if border == REFLECT:
        folded = i % (2 * size - 2)
        return min(folded, 2 * size - 2 - folded)
    return -1


@compiled
def _add(total, row, weight):
    for i in range(len(total)):
        total[i] += weight * np.float32(row[i])

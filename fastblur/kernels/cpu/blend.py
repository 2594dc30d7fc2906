"""Blending of the CPU kernel: grids upsampled to pixels, weighed by alpha and written row by row.

`plan` lists the types of what the functions take; here also:

| parameter | type | meaning |
| --- | --- | --- |
| image, r, band | IMAGE, REGION, BAND | one row of `images`, `regions`, `bands` |
| layer, alpha | (pixels * channels,) float32 | one row of what is blended in, and its weights |
| mixed, alphas | (rows, pixels * channels) float32 | a band's sums of alpha * layer and of alpha |
| ring | (3, pixels * channels) float32 | the last three rows of the grid, widened to pixels |
| target | (pixels * channels,) uint8 or float32 | one row of the image that is written |
"""

from math import erfc, sqrt

import numpy as np

from fastblur.kernels.constants import ALPHA_SUPPORT, MASK
from fastblur.kernels.cpu.compiled import compiled, copy_row, row_at, stored

NORMAL_STEPS = 4096
NORMAL = np.array([0.5 * erfc((6 - 12 * i / NORMAL_STEPS) * sqrt(0.5)) for i in range(NORMAL_STEPS + 1)])


@compiled
def copy_images(images, first, last, dtype_like):
    """Copy images first..last from source to target."""
    for b in range(first, last):
        image = images[b]
        length, rows = image.width * image.channels, image.height
        if image.source_row == length and image.target_row == length:
            length, rows = length * rows, 1  # one long row
        for p in range(image.planes):
            for y in range(rows):
                source = row_at(image.source, p * image.source_plane + y * image.source_row, length, dtype_like)
                target = row_at(image.target, p * image.target_plane + y * image.target_row, length, dtype_like)
                copy_row(source, target)


@compiled
def blend_bands(images, regions, order, bands, first, last, scratch, mode, dtype_like, mask_like):
    """Blend the grids of bands first..last into the target images."""
    for i in range(first, last):
        band = bands[i]
        image = images[band.image]
        alone = band.last - band.first == 1
        size = (band.x1 - band.x0) * image.channels
        rows = 0 if alone else band.y1 - band.y0
        mixed, alphas = np.empty((rows, size), np.float32), np.empty((rows, size), np.float32)
        for p in range(image.planes):
            if not alone:
                mixed[:] = 0
                alphas[:] = 0
            for j in range(band.first, band.last):
                _blend_region(
                    image, regions[order[j]], band, p, scratch, mode, alone, mixed, alphas, dtype_like, mask_like
                )
            for row in range(rows):
                start = p * image.target_plane + (band.y0 + row) * image.target_row + band.x0 * image.channels
                _blend_mixed(row_at(image.target, start, size, dtype_like), mixed, alphas, row)


@compiled
def _blend_region(image, r, band, plane, scratch, mode, alone, mixed, alphas, dtype_like, mask_like):
    channels = image.channels
    size = (r.x1 - r.x0) * channels
    layer, alpha = np.empty(size, np.float32), np.empty(size, np.float32)
    ring = np.empty((3, size), np.float32)
    filled = -1  # rows of the grid that the ring holds, up to this one
    spline_x, spline_y = r.uses_spline == 1 and r.step_x > 1, r.uses_spline == 1 and r.step_y > 1
    weights = _spline_weights(r.step_y, r.step_y, 1) if spline_y else np.empty((3, 0), np.float32)
    across = _spline_weights(r.step_x, r.x1 - r.x0, channels) if spline_x else np.empty((3, 0), np.float32)
    repeated = np.empty(r.columns * r.step_x * channels, np.float32)
    skip = (r.x0 - r.grid_x0) * channels
    if mode != MASK and r.ellipse == 0:
        _box_alpha(r.x0, r.left, r.right, image.width, r.feather / r.unit_x, channels, alpha)
    vertical = np.ones(r.y1 - r.y0, np.float32)
    if mode != MASK and r.ellipse == 0:
        _box_alpha(r.y0, r.top, r.bottom, image.height, r.feather / r.unit_y, 1, vertical)
    for y in range(max(band.y0, r.y0), min(band.y1, r.y1)):
        cell = (y - r.grid_y0) // r.step_y
        radius = 1 if spline_y else 0
        filled = max(filled, cell - radius - 1)
        while filled < cell + radius:
            filled += 1
            start = r.grid_offset + (plane * r.rows + filled) * r.columns * channels
            grid = scratch[start : start + r.columns * channels]
            _widen(grid, r.step_x, skip, channels, across, spline_x, repeated, ring, filled % 3)
        if spline_y:
            q = (y - r.grid_y0) - cell * r.step_y
            _sum_rows(
                ring, (cell - 1) % 3, cell % 3, (cell + 1) % 3, weights[0, q], weights[1, q], weights[2, q], layer
            )
        else:
            _sum_rows(ring, cell % 3, cell % 3, cell % 3, np.float32(0), np.float32(1), np.float32(0), layer)
        if mode == MASK:
            _mask_alpha(row_at(image.mask, y * image.mask_row + r.x0, r.x1 - r.x0, mask_like), channels, alpha)
        elif r.ellipse == 1:
            _ellipse_alpha(r, y, channels, alpha)
        if alone:
            start = plane * image.target_plane + y * image.target_row + r.x0 * channels
            _blend(row_at(image.target, start, size, dtype_like), layer, alpha, vertical[y - r.y0])
        else:
            _mix(mixed, alphas, y - band.y0, (r.x0 - band.x0) * channels, layer, alpha, vertical[y - r.y0])


@compiled
def _widen(grid, step, skip, channels, weights, spline, repeated, ring, slot):
    """Bring one row of the grid to pixels: each cell repeated `step` times, then three of them weighed."""
    out = ring[slot]
    if step == 1:
        copy_row(grid, out)
        return
    at = 0
    if channels == 3:
        for j in range(0, len(grid), 3):
            a, b, c = grid[j], grid[j + 1], grid[j + 2]
            for _ in range(step):
                repeated[at], repeated[at + 1], repeated[at + 2] = a, b, c
                at += 3
    else:
        for j in range(0, len(grid), channels):
            for _ in range(step):
                for k in range(channels):
                    repeated[at + k] = grid[j + k]
                at += channels
    if spline:
        cell = step * channels
        before, centre, after = repeated, repeated[cell:], repeated[2 * cell :]
        for i in range(len(out)):
            out[i] = weights[0, i] * before[i] + weights[1, i] * centre[i] + weights[2, i] * after[i]
    else:
        copy_row(repeated[skip:], out)


@compiled
def _spline_weights(step, pixels, channels):
    """Return the quadratic B-spline's three weights at every element of a row that begins with a cell."""
    weights = np.empty((3, pixels * channels), np.float32)
    for x in range(pixels):
        u = (x % step + 0.5) / step - 0.5
        for i in range(x * channels, (x + 1) * channels):
            weights[0, i], weights[1, i], weights[2, i] = 0.5 * (0.5 - u) ** 2, 0.75 - u * u, 0.5 * (0.5 + u) ** 2
    return weights


@compiled
def _sum_rows(rows, a, b, c, weight_a, weight_b, weight_c, out):
    for i in range(len(out)):
        out[i] = weight_a * rows[a, i] + weight_b * rows[b, i] + weight_c * rows[c, i]


@compiled
def _blend(target, layer, alpha, scale):
    for i in range(len(target)):
        value = np.float32(target[i])
        target[i] = stored(value + alpha[i] * scale * (layer[i] - value), target)


@compiled
def _mix(mixed, alphas, row, first, layer, alpha, scale):
    mixed_row, alphas_row = mixed[row, first:], alphas[row, first:]
    for i in range(len(layer)):
        a = alpha[i] * scale
        mixed_row[i] += a * layer[i]
        alphas_row[i] += a


@compiled
def _blend_mixed(target, mixed, alphas, row):
    for i in range(len(target)):
        value = np.float32(target[i])
        mean = mixed[row, i] / max(alphas[row, i], np.float32(1e-30))
        target[i] = stored(value + min(alphas[row, i], np.float32(1)) * (mean - value), target)


@compiled
def _box_alpha(first, low, high, size, feather, channels, out):
    """Fill the interval low..high filtered with the feather; a side at the border has no end."""
    for i in range(len(out) // channels):
        x = first + i + 0.5
        if feather > 0:
            value = 1.0 if low <= 0 else _normal((x - low) / feather)
            if high < size:
                value -= _normal((x - high) / feather)
        else:
            value = 1.0
        for k in range(channels):
            out[i * channels + k] = value


@compiled
def _ellipse_alpha(r, y, channels, out):
    """Fill alpha of the ellipse inscribed in the grown box on row `y`."""
    for i in range(len(out) // channels):
        distance = ellipse_distance(r, r.x0 + i, y)
        if distance > ALPHA_SUPPORT * r.feather:
            value = 0.0
        elif r.feather > 0:
            value = _normal(-distance / r.feather)
        else:
            value = 1.0
        for k in range(channels):
            out[i * channels + k] = value


@compiled
def ellipse_distance(r, x, y):
    """Return how far the centre of an element lies outside the ellipse inscribed in the grown box, to first order."""
    a, b = (r.right - r.left) / 2, (r.bottom - r.top) / 2
    u, v = (x + 0.5 - (r.left + r.right) / 2) / a, (y + 0.5 - (r.top + r.bottom) / 2) / b
    k0, k1 = sqrt(u * u + v * v), sqrt((u / (a * r.unit_x)) ** 2 + (v / (b * r.unit_y)) ** 2)
    return k0 * (k0 - 1) / k1 if k1 > 0 else -min(a * r.unit_x, b * r.unit_y)


@compiled
def _mask_alpha(mask, channels, out):
    for i in range(len(mask)):
        for k in range(channels):
            out[i * channels + k] = mask[i]


@compiled
def _normal(z):
    """Return the normal distribution function, by linear interpolation in a table (error below 3e-7)."""
    at = (z + 6.0) * (NORMAL_STEPS / 12)
    if at <= 0:
        return 0.0
    if at >= NORMAL_STEPS:
        return 1.0
    i = np.int64(at)
    return NORMAL[i] + (at - i) * (NORMAL[i + 1] - NORMAL[i])

"""The way from here to the CPU kernel: regions planned on the planes of a JPEG's components, and hidden in them.

All coordinates of a plane are in its samples. The formula speaks of the picture's pixels; a plane of half the width has
boxes and deviations of half the width, and alpha is that of the formula at the centre of each sample.
"""

from math import ceil, floor

import numpy as np

from fastblur.codecs.jpeg_blocks.bits import compiled
from fastblur.kernels.constants import ALPHA_SUPPORT, FILL, INSIDE, MOSAIC, REPLICATE
from fastblur.kernels.cpu.average import make_grids
from fastblur.kernels.cpu.blend import blend_bands, ellipse_distance
from fastblur.kernels.cpu.compiled import row_at
from fastblur.kernels.cpu.images import IMAGE
from fastblur.kernels.cpu.plan import REGION, plan, plan_axes, plan_bands, support

FLOATS = np.empty(0, np.float32)


@compiled
def plan_regions(boxes, height, width, parameters):
    """Return the regions of a whole picture, REGION records in its pixels.

    boxes: (n, 4) float32 xyxy; parameters: KernelParameters.
    """
    image = np.zeros(1, IMAGE)
    image[0].height, image[0].width, image[0].planes, image[0].channels = height, width, 1, 1
    regions = np.zeros(len(boxes), REGION)
    counts = np.full(1, len(boxes), np.int64)
    n = plan(image, boxes.reshape((1, len(boxes), 4)), counts, parameters, regions)
    return regions[:n]


@compiled
def plan_plane(regions, unit_x, unit_y, width, height, picture_width, picture_height, mode):
    """Return the regions as a plane has them, which is `width` x `height` samples of unit_x x unit_y pixels.

    regions: of the picture; mode: of `kernels.constants`.

    Returns REGION records, and for a mosaic on a subsampled plane (n, 4) float64, else (0, 4): left and upper border of
    the first block, and the blocks' sides, which may be fractions of a sample.
    """
    out = regions.copy()
    if unit_x == 1 and unit_y == 1:
        return out, np.empty((0, 4), np.float64)
    mosaics = np.empty((len(regions) if mode == MOSAIC else 0, 4), np.float64)
    n = 0
    for i in range(len(regions)):
        whole, r = regions[i], out[n]
        r.ellipse, r.feather, r.sigma = whole.ellipse, whole.feather, whole.sigma
        r.unit_x, r.unit_y = unit_x, unit_y
        r.left, r.right, r.x0, r.x1 = _axis(whole.left, whole.right, unit_x, width, picture_width, whole.feather)
        r.top, r.bottom, r.y0, r.y1 = _axis(whole.top, whole.bottom, unit_y, height, picture_height, whole.feather)
        if whole.ellipse:
            r.right, r.bottom = whole.right / unit_x, whole.bottom / unit_y
        if r.x0 >= r.x1 or r.y0 >= r.y1:
            continue
        if mode == MOSAIC:
            # The grid has a cell for every sample, see `_fill_mosaic`.
            mosaics[n, 0], mosaics[n, 1] = floor(whole.left) / unit_x, floor(whole.top) / unit_y
            mosaics[n, 2], mosaics[n, 3] = whole.step_x / unit_x, whole.step_y / unit_y
            r.step_x, r.step_y, r.radius_x, r.radius_y, r.uses_spline = 1, 1, 0, 0, 0
            r.grid_x0, r.grid_y0, r.columns, r.rows = r.x0, r.y0, r.x1 - r.x0, r.y1 - r.y0
        elif mode == FILL:
            r.step_x, r.step_y, r.radius_x, r.radius_y, r.uses_spline = width, height, 0, 0, 0
            r.grid_x0, r.grid_y0, r.columns, r.rows = 0, 0, 1, 1
        else:
            plan_axes(r, whole.sigma / unit_x, whole.sigma / unit_y)
        n += 1
    return out[:n], mosaics[: min(n, len(mosaics))]


@compiled
def _axis(low, high, unit, size, picture_size, feather):
    """Return a side of the grown box in samples, going on beyond the border where it does, and its support."""
    low /= unit
    high = max(high / unit, np.float64(size)) if high >= picture_size else high / unit
    first, last = support(low, high, size, ALPHA_SUPPORT * feather / unit)
    return low, high, first, last


@compiled
def area_read(regions, mosaics, i, width, height, mode):
    """Return x0, y0, x1, y1: the samples of a plane that hiding its i-th region reads."""
    r = regions[i]
    x0, y0, x1, y1 = r.x0, r.y0, r.x1, r.y1
    if len(mosaics) > 0:
        left, top, side_x, side_y = mosaics[i]
        x0, y0 = np.int64(floor(_block_start(x0, left, side_x))), np.int64(floor(_block_start(y0, top, side_y)))
        x1 = np.int64(ceil(_block_start(x1 - 1, left, side_x) + side_x))
        y1 = np.int64(ceil(_block_start(y1 - 1, top, side_y) + side_y))
    elif mode != FILL:
        x0, x1 = r.grid_x0 - r.radius_x * r.step_x, r.grid_x0 + (r.columns + r.radius_x) * r.step_x
        y0, y1 = r.grid_y0 - r.radius_y * r.step_y, r.grid_y0 + (r.rows + r.radius_y) * r.step_y
    return max(0, x0), max(0, y0), min(width, x1), min(height, y1)


@compiled
def touches(r, x, y):
    """Return whether alpha is above 0 in some sample of the 8 x 8 from (x, y) on, which meet the support's bounds."""
    if r.ellipse == 0:
        return True
    x0, y0, x1, y1 = max(x, r.x0), max(y, r.y0), min(x + 8, r.x1), min(y + 8, r.y1)
    for j in range(y0, y1):
        for i in range(x0, x1):
            if ellipse_distance(r, i, j) <= ALPHA_SUPPORT * r.feather:
                return True
    return False


@compiled
def _block_start(sample, low, side):
    """Return where the block of a mosaic begins that a sample's centre lies in."""
    return low + floor((sample + 0.5 - low) / side) * side


@compiled
def hide_plane(address, stride, plane_stride, planes, width, height, regions, mosaics, color, mode):
    """Hide the regions in planes of float32 samples, in place.

    address: of the first plane's sample at (0, 0), which need not be in memory: only what `area_read` says is touched.
    stride, plane_stride: samples between rows and between planes. color: (planes,) float32 for a colour, else empty.
    """
    image = np.zeros(1, IMAGE)
    one = image[0]
    one.source, one.target, one.height, one.width, one.planes, one.channels = address, address, height, width, planes, 1
    one.source_plane, one.source_row, one.target_plane, one.target_row = plane_stride, stride, plane_stride, stride
    order, bands, elements = plan_bands(image, regions)
    scratch = np.empty(elements, np.float32)
    if mode == FILL:
        for i in range(elements):
            scratch[i] = color[i % len(color)]
    elif len(mosaics) > 0:
        for i in range(len(regions)):
            for p in range(planes):
                _fill_mosaic(image[0], regions[i], mosaics[i], p, scratch)
    else:
        border = INSIDE if mode == MOSAIC else REPLICATE
        make_grids(image, regions, 0, len(regions), scratch, border, FLOATS)
    blend_bands(image, regions, order, bands, 0, len(bands), scratch, mode, FLOATS, FLOATS)


@compiled
def _fill_mosaic(image, r, mosaic, plane, scratch):
    """Fill a grid of one cell a sample with the mean of the block that the sample's centre lies in.

    The mean is over the part of the block inside the picture; samples on its border count with the part in the block.
    """
    left, top, side_x, side_y = mosaic
    means = np.empty(r.columns, np.float32)
    start = r.grid_offset + plane * r.rows * r.columns
    y = r.y0
    while y < r.y1:
        y_from = _block_start(y, top, side_y)
        y_next = min(r.y1, y + 1)
        while y_next < r.y1 and _block_start(y_next, top, side_y) == y_from:
            y_next += 1
        x = r.x0
        while x < r.x1:
            x_from = _block_start(x, left, side_x)
            x_next = x + 1
            while x_next < r.x1 and _block_start(x_next, left, side_x) == x_from:
                x_next += 1
            mean = _mean(image, plane, x_from, y_from, x_from + side_x, y_from + side_y)
            for i in range(x - r.x0, x_next - r.x0):
                means[i] = mean
            x = x_next
        for row in range(y - r.y0, y_next - r.y0):
            for i in range(r.columns):
                scratch[start + row * r.columns + i] = means[i]
        y = y_next


@compiled
def _mean(image, plane, x0, y0, x1, y1):
    """Return the mean of a plane over a rectangle, of its part inside the plane."""
    total = weights = 0.0
    first, last = max(0, np.int64(floor(x0))), min(image.width, np.int64(ceil(x1)))
    for y in range(max(0, np.int64(floor(y0))), min(image.height, np.int64(ceil(y1)))):
        start = plane * image.source_plane + y * image.source_row + first
        row = row_at(image.source, start, last - first, FLOATS)
        weight_y = min(y + 1.0, y1) - max(np.float64(y), y0)
        for x in range(first, last):
            weight = weight_y * (min(x + 1.0, x1) - max(np.float64(x), x0))
            total += weight * row[x - first]
            weights += weight
    return total / weights

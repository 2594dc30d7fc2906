"""The plan of the CPU kernel: which regions there are, on what grid each is filtered, and which overlap.

Images, regions and bands are rows of NumPy record arrays, so that the loops can be handed all of a batch at once.
What the compiled functions of this folder take:

| parameter | type | meaning |
| --- | --- | --- |
| images | (B,) IMAGE | addresses, sizes and strides |
| boxes, counts | (B, N, 4) float32, (B,) int64 | xyxy px, and how many rows of an image are boxes |
| parameters | KernelParameters | the operator's |
| regions | (n,) REGION | those that are not degenerate, image by image |
| order | (n,) int64 | places in `regions`, those of a group together |
| bands | (m,) BAND | rows of one group, blended together |
| scratch | (elements,) float32 | the grids of all regions |
| mode, border | int | codes of `kernels.constants` |
| dtype_like, mask_like | (0,) uint8 or float32 | only their dtype counts: that of the images, of the masks |
"""

from math import ceil, floor, sqrt

import numpy as np

from fastblur.boxes import BEFORE_A_PIXEL, MAX_COORDINATE, SMALLEST_FACE, WITHIN_A_PIXEL
from fastblur.kernels.constants import ALPHA_SUPPORT, FILL, MIN_BLOCK, MIN_RADIUS, MIN_SIGMA, MOSAIC, SIGMA_PER_STEP
from fastblur.kernels.cpu.compiled import compiled, row_at

REGION = np.dtype(
    [(name, np.int64) for name in ("image", "group", "x0", "y0", "x1", "y1", "ellipse", "uses_spline")]
    + [(name, np.int64) for name in ("step_x", "step_y", "radius_x", "radius_y", "grid_x0", "grid_y0")]
    + [(name, np.int64) for name in ("columns", "rows", "grid_offset")]
    + [(name, np.float64) for name in ("left", "top", "right", "bottom", "feather", "sigma_x", "sigma_y")]
    + [(name, np.float64) for name in ("sigma", "unit_x", "unit_y")]
)
"""One region: its support x0..y1 in whole pixels; its grid (pixels a cell, taps on each side, first pixel, cells,
offset in the scratch); the grown box, the feather's deviation in pixels and the sigma left to the grid in cells; the
whole sigma in pixels, and how many of those pixels an element is wide and high: 1 but for subsampled planes."""

BAND = np.dtype([(name, np.int64) for name in ("image", "first", "last", "x0", "y0", "x1", "y1")])
"""Rows y0..y1 of one group: regions order[first..last], whose supports overlap, blended together."""

TRUNCATE = 3.0  # deviations at which the taps end
BAND_ROWS = 128


@compiled
def are_boxes(images, boxes, counts):
    """Return whether the regions of all images are what `Regions.check` takes; it says what is wrong."""
    for b in range(len(images)):
        if counts[b] < 0 or counts[b] > boxes.shape[1]:
            return False
        small, large = 0, 0  # boxes with an area, as if in parts of the image and others
        for i in range(counts[b]):
            x0, y0, x1, y1 = boxes[b, i, 0], boxes[b, i, 1], boxes[b, i, 2], boxes[b, i, 3]
            if not (x0 >= -MAX_COORDINATE and y0 >= -MAX_COORDINATE and x1 <= MAX_COORDINATE and y1 <= MAX_COORDINATE):
                return False  # also for NaN
            if not (x0 <= x1 and y0 <= y1):
                return False
            if x0 < x1 and y0 < y1:
                if min(x0, y0) >= BEFORE_A_PIXEL and max(x1, y1) <= WITHIN_A_PIXEL:
                    small += 1
                else:
                    large += 1
        if small > 0 and large == 0 and min(images[b].height, images[b].width) >= SMALLEST_FACE:
            return False
    return True


@compiled
def plan(images, boxes, counts, parameters, regions):
    """Fill `regions`, at least B * N of them, from `boxes`; return how many there are."""
    p = parameters
    n = 0
    order = np.empty(boxes.shape[1], np.int64)
    for b in range(len(images)):
        height, width = images[b].height, images[b].width
        largest = 0.0
        kept = 0
        for i in range(counts[b]):
            x0, y0, x1, y1 = boxes[b, i, 0], boxes[b, i, 1], boxes[b, i, 2], boxes[b, i, 3]
            if x0 < x1 and y0 < y1 and x0 < width and y0 < height and x1 > 0 and y1 > 0:
                largest = max(largest, np.float64(x1) - x0, np.float64(y1) - y0)
                # Sorted regions make the sums of overlapping ones the same bits whatever order they came in.
                place = kept
                while place > 0 and _before(boxes, b, i, order[place - 1]):
                    order[place] = order[place - 1]
                    place -= 1
                order[place] = i
                kept += 1
        for k in range(kept):
            i = order[k]
            x0, y0 = np.float64(boxes[b, i, 0]), np.float64(boxes[b, i, 1])
            x1, y1 = np.float64(boxes[b, i, 2]), np.float64(boxes[b, i, 3])
            d = max(x1 - x0, y1 - y0)
            scale = largest if p.whole_image else d
            r = regions[n]
            r.image = b
            grow = p.margin * d
            r.left, r.top, r.right, r.bottom = x0 - grow, y0 - grow, x1 + grow, y1 + grow
            r.feather = p.feather * scale
            r.ellipse = p.ellipse
            r.unit_x, r.unit_y = 1.0, 1.0
            r.x0, r.x1 = support(r.left, r.right, width, ALPHA_SUPPORT * r.feather)
            r.y0, r.y1 = support(r.top, r.bottom, height, ALPHA_SUPPORT * r.feather)
            if r.x0 >= r.x1 or r.y0 >= r.y1:
                continue
            if p.mode == MOSAIC:
                _plan_mosaic(r, p.blocks)
            elif p.mode == FILL:
                _plan_color(r, height, width)
            else:
                r.sigma = max(MIN_SIGMA, p.strength * scale)
                plan_axes(r, r.sigma, r.sigma)
            n += 1
    return n


@compiled
def support(low, high, size, distance):
    """Return the pixels whose centres are at most `distance` outside low..high, first and one past the last."""
    first = 0.0 if low <= 0 else max(0.0, ceil(low - distance - 0.5))
    last = np.float64(size) if high >= size else min(np.float64(size), floor(high + distance - 0.5) + 1)
    return np.int64(first), np.int64(last)


@compiled
def _before(boxes, b, i, j):
    for c in range(4):
        if boxes[b, i, c] != boxes[b, j, c]:
            return boxes[b, i, c] < boxes[b, j, c]
    return False


@compiled
def plan_axes(r, sigma_x, sigma_y):
    """Choose the grid of a region that is to be filtered with these deviations."""
    r.step_x, r.radius_x, r.sigma_x = _steps(sigma_x)
    r.step_y, r.radius_y, r.sigma_y = _steps(sigma_y)
    r.uses_spline = 1
    halo_x, halo_y = np.int64(r.step_x > 1), np.int64(r.step_y > 1)
    r.grid_x0, r.grid_y0 = r.x0 - halo_x * r.step_x, r.y0 - halo_y * r.step_y
    r.columns = (r.x1 - r.x0 + r.step_x - 1) // r.step_x + 2 * halo_x
    r.rows = (r.y1 - r.y0 + r.step_y - 1) // r.step_y + 2 * halo_y


@compiled
def _steps(sigma):
    """Return the step of the grid, the taps on each side of it and the deviation that is still missing, in cells."""
    step = max(np.int64(1), np.int64(sigma / SIGMA_PER_STEP))
    radius = max(np.int64(MIN_RADIUS), np.int64(ceil(TRUNCATE * sigma / step)))
    if step == 1:
        return step, radius, sigma
    # Averaging over `step` pixels and the spline (a variance of 1/4 cell) have done the rest.
    missing = sigma * sigma - (step * step - 1) / 12 - step * step / 4
    return step, radius, sqrt(missing) / step


@compiled
def _plan_mosaic(r, blocks):
    side = max(np.int64(MIN_BLOCK), np.int64(ceil(max(r.right - r.left, r.bottom - r.top) / blocks)))
    r.step_x, r.step_y, r.radius_x, r.radius_y, r.uses_spline = side, side, 0, 0, 0
    left, top = np.int64(floor(r.left)), np.int64(floor(r.top))
    r.grid_x0, r.grid_y0 = left + (r.x0 - left) // side * side, top + (r.y0 - top) // side * side
    r.columns = (r.x1 - r.grid_x0 + side - 1) // side
    r.rows = (r.y1 - r.grid_y0 + side - 1) // side


@compiled
def _plan_color(r, height, width):
    r.step_x, r.step_y, r.radius_x, r.radius_y, r.uses_spline = width, height, 0, 0, 0
    r.grid_x0, r.grid_y0, r.columns, r.rows = 0, 0, 1, 1


@compiled
def plan_bands(images, regions):
    """Find the groups of regions whose supports overlap, lay out their grids, and cut the groups into bands.

    Returns `order`, the bands, which speak of places in it, and the elements of scratch.
    """
    n = len(regions)
    scratch = 0
    most = 0  # the rows of a group are connected, so that its bands are no more than those of its regions apart
    for i in range(n):
        r = regions[i]
        r.group = i
        r.grid_offset = scratch
        scratch += images[r.image].planes * r.rows * r.columns * images[r.image].channels
        most += (r.y1 - r.y0 + BAND_ROWS - 1) // BAND_ROWS
        # Merge with every earlier group that it touches; a group's number is its first region.
        for j in range(i - 1, -1, -1):
            other = regions[j]
            if other.image != r.image:
                break
            if other.group != r.group and other.x0 < r.x1 and r.x0 < other.x1 and other.y0 < r.y1 and r.y0 < other.y1:
                low, high = min(other.group, r.group), max(other.group, r.group)
                for k in range(low, i + 1):
                    if regions[k].group == high:
                        regions[k].group = low
    order = np.empty(n, np.int64)
    for i in range(n):
        place = i
        while place > 0 and regions[order[place - 1]].group > regions[i].group:
            order[place] = order[place - 1]
            place -= 1
        order[place] = i
    bands = np.empty(most, BAND)
    count = 0
    first = 0
    while first < n:
        r = regions[order[first]]
        x0, y0, x1, y1 = r.x0, r.y0, r.x1, r.y1
        last = first + 1
        while last < n and regions[order[last]].group == r.group:
            other = regions[order[last]]
            x0, y0, x1, y1 = min(x0, other.x0), min(y0, other.y0), max(x1, other.x1), max(y1, other.y1)
            last += 1
        for y in range(y0, y1, BAND_ROWS):
            band = bands[count]
            band.image, band.first, band.last = r.image, first, last
            band.x0, band.y0, band.x1, band.y1 = x0, y, x1, min(y1, y + BAND_ROWS)
            count += 1
        first = last
    return order, bands[:count], scratch


@compiled
def mask_bounds(images, first, last, bounds, mask_like):
    """Find the rectangle x0, y0, x1, y1 outside of which each mask is 0; of no area for a mask that is 0 throughout."""
    for b in range(first, last):
        image = images[b]
        x0, y0, x1, y1 = image.width, image.height, 0, 0
        for y in range(image.height):
            row = row_at(image.mask, y * image.mask_row, image.width, mask_like)
            left = 0
            while left < image.width and row[left] == 0:
                left += 1
            if left == image.width:
                continue
            right = image.width
            while row[right - 1] == 0:
                right -= 1
            x0, x1 = min(x0, left), max(x1, right)
            y0, y1 = min(y0, y), y + 1
        bounds[b, 0], bounds[b, 1], bounds[b, 2], bounds[b, 3] = x0, y0, x1, y1

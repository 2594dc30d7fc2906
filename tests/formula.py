"""The operators written out in float64 with NumPy and SciPy, one image at a time: what the kernels are held against.

Nothing here comes from fastblur. Images are (C, H, W) float64 arrays in any scale, boxes (n, 4) xyxy pixels. Every
operator returns the exact result, neither rounded nor clamped, and the support as (H, W) bool.
"""

from math import ceil, floor, inf

import numpy as np
from scipy.special import ndtr

TRUNCATE = 6.0  # standard deviations
RECIPES = {
    "default": {"strength": 0.15, "margin": 0.15, "feather": 0.05, "shape": "box", "scope": "region"},
    "ilsvrc": {"strength": 0.1, "margin": 0.1, "feather": 0.1, "shape": "box", "scope": "image"},
}


def blur(image, boxes, *, strength, margin, feather, shape, scope):
    """Every region blended with the blurred image under its soft mask; overlaps averaged by the masks."""
    height, width = image.shape[1:]
    boxes = visible(boxes, height, width)
    longest = max((longer_side(box) for box in boxes), default=0.0)
    parts = []
    for box in boxes:
        d = longest if scope == "image" else longer_side(box)
        alpha = soft_mask(box, height, width, margin=margin, deviation=feather * d, shape=shape)
        sigma = max(0.5, strength * d)
        parts.append((alpha, lambda rows, columns, s=sigma: gaussian(image, s, s, "edge", rows, columns)))
    return blend(image, parts)


def pixelate(image, boxes, *, blocks, margin, shape):
    """Every region replaced by the mosaic of its blocks' means; overlaps averaged."""
    height, width = image.shape[1:]
    parts = []
    for box in visible(boxes, height, width):
        alpha = soft_mask(box, height, width, margin=margin, deviation=0.0, shape=shape)
        parts.append((alpha, lambda rows, columns, b=box: mosaic(image, b, blocks, margin)[:, rows, columns]))
    return blend(image, parts)


def fill(image, boxes, *, color, margin, feather, shape):
    """Every region painted over under its soft mask."""
    height, width = image.shape[1:]
    paint = np.broadcast_to(np.reshape(np.asarray(color, np.float64), (-1, 1, 1)), (image.shape[0], 1, 1))
    parts = []
    for box in visible(boxes, height, width):
        deviation = feather * longer_side(box)
        alpha = soft_mask(box, height, width, margin=margin, deviation=deviation, shape=shape)
        parts.append((alpha, lambda rows, columns: paint))
    return blend(image, parts)


def masked_blur(image, mask, sigma_y, sigma_x, mode):
    """The image blended with the blurred one under `mask`, (H, W); `mode` is np.pad's name of the border."""
    everywhere = slice(0, image.shape[1]), slice(0, image.shape[2])
    blurred = gaussian(image, sigma_y, sigma_x, mode, *everywhere)
    return image + mask * (blurred - image), mask > 0


def blend(image, parts):
    """A = min(1, sum alpha), b = sum alpha_i b_i / sum alpha_i, result = I + A (b - I), over pairs (alpha_i, b_i).

    b_i is a function of the rows and columns where it is wanted, so that only the bounds of alpha_i are computed.
    """
    total = np.zeros(image.shape[1:])
    weighted = np.zeros_like(image)
    for alpha, hidden in parts:
        if alpha.any():
            rows, columns = bounds(alpha)
            total += alpha
            weighted[:, rows, columns] += alpha[rows, columns] * hidden(rows, columns)
    support = total > 0
    mean = weighted / np.where(support, total, 1)
    return np.where(support, image + np.minimum(total, 1) * (mean - image), image), support


def visible(boxes, height, width):
    """The regions that are not degenerate: of some area, and not wholly outside the image."""
    rows = [tuple(float(v) for v in box) for box in np.asarray(boxes, np.float64).reshape(-1, 4)]
    return [
        (x0, y0, x1, y1)
        for x0, y0, x1, y1 in rows
        if x1 > x0 and y1 > y0 and x1 > 0 and x0 < width and y1 > 0 and y0 < height
    ]


def longer_side(box):
    x0, y0, x1, y1 = box
    return max(x1 - x0, y1 - y0)


def grown(box, margin):
    x0, y0, x1, y1 = box
    m = margin * longer_side(box)
    return x0 - m, y0 - m, x1 + m, y1 + m


def soft_mask(box, height, width, *, margin, deviation, shape):
    """The mask of one region, alpha, (H, W)."""
    x0, y0, x1, y1 = grown(box, margin)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    if shape == "box":
        x0, x1 = (-inf if x0 <= 0 else x0), (inf if x1 >= width else x1)
        y0, y1 = (-inf if y0 <= 0 else y0), (inf if y1 >= height else y1)
        return soft_interval(y, y0, y1, deviation)[:, None] * soft_interval(x, x0, x1, deviation)
    a, b = (x1 - x0) / 2, (y1 - y0) / 2
    u, v = np.meshgrid((x - (x0 + x1) / 2) / a, (y - (y0 + y1) / 2) / b)
    k0, k1 = np.hypot(u, v), np.hypot(u / a, v / b)
    distance = np.where(k1 > 0, k0 * (k0 - 1) / np.where(k1 > 0, k1, 1), -min(a, b))
    # To first order, points far along a thin ellipse seem near: the support ends where R_i and three deviations do.
    near = within(y, y0, y1, 3 * deviation)[:, None] & within(x, x0, x1, 3 * deviation) & (distance <= 3 * deviation)
    return near * (ndtr(-distance / deviation) if deviation > 0 else 1.0)


def soft_interval(t, low, high, deviation):
    """The closed interval filtered with a Gaussian, cut to 0 further than three deviations outside."""
    inside = within(t, low, high, 3 * deviation)
    if deviation == 0:
        return inside.astype(np.float64)
    return inside * (ndtr((high - t) / deviation) - ndtr((low - t) / deviation))


def within(t, low, high, reach):
    return (t >= low - reach) & (t <= high + reach)


def gaussian(image, sigma_y, sigma_x, mode, rows, columns):
    """The image filtered with a Gaussian, at `rows` and `columns` only."""
    down = gaussian_matrix(image.shape[1], sigma_y, mode, rows)
    across = gaussian_matrix(image.shape[2], sigma_x, mode, columns)
    near_rows, near_columns = bounds(down.any(0)[:, None] & across.any(0))  # what the filter meets at all
    image, down, across = image[:, near_rows, near_columns], down[:, near_rows], across[:, near_columns]
    # Not as `down @ image @ across.T`: that wakes BLAS threads, which wait for each other where the machine is busy.
    return np.einsum("cyw,xw->cyx", np.einsum("yh,chw->cyw", down, image), across)


def gaussian_matrix(size, sigma, mode, wanted):
    """The rows `wanted` of the (size, size) matrix that filters a line with a Gaussian sampled at whole pixels.

    Where the filter reaches over the border, `mode` (np.pad's name) says which pixel of the line it meets there.
    """
    radius = int(TRUNCATE * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    line = np.arange(1, size + 1)  # 0 is left for "constant", which meets nothing
    source = np.pad(line, radius, mode=mode)
    matrix = np.zeros((wanted.stop - wanted.start, size + 1))
    for row, centre in enumerate(range(wanted.start, wanted.stop)):
        matrix[row] = np.bincount(source[centre : centre + 2 * radius + 1], weights, size + 1)
    return matrix[:, 1:]


def mosaic(image, box, blocks, margin):
    """The mosaic of one region, over the whole image: blocks anchored at the grown box's upper left pixel."""
    height, width = image.shape[1:]
    x0, y0, _, _ = grown(box, margin)
    side = block_side(box, blocks, margin)
    across = (np.arange(width) - floor(x0)) // side
    down = (np.arange(height) - floor(y0)) // side
    result = np.empty_like(image)
    for j in np.unique(down):
        for i in np.unique(across):
            block = np.ix_(np.arange(len(image)), down == j, across == i)
            result[block] = image[block].mean(axis=(1, 2), keepdims=True)
    return result


def block_side(box, blocks, margin):
    return max(2, ceil(longer_side(box) * (1 + 2 * margin) / blocks))


def bounds(mask):
    """The rows and columns, as two slices, outside which `mask` is 0."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def rounded(result, dtype):
    """The result as an image of `dtype` ("uint8" rounds half up and clamps)."""
    if dtype == "uint8":
        return np.clip(np.floor(result + 0.5), 0, 255)
    return result


def between(operator, image, boxes, *, margin, slack=1e-4, **parameters):
    """The operator with every region `slack` pixels smaller, as it is, and larger: (low, high, support of the largest).

    Hard edges and cuts make the formula jump. Where a pixel's centre lies on one, float rounding decides, and both
    sides are right; elsewhere low and high are the same but for the slope of the soft edge.
    """
    results = []
    for step in (-slack, 0.0, slack):
        # The margin is relative to each region's own longer side, so the boxes are grown and not the margin.
        rows = [grow_by(box, step) for box in visible(boxes, *image.shape[1:])]
        results.append(operator(image, rows, margin=margin, **parameters))
    values = np.stack([value for value, _ in results])
    return values.min(0), values.max(0), results[-1][1] | results[1][1]


def grow_by(box, step):
    x0, y0, x1, y1 = box
    return x0 - step, y0 - step, x1 + step, y1 + step

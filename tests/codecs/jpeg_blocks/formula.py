"""The operators in float64 on one plane of a JPEG, whose samples are some pixels of the picture wide and high."""

from math import inf

import numpy as np
from scipy.special import ndtr

from tests import formula


def hidden(plane, unit, size, boxes, method, level, recipe=None, blocks=8, margin=0.1, feather=0.0, shape="box"):
    """The plane with boxes of the picture hidden, and the support.

    plane: (h, w) float64; unit: (x, y) pixels of a sample; size: (height, width) of the picture; method: "blur",
    "pixelate" or "fill"; recipe: the arguments of `formula.blur`.
    """
    if method == "blur":
        margin, feather, shape = recipe["margin"], recipe["feather"], recipe["shape"]
    boxes = formula.visible(boxes, *size)
    longest = max((formula.longer_side(box) for box in boxes), default=0.0)
    parts = []
    for box in boxes:
        d = longest if method == "blur" and recipe["scope"] == "image" else formula.longer_side(box)
        alpha = mask(plane.shape, unit, size, box, margin, feather * d, shape)
        if method == "blur":
            sigma = max(0.5, recipe["strength"] * d)
            part = blurred(plane, sigma / unit[1], sigma / unit[0])
        elif method == "pixelate":
            part = mosaic(plane, unit, box, blocks, margin)
        else:
            part = np.full_like(plane, level)
        parts.append((alpha, lambda rows, columns, part=part: part[None, rows, columns]))
    result, support = formula.blend(plane[None], parts)
    return result[0], support


def mask(shape_of_plane, unit, size, box, margin, deviation, shape):
    """Alpha of the formula at the centres of the samples."""
    x, y = ((np.arange(n) + 0.5) * u for n, u in zip(shape_of_plane[::-1], unit, strict=True))
    x0, y0, x1, y1 = formula.grown(box, margin)
    if shape == "box":
        x0, x1 = (-inf if x0 <= 0 else x0), (inf if x1 >= size[1] else x1)
        y0, y1 = (-inf if y0 <= 0 else y0), (inf if y1 >= size[0] else y1)
        across, down = formula.soft_interval(x, x0, x1, deviation), formula.soft_interval(y, y0, y1, deviation)
        return down[:, None] * across
    a, b = (x1 - x0) / 2, (y1 - y0) / 2
    u, v = np.meshgrid((x - (x0 + x1) / 2) / a, (y - (y0 + y1) / 2) / b)
    k0, k1 = np.hypot(u, v), np.hypot(u / a, v / b)
    distance = np.where(k1 > 0, k0 * (k0 - 1) / np.where(k1 > 0, k1, 1), -min(a, b))
    reach = 3 * deviation
    near = formula.within(y, y0, y1, reach)[:, None] & formula.within(x, x0, x1, reach) & (distance <= reach)
    return near * (ndtr(-distance / deviation) if deviation > 0 else 1.0)


def blurred(plane, sigma_y, sigma_x):
    return formula.gaussian(plane[None], sigma_y, sigma_x, "edge", slice(0, plane.shape[0]), slice(0, plane.shape[1]))[
        0
    ]


def mosaic(plane, unit, box, blocks, margin):
    """The mosaic of the plane with every sample repeated to whole pixels, seen at the samples' centres."""
    wide = np.repeat(np.repeat(plane, unit[1], 0), unit[0], 1)
    return formula.mosaic(wide[None], box, blocks, margin)[0, unit[1] // 2 :: unit[1], unit[0] // 2 :: unit[0]]

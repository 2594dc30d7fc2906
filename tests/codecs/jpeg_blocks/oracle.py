"""What must not change in a file, by the formula's own support, and what of it did: coefficients and pixels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.codecs.jpeg_blocks import formula
from tests.codecs.jpeg_blocks.files import LEVELS, coefficients, frame, planes, strictly_decoded
from tests.formula import RECIPES

RECIPE = {
    "default": RECIPES["default"],
    "ilsvrc": RECIPES["ilsvrc"],
    "ellipse": RECIPES["default"] | {"shape": "ellipse"},
}
ARGUMENTS = {
    "pixelate": {"blocks": 8, "margin": 0.1, "shape": "box"},
    "pixelate ellipse": {"blocks": 5, "margin": 0.1, "shape": "ellipse"},
    "fill": {"margin": 0.1, "feather": 0.0, "shape": "box"},
    "fill ellipse": {"margin": 0.1, "feather": 0.05, "shape": "ellipse"},
}


def units(data):
    factors = frame(data)
    most = max(c[1] for c in factors), max(c[2] for c in factors)
    return [(most[0] // c[1], most[1] // c[2]) for c in factors]


def expected(data, size, boxes, method, folder):
    """Each component's samples with the boxes hidden in float64, (plane, support), without what pads it."""
    adobe = data[data.index(b"Adobe") + 11] if b"Adobe" in data else None
    levels = component_levels(len(frame(data)), adobe)
    for plane, unit, level in zip(planes(data, folder), units(data), levels, strict=True):
        inside = plane[: -(-size[0] // unit[1]), : -(-size[1] // unit[0])]
        if method in RECIPE:
            yield formula.hidden(inside, unit, size, boxes, "blur", None, RECIPE[method])
        else:
            yield formula.hidden(inside, unit, size, boxes, method.split()[0], level, **ARGUMENTS[method])


def component_levels(components, adobe):
    def ycc(r, g, b):
        matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
        return matrix @ [r, g, b] + [0, 128, 128]

    if components == 1:
        return LEVELS["L"]
    if components == 3:
        return LEVELS["RGB"] if adobe == 0 else ycc(*LEVELS["RGB"])
    if adobe == 2:
        return [*ycc(*LEVELS["CMYK"][:3]), 255 - LEVELS["CMYK"][3]]
    return 255 - np.array(LEVELS["CMYK"])


def touched(support, blocks):
    """Which blocks of a component a support reaches, (rows, columns)."""
    rows, columns = blocks
    padded = np.zeros((8 * rows, 8 * columns), bool)
    padded[: support.shape[0], : support.shape[1]] = support
    return padded.reshape(rows, 8, columns, 8).any((1, 3))


def changed_mcus(masks, factors):
    """Which MCUs have a touched block."""
    shape = [max(-(-m.shape[axis] // f[2 - axis]) for m, f in zip(masks, factors, strict=True)) for axis in (0, 1)]
    found = np.zeros(shape, bool)
    for mask, (_, h, v, _) in zip(masks, factors, strict=True):
        for y, x in np.argwhere(mask):
            found[y // v, x // h] = True
    return found


class Kept(NamedTuple):
    """What a rewritten file has of its source.

    Attributes:
        blocks, blocks_that_differ: blocks that must not change, and those of them that did.
        pixels, pixels_that_differ: decoded, further from changed MCUs than decoders interpolate chroma: 0 pixels in
            4:4:4, 1 in other samplings; and those of them that differ.
        changed: blocks that differ at all.
    """

    blocks: int
    blocks_that_differ: int
    pixels: int
    pixels_that_differ: int
    changed: int


def kept(data: bytes, out: bytes, size, boxes, method: str, folder: Path) -> Kept:
    """Compare a file with what became of it.

    A block may change where a support reaches it, and in a changed MCU also where it holds what pads the border.
    """
    before, after = coefficients(data, folder), coefficients(out, folder)
    factors = frame(data) if len(before) > 1 else [(1, 1, 1, 0)]
    supports = [support for _, support in expected(data, size, boxes, method, folder)]
    masks = [touched(s, b.shape[:2]) for s, b in zip(supports, before, strict=True)]
    mcus = changed_mcus(masks, factors)
    fixed = wrong = changed = 0
    for old, new, mask, support, (_, h, v, _) in zip(before, after, masks, supports, factors, strict=True):
        assert old.shape == new.shape
        differs = (old != new).any((2, 3))
        may = mask.copy()
        for y, x in np.argwhere(mcus[np.arange(old.shape[0])[:, None] // v, np.arange(old.shape[1]) // h]):
            may[y, x] |= 8 * y + 8 > support.shape[0] or 8 * x + 8 > support.shape[1]
        fixed += int((~may).sum())
        wrong += int((differs & ~may).sum())
        changed += int(differs.sum())
    far = far_from(mcus, factors, size)
    pixels = (strictly_decoded(data) != strictly_decoded(out)).reshape(*size, -1).any(2)
    return Kept(fixed, wrong, int(far.sum()), int((pixels & far).sum()), changed)


def far_from(mcus, factors, size):
    """The pixels, (height, width) bool, that no decoder takes from changed MCUs."""
    h, v = max(f[1] for f in factors), max(f[2] for f in factors)
    near = np.repeat(np.repeat(mcus, 8 * v, 0), 8 * h, 1)
    if any(f[1:3] != (h, v) for f in factors):
        padded = np.pad(near, 1)
        rows, columns = near.shape
        near = np.any([padded[y : y + rows, x : x + columns] for y in range(3) for x in range(3)], axis=0)
    return ~near[: size[0], : size[1]]

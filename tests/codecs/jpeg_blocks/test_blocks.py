"""What changes in a file and what does not: coefficients as libjpeg reads them, before and after."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.jpeg_blocks import formula
from tests.codecs.jpeg_blocks.files import (
    LEVELS,
    METHODS,
    SAMPLINGS,
    coefficients,
    frame,
    jpeg,
    kinds,
    planes,
    rewritten,
    strictly_decoded,
)
from tests.formula import RECIPES

KINDS = dict(kinds())
BOXES = [[20, 10, 45, 38], [60, 40, 90, 70]]
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


def check_blocks(data, out, size, boxes, method, folder):
    """Every block that no support touches is the same, but for those that hold padding in changed MCUs."""
    before, after = coefficients(data, folder), coefficients(out, folder)
    factors = frame(data) if len(before) > 1 else [(1, 1, 1, 0)]
    supports = [support for _, support in expected(data, size, boxes, method, folder)]
    masks = [touched(s, b.shape[:2]) for s, b in zip(supports, before, strict=True)]
    mcus = changed_mcus(masks, factors)
    for old, new, mask, support, (_, h, v, _) in zip(before, after, masks, supports, factors, strict=True):
        assert old.shape == new.shape
        differs = (old != new).any((2, 3))
        may = mask.copy()
        for y, x in np.argwhere(mcus[np.arange(old.shape[0])[:, None] // v, np.arange(old.shape[1]) // h]):
            may[y, x] |= 8 * y + 8 > support.shape[0] or 8 * x + 8 > support.shape[1]
        assert not (differs & ~may).any()
    assert any((old != new).any() for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_that_are_not_touched_keep_every_coefficient(kind, tmp_path):
    data = jpeg(**KINDS[kind])
    for method in METHODS:
        out = rewritten(data, BOXES, method).data
        strictly_decoded(out)
        check_blocks(data, out, (61, 83), BOXES, method, tmp_path)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["L", "RGB", "CMYK", "YCCK", *SAMPLINGS])
def test_the_samples_are_those_of_the_formula(kind, method, tmp_path):
    """With tables of ones what quantisation does is small, and the kernels' own tolerance counts."""
    colors, sampling = ("YCbCr", kind) if kind in SAMPLINGS else (kind, "420" if kind == "YCCK" else "444")
    size, boxes = (117, 141), [[20, 30, 66, 81], [50, 50, 83, 97], [110.5, 90.2, 150, 130]]
    data = jpeg(colors, sampling, *size, quality=100)
    out = rewritten(data, boxes, method).data
    for found, (exact, support) in zip(
        planes(out, tmp_path), expected(data, size, boxes, method, tmp_path), strict=True
    ):
        error = np.abs(found[: support.shape[0], : support.shape[1]] - exact)[support]
        assert support.any()
        assert error.max() < 3.5
        assert error.mean() < 0.5


@given(
    sampling=st.sampled_from(["444", "422", "420", "440", "411"]),
    method=st.sampled_from(sorted(METHODS)),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    quality=st.sampled_from([5, 40, 75, 95, 100]),
    corners=st.lists(
        st.tuples(*[st.floats(-60, 120, width=32)] * 2, *[st.floats(0.0625, 80, width=32)] * 2), min_size=1, max_size=4
    ),
    seed=st.integers(0, 5),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_size_and_boxes(sampling, method, size, quality, corners, seed, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    boxes = [[x, y, x + w, y + h] for x, y, w, h in corners]
    data = jpeg("YCbCr", sampling, *size, quality=quality, seed=seed)
    result = rewritten(data, boxes, method)
    strictly_decoded(result.data)
    before, after = coefficients(data, folder), coefficients(result.data, folder)
    assert sum(int((a != b).any((2, 3)).sum()) for a, b in zip(before, after, strict=True)) <= result.blocks_changed

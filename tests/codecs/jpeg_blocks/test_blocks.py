"""What changes in a file and what does not: coefficients as libjpeg reads them, before and after."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codecs.jpeg_blocks.files import (
    METHODS,
    SAMPLINGS,
    coefficients,
    jpeg,
    kinds,
    planes,
    rewritten,
    strictly_decoded,
)
from tests.codecs.jpeg_blocks.oracle import expected, kept

KINDS = dict(kinds())
BOXES = [[20, 10, 45, 38], [60, 40, 90, 70]]


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_that_are_not_touched_keep_every_coefficient(kind, tmp_path):
    data = jpeg(**KINDS[kind])
    for method in METHODS:
        out = rewritten(data, BOXES, method).data
        strictly_decoded(out)
        found = kept(data, out, (61, 83), BOXES, method, tmp_path)
        assert (found.blocks_that_differ, found.pixels_that_differ) == (0, 0)
        assert min(found.blocks, found.pixels, found.changed) > 0


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

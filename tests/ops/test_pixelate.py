"""pixelate against the formula in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fastblur
from tests import formula
from tests.kernels.backends import BACKENDS, DTYPES, assert_agrees, tolerance
from tests.kernels.cases import SIZES, STABLE, boxes, noise
from tests.ops.test_blur import PLACES

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def check(backend, image, rows, parameters):
    rows = np.asarray(rows, np.float32).reshape(-1, 4)
    result = fastblur.pixelate(image, rows, backend=backend, **parameters)
    low, high, support = formula.between(formula.pixelate, image.double().numpy(), rows, **parameters)
    assert_agrees(result, image, low, high, support, tolerance(backend, image.dtype, approximate=False))


@pytest.mark.parametrize("shape", ["box", "ellipse"])
@pytest.mark.parametrize("place", PLACES)
def test_agrees_with_the_formula(backend, place, shape):
    check(backend, noise(48, 56), PLACES[place], {"blocks": 8, "margin": 0.1, "shape": shape})


@given(
    data=st.data(),
    size=SIZES,
    blocks=st.sampled_from([1, 2, 3, 8, 50]),
    margin=st.sampled_from([0.0, 0.1, 0.5]),
    shape=st.sampled_from(["box", "ellipse"]),
    dtype=st.sampled_from(DTYPES),
    channels=st.integers(1, 5),
)
@pytest.mark.slow
@STABLE
def test_property_agrees_with_the_formula(backend, data, size, blocks, margin, shape, dtype, channels):
    rows = data.draw(boxes(*size))
    image = noise(*size, channels, dtype, seed=data.draw(st.integers(0, 99)))
    check(backend, image, rows, {"blocks": blocks, "margin": margin, "shape": shape})


def test_blocks_by_hand(backend):
    image = torch.arange(6 * 9, dtype=torch.uint8).reshape(1, 6, 9)
    result = fastblur.pixelate(image, [[1, 1, 7, 5]], blocks=2, margin=0.0, backend=backend)
    # Blocks of 3 px from (1, 1) on: the means of 9 pixels above, and of the 2 rows to the image's end below.
    expected = image.clone()
    expected[0, 1:4, 1:4], expected[0, 1:4, 4:7] = 20, 23
    expected[0, 4:5, 1:4], expected[0, 4:5, 4:7] = 43, 46  # means 42.5 and 45.5, rounded half up
    assert torch.equal(result, expected)


def test_a_side_that_divides_is_not_made_larger(backend):
    """20 px with a margin of 2 on each side are 24 px: eight blocks of 3 and no pixel more."""
    image = noise(40, 40, dtype=torch.float32)
    result = fastblur.pixelate(image, [[10, 10, 30, 30]], blocks=8, margin=0.1, backend=backend)
    means = image[:, 8:32, 8:32].reshape(3, 8, 3, 8, 3).mean((2, 4))
    torch.testing.assert_close(result[:, 8:32, 8:32], means.repeat_interleave(3, 1).repeat_interleave(3, 2))


def test_the_face_is_hidden_whatever_its_size(backend):
    image = noise(60, 60)
    for side in (1, 2, 3, 5, 17, 33):
        result = fastblur.pixelate(image, [[20, 20, 20 + side, 20 + side]], backend=backend)
        inside = (result == image).all(0)[20 : 20 + side, 20 : 20 + side]
        assert not inside.any(), f"pixels of a face of {side} px are left as they were"


def test_huge_regions_give_the_mean(backend):
    image = noise(20, 30, dtype=torch.float32)
    for far in (1e3, 1e6, 2.0**24):
        result = fastblur.pixelate(image, [[-far, -far, far, far]], margin=0.0, blocks=1, backend=backend)
        torch.testing.assert_close(result, image.mean((1, 2), keepdim=True).expand_as(image))

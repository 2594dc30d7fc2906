"""fill against the formula in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fastblur
from tests import formula
from tests.kernels.backends import BACKENDS, DTYPES, assert_agrees, tolerance
from tests.kernels.cases import SIZES, STABLE, boxes, noise
from tests.ops.test_blur import PLACES, in_the_box

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def check(backend, image, rows, parameters):
    rows = np.asarray(rows, np.float32).reshape(-1, 4)
    result = fastblur.fill(image, rows, backend=backend, **parameters)
    parameters = {**parameters, "color": np.asarray(parameters["color"], np.float32)}
    low, high, support = formula.between(formula.fill, image.double().numpy(), rows, **parameters)
    assert_agrees(result, image, low, high, support, tolerance(backend, image.dtype, approximate=False))


@pytest.mark.parametrize("feather", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("shape", ["box", "ellipse"])
@pytest.mark.parametrize("place", PLACES)
def test_agrees_with_the_formula(backend, place, shape, feather):
    check(backend, noise(48, 56), PLACES[place], {"color": 40, "margin": 0.1, "shape": shape, "feather": feather})


@given(
    data=st.data(),
    size=SIZES,
    margin=st.sampled_from([0.0, 0.1, 0.5]),
    feather=st.sampled_from([0.0, 0.05, 0.2]),
    shape=st.sampled_from(["box", "ellipse"]),
    dtype=st.sampled_from(DTYPES),
    channels=st.integers(1, 5),
)
@pytest.mark.slow
@STABLE
def test_property_agrees_with_the_formula(backend, data, size, margin, feather, shape, dtype, channels):
    rows = data.draw(boxes(*size))
    image = noise(*size, channels, dtype, seed=data.draw(st.integers(0, 99)))
    top = 255 if dtype == torch.uint8 else 1
    color = [top * v for v in data.draw(st.lists(st.sampled_from([0, 0.3, 1]), min_size=channels, max_size=channels))]
    color = data.draw(st.sampled_from([color, color[0]]))
    check(backend, image, rows, {"color": color, "margin": margin, "feather": feather, "shape": shape})


def test_paints_one_color_a_channel(backend):
    image = noise(20, 20)
    result = fastblur.fill(image, [[5, 5, 10, 12]], color=[255, 0, 128], margin=0.0, backend=backend)
    for channel, level in zip(result, (255, 0, 128), strict=True):
        assert (channel[5:12, 5:10] == level).all()
    result[:, 5:12, 5:10] = image[:, 5:12, 5:10]
    assert torch.equal(result, image)


def test_the_hard_box_is_closed(backend):
    """Pixels whose centres lie on the edge belong to it."""
    white = fastblur.fill(torch.zeros(1, 12, 12), [[2.5, 3.5, 6.5, 7.5]], color=1, margin=0.0, backend=backend)
    expected = torch.zeros(1, 12, 12)
    expected[0, 3:8, 2:7] = 1
    assert torch.equal(white, expected)


@pytest.mark.parametrize("box", [[40.2, 30.1, 95.7, 101.9], [0, 0, 31, 44.4], [60, 50, 72, 60.5], [-5, 70, 21.5, 130]])
def test_alpha_over_the_box_at_the_default_recipes_margin(backend, box):
    """On black, white paint is alpha itself: that of the "default" recipe is >= 0.99 over the box."""
    black = torch.zeros(1, 120, 110)
    alpha = fastblur.fill(black, [box], color=1, margin=0.15, feather=0.05, backend=backend)[0].numpy()
    assert alpha[in_the_box(box, 120, 110)].min() >= 0.99
    rows = formula.soft_mask(box, 120, 110, margin=0.15, deviation=0.05 * formula.longer_side(box), shape="box")
    np.testing.assert_allclose(alpha, rows, atol=1e-5)


def test_huge_regions_paint_everything(backend):
    for far in (1e3, 1e6, 2.0**24):
        result = fastblur.fill(noise(20, 30), [[-far, -far, far, far]], color=7, backend=backend)
        assert torch.equal(result, torch.full_like(result, 7))

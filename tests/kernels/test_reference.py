"""The reference: its gradients, and float64 images, in which it is the formula to many digits."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

import fastblur
from tests import formula
from tests.kernels.backends import assert_agrees, tolerance
from tests.kernels.cases import noise

ROWS = [[1.3, 0.8, 4.9, 4.2], [3.0, 2.0, 9.0, 7.5], [2, 2, 3, 3]]
OPERATORS = {
    "blur": fastblur.blur,
    "blur ilsvrc": partial(fastblur.blur, recipe="ilsvrc"),
    "blur ellipse": partial(fastblur.blur, shape="ellipse", feather=0.2),
    "blur hard": partial(fastblur.blur, feather=0.0),
    "pixelate": partial(fastblur.pixelate, blocks=2),
    "fill": partial(fastblur.fill, color=0.3, feather=0.1),
}
over_operators = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())


@pytest.mark.slow
@over_operators
def test_gradients(operator):
    images = noise(6, 7, 1, torch.float64)[None].requires_grad_()
    assert gradcheck(lambda x: operator(x, [ROWS]), images, fast_mode=False)
    assert gradcheck(lambda x: operator([x[0], x[0, :, :4]], [ROWS, ROWS])[1], images)
    assert gradcheck(lambda x: operator(x[0].permute(0, 2, 1), ROWS), images)


@pytest.mark.slow
@pytest.mark.parametrize("border_type", ["replicate", "reflect", "constant", "circular"])
def test_gradients_of_masked_blur2d(border_type):
    images = noise(6, 7, 2, torch.float64)[None].requires_grad_()
    mask = noise(6, 7, 1, torch.float64, seed=1)[None].requires_grad_()
    assert gradcheck(lambda x, m: fastblur.masked_blur2d(x, m, [0.8], border_type=border_type), (images, mask))


@over_operators
def test_images_that_require_a_gradient_go_to_the_reference(operator):
    images = noise(20, 22, 3, torch.float32)[None].requires_grad_()
    result = operator(images, [ROWS])
    assert result.requires_grad
    assert torch.equal(result, operator(images, [ROWS], backend="reference"))
    result.sum().backward()
    assert images.grad is not None
    # Pixels outside the support and outside the filters' reach pass their gradient unchanged.
    assert torch.equal(images.grad[..., 19, 21], torch.ones(1, 3))
    with torch.no_grad():
        assert torch.equal(operator(images, [ROWS]), operator(images.detach(), [ROWS], backend="cpu"))


def test_a_mask_that_requires_a_gradient_goes_to_the_reference():
    images, mask = noise(20, 22, 3, torch.float32)[None], torch.full((1, 1, 20, 22), 0.5, requires_grad=True)
    result = fastblur.masked_blur2d(images, mask, 2.0)
    result.sum().backward()
    blurred = formula.gaussian(images[0].double().numpy(), 2.0, 2.0, "edge", slice(0, 20), slice(0, 22))
    expected = (blurred - images[0].double().numpy()).sum(0)
    np.testing.assert_allclose(mask.grad[0, 0].numpy(), expected, atol=1e-5)


@over_operators
def test_float64_goes_to_the_reference(operator):
    images = noise(20, 22, 3, torch.float64)[None]
    result = operator(images, [ROWS])
    assert result.dtype == torch.float64
    assert torch.equal(result, operator(images, [ROWS], backend="reference"))


@pytest.mark.parametrize("recipe", formula.RECIPES)
def test_float64_is_the_formula(recipe):
    image = noise(60, 70, 3, torch.float64)
    rows = np.array([[10.5, 12.3, 30.1, 40.8], [25, 20, 69, 55], [-4, -6, 8, 10]], np.float32)
    expected, support = formula.blur(image.numpy(), rows, **formula.RECIPES[recipe])
    result = fastblur.blur(image, rows, recipe)
    assert_agrees(result, image, expected, expected, support, tolerance("reference", torch.float64))

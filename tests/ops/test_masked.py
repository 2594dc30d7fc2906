"""masked_blur2d and its module twin against the formula in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.filters import gaussian_blur2d

import fastblur
from tests import formula
from tests.kernels.backends import BACKENDS, DTYPES, assert_agrees, tolerance
from tests.kernels.cases import SIZES, STABLE, noise, piece

pytestmark = pytest.mark.parametrize("backend", BACKENDS)

BORDERS = {"replicate": "edge", "reflect": "reflect", "constant": "constant", "circular": "wrap"}  # ours: np.pad's


def check(backend, images, masks, sigmas, border_type, *, argument=None, noisy=False):
    """Blur a batch and hold every image against the formula; `sigmas` are (B, 2) as (y, x)."""
    argument = sigmas if argument is None else argument
    results = fastblur.masked_blur2d(images, masks, argument, border_type=border_type, backend=backend)
    assert len(results) == len(images)
    for image, mask, (sy, sx), result in zip(images, masks, np.asarray(sigmas, np.float32), results, strict=True):
        values, weight = image.double().numpy(), mask[0].double().numpy()
        expected, support = formula.masked_blur(values, weight, float(sy), float(sx), BORDERS[border_type])
        limit = tolerance(backend, image.dtype, noise=noisy)
        assert_agrees(result, image, expected, expected, support, limit)


@pytest.mark.parametrize("border_type", BORDERS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mask_dtype", [torch.bool, torch.float32, torch.float16, torch.float64])
def test_agrees_with_the_formula(backend, mask_dtype, dtype, border_type, astronaut):
    images = torch.stack([piece(astronaut, 40, 52, dtype=dtype, seed=i) for i in range(3)])
    masks = torch.stack([soft_disc(40, 52, i) for i in range(3)]).to(mask_dtype)
    check(backend, images, masks, [[1.3, 1.3], [3.0, 0.6], [4.5, 9.0]], border_type)


def soft_disc(height, width, seed):
    """A mask that is 1 in a disc, falls to 0 around it, and has one lone pixel, (1, H, W) float32."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = (1.5 - torch.hypot(y - 4.0 - 9 * seed, x - 45.0 + 17 * seed) / 12).clamp(0, 1)
    disc[height - 1, width - 1] = 1
    return disc[None]


@given(
    data=st.data(),
    size=SIZES,
    border_type=st.sampled_from(list(BORDERS)),
    dtype=st.sampled_from(DTYPES),
    channels=st.integers(1, 5),
    sigma=st.tuples(*[st.sampled_from([0.2, 0.5, 1.0, 2.2, 5.0, 13.0])] * 2),
)
@pytest.mark.slow
@STABLE
def test_property_agrees_with_the_formula(backend, astronaut, data, size, border_type, dtype, channels, sigma):
    if border_type == "reflect":
        size = max(2, size[0]), max(2, size[1])
    image = piece(astronaut, *size, channels, dtype, seed=data.draw(st.integers(0, 99)))
    mask = noise(*size, 1, torch.float32, seed=data.draw(st.integers(0, 99)))
    mask = data.draw(st.sampled_from([mask, mask > 0.5, mask > 0.98, mask > 2, (mask - 0.9).clamp(min=0) * 10]))
    check(backend, image[None], mask[None], [sigma], border_type)


@pytest.mark.parametrize("border_type", BORDERS)
def test_the_filter_may_reach_far_beyond_the_image(backend, border_type):
    images = noise(5, 7, dtype=torch.float32)[None]
    check(backend, images, torch.ones(1, 1, 5, 7), [[8.0, 11.0]], border_type, noisy=True)


def test_sigma_is_one_number_or_one_an_image_or_two(backend, astronaut):
    images = torch.stack([piece(astronaut, 30, 33, seed=i) for i in range(2)])
    masks = torch.ones(2, 1, 30, 33)
    check(backend, images, masks, [[2, 2], [2, 2]], "replicate", argument=2)
    check(backend, images, masks, [[2, 2], [3, 3]], "replicate", argument=torch.tensor([2.0, 3.0]))
    check(backend, images, masks, [[2, 2], [3, 3]], "replicate", argument=[2.0, 3.0])
    check(backend, images, masks, [[2, 1], [3, 4]], "replicate", argument=torch.tensor([[2.0, 1.0], [3.0, 4.0]]))


def test_a_mask_of_nothing_changes_nothing(backend):
    images = noise(20, 20)[None]
    assert torch.equal(fastblur.masked_blur2d(images, torch.zeros(1, 1, 20, 20), 3.0, backend=backend), images)


def test_images_of_different_sizes_and_single_ones(backend, astronaut):
    images = [piece(astronaut, 30, 33, seed=0), piece(astronaut, 12, 50, seed=1), piece(astronaut, 1, 1, seed=2)]
    masks = [noise(*image.shape[1:], 1, torch.float32) for image in images]
    check(backend, images, masks, [[2, 2], [1, 5], [3, 3]], "replicate")
    for image, mask in zip(images, masks, strict=True):
        batched = fastblur.masked_blur2d(image[None], mask[None], 2.0, backend=backend)[0]
        assert torch.equal(fastblur.masked_blur2d(image, mask, 2.0, backend=backend), batched)


def test_module_twin(backend, astronaut):
    images = torch.stack([piece(astronaut, 30, 33, seed=i) for i in range(2)])
    masks = noise(30, 33, 2, torch.float32)[:, None]
    module = fastblur.MaskedGaussianBlur2d(2.5, "reflect", backend)
    expected = fastblur.masked_blur2d(images, masks, 2.5, border_type="reflect", backend=backend)
    assert torch.equal(module(images, masks), expected)
    assert repr(module) == "MaskedGaussianBlur2d(sigma=2.5, border_type='reflect')"
    assert not list(module.parameters())
    assert torch.equal(fastblur.MaskedGaussianBlur2d(2.5)(images, masks), fastblur.masked_blur2d(images, masks, 2.5))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("as_list", [False, True])
def test_sigma_in_kornias_forms_agrees_with_kornia(count, as_list, backend):
    """A tuple is (y, x) for all images at every batch size, a tensor (1, 2) too."""
    images = torch.rand(count, 3, 40, 44, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(count, 1, 40, 44)
    mask[..., 20:] = 0
    for sigma in ((0.8, 3.0), torch.tensor([[0.8, 3.0]]), torch.tensor([[0.8, 3.0]] * count)):
        blurred = gaussian_blur2d(images, 31, sigma, border_type="replicate")
        expected = images + mask * (blurred - images)
        given = (list(images), list(mask)) if as_list else (images, mask)
        result = fastblur.masked_blur2d(*given, sigma, backend=backend)
        by_module = fastblur.MaskedGaussianBlur2d(sigma, backend=backend)(*given)
        for one, other, right in zip(result, by_module, expected, strict=True):
            torch.testing.assert_close(one, right, atol=2 / 255, rtol=0)
            assert torch.equal(one, other)
    single = fastblur.masked_blur2d(images[0], mask[0], (0.8, 3.0), backend=backend)
    torch.testing.assert_close(single, expected[0], atol=2 / 255, rtol=0)

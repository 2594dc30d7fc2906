"""The CUDA kernel against the formula in float64: on a GPU where there is one, else in Triton's interpreter.

The interpreter is slow, so there are fewer and smaller cases than for the CPU kernel, at the same tolerances.
`TRITON_INTERPRET=1 pytest tests/ops` runs every test of the operators through it.
"""

from functools import partial
from math import ceil

import numpy as np
import pytest
import torch

import fastblur
from tests import formula
from tests.kernels.backends import DTYPES, assert_agrees, tolerance
from tests.kernels.cases import noise, piece
from tests.kernels.cuda.gpu import called, put, runs
from tests.ops.test_blur import PLACES

pytestmark = [pytest.mark.gpu, runs]

DTYPE_NAMES = [str(dtype).removeprefix("torch.") for dtype in DTYPES]


def check(operator, expected, image, rows, parameters, *, approximate=False, noisy=False):
    rows = np.asarray(rows, np.float32).reshape(-1, 4)
    result = called(operator, image, [rows] if image.ndim == 4 else rows, **parameters)
    parameters = (
        {**parameters, "color": np.asarray(parameters["color"], np.float32)} if "color" in parameters else parameters
    )
    low, high, support = formula.between(expected, image.double().numpy(), rows, **parameters)
    return assert_agrees(
        result, image, low, high, support, tolerance("cuda", image.dtype, approximate=approximate, noise=noisy)
    )


blurred = partial(check, fastblur.blur, formula.blur, approximate=True)
pixelated = partial(check, fastblur.pixelate, formula.pixelate)
filled = partial(check, fastblur.fill, formula.fill)


@pytest.mark.parametrize("place", [p for p in PLACES if p not in ("left", "right", "top", "bottom", "inside")])
def test_blur(place, astronaut):
    recipe = formula.RECIPES["default" if len(place) % 2 else "ilsvrc"]
    blurred(piece(astronaut, 48, 56, seed=len(place)), PLACES[place], recipe)


@pytest.mark.parametrize("dtype", DTYPES, ids=DTYPE_NAMES)
@pytest.mark.parametrize(("shape", "scope", "feather"), [("box", "image", 0.0), ("ellipse", "region", 0.08)])
def test_blur_of_every_dtype(dtype, shape, scope, feather, astronaut):
    recipe = {"strength": 0.12, "margin": 0.07, "feather": feather, "shape": shape, "scope": scope}
    blurred(piece(astronaut, 40, 46, dtype=dtype, seed=1), PLACES["fractions"] + [[-9, 25, 12, 55]], recipe)


@pytest.mark.parametrize("longer_side", [27, 40, 75, 200, 700])
def test_every_sigma(longer_side, astronaut):
    image = astronaut[:, 100:160, 90:140].clone()
    x0, y0 = 25 - longer_side / 2.1, 30 - longer_side / 2.2
    recipe = {**formula.RECIPES["default"], "margin": 0.03, "feather": 0.01}
    blurred(image, [[x0, y0, x0 + 0.8 * longer_side, y0 + longer_side]], recipe)


def test_of_a_far_region_the_mean_of_the_corners_is_left(astronaut):
    image = astronaut[:, 100:118, 90:111].clone()
    result = called(fastblur.blur, image, [[-1e6, -1e6, 1e6, 1e6]])
    corners = image[:, [0, 0, -1, -1], [0, -1, 0, -1]].double().mean(1)
    assert (result.double() - corners[:, None, None]).abs().max() <= 1


def test_blur_of_noise():
    rows = [[3, 5, 40, 44], [-20, 10, 15, 41.5], [30, 30, 34, 33]]
    blurred(noise(45, 47), rows, formula.RECIPES["default"], noisy=True)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels(channels, astronaut):
    image = piece(astronaut, 30, 33, channels, seed=4)
    blurred(image, [[5, 6, 20, 22.5]], formula.RECIPES["default"])


def test_more_regions_than_a_program_looks_at_at_once(astronaut):
    rows = [[x, y, x + 3, y + 3.5] for x in range(2, 40, 6) for y in range(1, 40, 6)]
    assert len(rows) > 32
    blurred(piece(astronaut, 41, 43, seed=5), rows, {**formula.RECIPES["default"], "feather": 0.02})


def test_plain_images_stay_plain():
    rows = [[3.3, 4.1, 25, 30], [20, 20, 60, 41], [-9, -9, 4, 4]]
    for level in (1, 128, 255):
        image = torch.full((3, 40, 50), level, dtype=torch.uint8)
        assert torch.equal(called(fastblur.blur, image, rows), image)


@pytest.mark.parametrize("shape", ["box", "ellipse"])
@pytest.mark.parametrize(
    "place", ["fractions", "top left", "bottom right", "overlapping", "a line", "more than the image"]
)
def test_pixelate(place, shape):
    dtype = DTYPES[len(place) % 4]
    pixelated(noise(48, 56, dtype=dtype), PLACES[place], {"blocks": 3 + len(place), "margin": 0.1, "shape": shape})


def test_pixelate_by_hand():
    image = torch.arange(6 * 9, dtype=torch.uint8).reshape(1, 6, 9)
    expected = image.clone()
    expected[0, 1:4, 1:4], expected[0, 1:4, 4:7] = 20, 23
    expected[0, 4:5, 1:4], expected[0, 4:5, 4:7] = 43, 46  # means 42.5 and 45.5, rounded half up
    assert torch.equal(called(fastblur.pixelate, image, [[1, 1, 7, 5]], blocks=2, margin=0.0), expected)
    image = noise(40, 40, dtype=torch.float32)
    result = called(fastblur.pixelate, image, [[10, 10, 30, 30]], blocks=8, margin=0.1)  # 24 px: eight blocks of 3
    means = image[:, 8:32, 8:32].reshape(3, 8, 3, 8, 3).mean((2, 4))
    torch.testing.assert_close(result[:, 8:32, 8:32], means.repeat_interleave(3, 1).repeat_interleave(3, 2))


@pytest.mark.parametrize("shape", ["box", "ellipse"])
@pytest.mark.parametrize("feather", [0.0, 0.1])
@pytest.mark.parametrize("place", ["fractions", "top left", "nested", "a line"])
def test_fill(place, feather, shape):
    dtype = DTYPES[len(place) % 4]
    color = [40, 0, 255] if dtype == torch.uint8 else [0.3, 0, 1]
    parameters = {"color": color, "margin": 0.1, "shape": shape, "feather": feather}
    filled(noise(48, 56, dtype=dtype), PLACES[place], parameters)


def test_far_regions_on_any_operator():
    image = noise(20, 30)
    for far in (1e3, 2.0**24):
        rows = [[-far, -far, far, far]]
        assert torch.equal(called(fastblur.fill, image, rows, color=7), torch.full_like(image, 7))
        mean = called(fastblur.pixelate, image, rows, blocks=1)
        assert (mean - image.float().mean((1, 2), keepdim=True)).abs().max() <= 0.5


BORDERS = {"replicate": "edge", "reflect": "reflect", "constant": "constant", "circular": "wrap"}  # ours: np.pad's


@pytest.mark.parametrize("border_type", BORDERS)
@pytest.mark.parametrize(("mask_dtype", "dtype"), [(torch.bool, torch.uint8), (torch.float16, torch.float32)])
def test_masked_blur2d(mask_dtype, dtype, border_type, astronaut):
    sigmas = [[1.3, 1.3], [4.5, 9.0]]
    images = torch.stack([piece(astronaut, 34, 41, dtype=dtype, seed=i) for i in range(2)])
    masks = (noise(34, 41, 2, torch.float32)[:, None] * 2 - 1).clamp(min=0)
    masks[:, :, 14:] = 0
    masks[:, :, 33, 40] = 1
    masks = masks.to(mask_dtype)
    results = called(fastblur.masked_blur2d, images, put(masks), sigmas, border_type=border_type)
    for image, mask, (y, x), result in zip(images, masks[:, 0].double().numpy(), sigmas, results, strict=True):
        exact, support = formula.masked_blur(image.double().numpy(), mask, y, x, BORDERS[border_type])
        assert_agrees(result, image, exact, exact, support, tolerance("cuda", dtype))


@pytest.mark.parametrize("border_type", BORDERS)
def test_the_filter_may_reach_far_beyond_the_image(border_type):
    image, mask = noise(5, 7, dtype=torch.float32), torch.ones(1, 5, 7)
    result = called(fastblur.masked_blur2d, image, put(mask), [[8.0, 11.0]], border_type=border_type)
    exact, _ = formula.masked_blur(image.double().numpy(), 1.0, 8.0, 11.0, BORDERS[border_type])
    everywhere = np.ones((5, 7), bool)
    assert_agrees(result, image, exact, exact, everywhere, tolerance("cuda", torch.float32, noise=True))
    if border_type in ("reflect", "circular"):  # of a periodic image nothing is left but the mean of a period
        result = called(fastblur.masked_blur2d, image, put(mask), 1e9, border_type=border_type)
        times = [[1 if border_type == "circular" or i in (0, n - 1) else 2 for i in range(n)] for n in (5, 7)]
        mean = np.average(image.double().numpy(), axis=(1, 2), weights=np.broadcast_to(np.outer(*times), image.shape))
        assert np.abs(result.numpy() - mean[:, None, None]).max() <= 0.01


def test_the_host_bounds_the_cells_of_every_region():
    """What `most_cells` promises, against steps and reaches written out here, for random recipes and faces."""
    from fastblur.kernels.cuda.plan import RATIO, TRUNCATE, most_cells  # needs triton

    rng = np.random.default_rng(0)
    for _ in range(20000):
        size = int(10 ** rng.uniform(0, 4))
        strength, margin, feather = rng.choice([0.0, 0.01, 0.1, 0.15, 0.6]), rng.uniform(0, 0.5), rng.uniform(0, 0.3)
        d = 10 ** rng.uniform(-1, 5)
        scale = d * (1 if rng.random() < 0.5 else rng.uniform(1, 9))  # scope "image": another region may be longer
        sigma = max(0.5, strength * scale)
        support = min(size, ceil((1 + 2 * margin) * d + 6 * feather * scale) + 1)
        step = max(1, int(sigma / RATIO.value))
        cells = -(-support // step) + 2 * max(2, ceil(TRUNCATE.value * sigma / step))
        assert cells <= most_cells(size, strength, 1 + 2 * margin + 6 * feather, 0)
        assert cells <= most_cells(size, 0.0, 1.0, 0)


def test_channels_that_lie_far_apart():
    """Two strides of 2^30 elements are more than 32 bits hold. Of the memory only what is touched is ever there."""
    try:
        apart = torch.empty(2 * 2**30 + 40 * 48, dtype=torch.uint8)
    except RuntimeError:
        pytest.skip("not enough memory for 2 GiB")
    image = noise(40, 48)
    view = apart.as_strided((3, 40, 48), (2**30, 48, 1))
    view.copy_(image)
    rows = [[8, 8, 25, 30]]
    expected = called(fastblur.blur, image, rows)
    assert not torch.equal(expected, image)
    assert torch.equal(called(fastblur.blur, view, rows), expected)
    far = put(apart).as_strided((3, 40, 48), (2**30, 48, 1))
    assert fastblur.blur(far, rows, out=far, backend="cuda") is far
    assert torch.equal(far.cpu(), expected)

"""blur against the formula in float64, and what its recipes promise, measured on the output."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fastblur
from tests import formula
from tests.kernels.backends import BACKENDS, DTYPES, assert_agrees, tolerance
from tests.kernels.cases import RECIPES, SIZES, STABLE, boxes, noise, piece

pytestmark = pytest.mark.parametrize("backend", BACKENDS)

PLACES = {
    "inside": [[12, 10, 30, 33]],
    "fractions": [[12.31, 10.77, 30.02, 33.49]],
    "left": [[-7.5, 10, 9, 30]],
    "right": [[45, 10, 70, 30]],
    "top": [[12, -8, 30, 7]],
    "bottom": [[12, 40, 30, 63.2]],
    "top left": [[-4, -5, 11, 12]],
    "top right": [[44, -3, 61.5, 14]],
    "bottom left": [[-9, 35, 12, 55]],
    "bottom right": [[40, 33, 60, 52]],
    "touching the border": [[0, 0, 12, 12], [44, 36, 56, 48]],
    "one pixel": [[20, 20, 21, 21]],
    "below a pixel": [[20.2, 20.3, 20.6, 20.5], [40.45, 30.45, 40.55, 30.55], [3.1, 4.1, 3.2, 4.2]],
    "a line": [[5, 20, 50, 20.5], [30, 2, 30.25, 46]],
    "overlapping": [[8, 8, 28, 30], [20, 15, 40, 40], [25, 5, 45, 25]],
    "nested": [[5, 5, 50, 45], [20, 20, 30, 30], [24, 24, 26, 26]],
    "the same twice": [[12, 10, 30, 33], [12, 10, 30, 33]],
    "degenerate": [[10, 10, 10, 20], [10, 10, 20, 10], [30, 10, 30, 10], [99, 30, 99, 40]],
    "outside": [[-20, 5, 0, 20], [56, 5, 70, 20], [5, -20, 20, 0], [5, 48, 20, 60]],
    "the whole image": [[0, 0, 56, 48]],
    "more than the image": [[-30, -20, 90, 80]],
    "none": [],
}


def check(backend, image, rows, recipe, *, noisy=False):
    """Blur one image and hold the result against the formula."""
    result = fastblur.blur(image, np.asarray(rows, np.float32).reshape(-1, 4), backend=backend, **recipe)
    rows = np.asarray(rows, np.float32)
    low, high, support = formula.between(formula.blur, image.double().numpy(), rows, **recipe)
    return assert_agrees(result, image, low, high, support, tolerance(backend, image.dtype, noise=noisy))


@pytest.mark.parametrize("recipe", formula.RECIPES)
@pytest.mark.parametrize("place", PLACES)
def test_agrees_with_the_formula(backend, place, recipe, astronaut):
    image = piece(astronaut, 48, 56, seed=len(place))
    check(backend, image, PLACES[place], formula.RECIPES[recipe])


@pytest.mark.parametrize("feather", [0.0, 0.05])
@pytest.mark.parametrize("shape", ["box", "ellipse"])
@pytest.mark.parametrize("scope", ["region", "image"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_parameter_and_dtype(backend, dtype, scope, shape, feather, astronaut):
    recipe = {"strength": 0.12, "margin": 0.07, "feather": feather, "shape": shape, "scope": scope}
    image = piece(astronaut, 48, 56, dtype=dtype, seed=1)
    for place in ("fractions", "overlapping", "nested", "bottom left", "below a pixel"):
        check(backend, image, PLACES[place], recipe)


@pytest.mark.parametrize("feather", [0.0, 0.05, 0.3])
def test_thin_ellipses_stay_near_their_box(backend, feather, astronaut):
    """Off a thin ellipse's axes the first-order distance is far too small: the box bounds the support all the same."""
    recipe = {**formula.RECIPES["default"], "shape": "ellipse", "margin": 0.0, "feather": feather}
    image = piece(astronaut, 48, 56, seed=2)
    for row in ([15, 20, 35, 21], [20, 10, 21.5, 30], [15.3, 22.2, 30.9, 24]):
        check(backend, image, [row], recipe)
        changed = (fastblur.blur(image, [row], backend=backend, **recipe) != image).any(0)
        y, x = (torch.nonzero(changed, as_tuple=True)[i] + 0.5 for i in (0, 1))
        reach = 3 * feather * max(row[2] - row[0], row[3] - row[1])
        assert row[0] - reach <= x.min()
        assert x.max() <= row[2] + reach
        assert row[1] - reach <= y.min()
        assert y.max() <= row[3] + reach


@pytest.mark.slow
@given(data=st.data(), size=SIZES, recipe=RECIPES, dtype=st.sampled_from(DTYPES), channels=st.integers(1, 5))
@STABLE
def test_property_agrees_with_the_formula(backend, astronaut, data, size, recipe, dtype, channels):
    rows = data.draw(boxes(*size))
    image = piece(astronaut, *size, channels, dtype, seed=data.draw(st.integers(0, 99)))
    check(backend, image, rows, recipe)


@pytest.mark.slow
@given(data=st.data(), size=SIZES, recipe=RECIPES)
@STABLE
def test_property_agrees_with_the_formula_on_noise(backend, data, size, recipe):
    image = noise(*size, seed=data.draw(st.integers(0, 99)))
    check(backend, image, data.draw(boxes(*size)), recipe, noisy=True)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (1, 300), (300, 1)])
@pytest.mark.parametrize("recipe", formula.RECIPES)
def test_tiny_images(backend, recipe, size, astronaut):
    height, width = size
    image = piece(astronaut, *size, seed=3) if max(size) < 100 else astronaut[:, :height, :width].clone()
    for rows in ([[0, 0, width, height]], [[width / 3, height / 3, width / 2, height / 2]], [[-5, -5, 30, 30]]):
        check(backend, image, rows, formula.RECIPES[recipe])


@pytest.mark.parametrize("longer_side", [10, 27, 60, 140, 400, 1500])
def test_every_sigma(backend, longer_side, astronaut):
    image = astronaut[:, 100:400, 90:400]
    x0, y0 = 155 - longer_side / 2.1, 150 - longer_side / 2.2
    recipe = {**formula.RECIPES["default"], "margin": 0.03, "feather": 0.01}
    error = check(backend, image, [[x0, y0, x0 + 0.8 * longer_side, y0 + longer_side]], recipe)
    assert error.max() <= tolerance(backend, torch.uint8)


def test_a_plain_image_stays_plain(backend):
    rows = [np.array([[3.3, 4.1, 25, 30], [20, 20, 60, 41], [-9, -9, 4, 4]], np.float32)]
    for level in (0, 1, 128, 254, 255):
        image = torch.full((1, 3, 40, 50), level, dtype=torch.uint8)
        assert torch.equal(fastblur.blur(image, rows, backend=backend), image)
        assert torch.equal(fastblur.blur(image, rows, "ilsvrc", backend=backend), image)


@pytest.mark.parametrize("name", formula.RECIPES)
def test_named_recipes_are_the_designs(backend, name, astronaut):
    image, rows = piece(astronaut, 48, 56, seed=5), np.array([[20, 15, 40, 41], [2, 3, 9, 9]], np.float32)
    spelled = fastblur.Recipe(**formula.RECIPES[name])
    by_name = fastblur.blur(image, rows, name, backend=backend)
    assert torch.equal(by_name, fastblur.blur(image, rows, spelled, backend=backend))
    assert torch.equal(by_name, fastblur.blur(image, rows, "default", backend=backend, **formula.RECIPES[name]))
    assert not torch.equal(by_name, image)


def test_degenerate_regions_do_not_set_the_images_scale(backend, astronaut):
    image = piece(astronaut, 48, 56, seed=6)
    face = [20, 15, 32, 29]
    skipped = [[30, 10, 30, 900], [-500, 0, 0, 40], [56, 0, 700, 40], [0, 48, 9, 999], [5, 5, 5, 400]]
    alone = fastblur.blur(image, [[face]], "ilsvrc", backend=backend)
    assert torch.equal(fastblur.blur(image, [[*skipped, face]], "ilsvrc", backend=backend), alone)


def checkerboard(height, width):
    """An image whose blur is known: 1/2 away from the border, as a Gaussian removes its frequency."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return ((x + y) % 2).float().expand(1, height, width).clone()


def measured_alpha(result, board):
    """Solve result = I + A (1/2 - I) for A, (H, W)."""
    return ((board - result) / (board - 0.5))[0].numpy()


def in_the_box(box, height, width):
    """Which pixels have their centre in the box, (H, W) bool."""
    y, x = np.mgrid[:height, :width] + 0.5
    return (x >= box[0]) & (x <= box[2]) & (y >= box[1]) & (y <= box[3])


@pytest.mark.parametrize("sides", [(11.3, 11.3), (9, 24), (25.5, 20.2), (70, 41), (84, 120)])
def test_default_recipe_covers_the_whole_box(backend, sides):
    board = checkerboard(600, 640)
    for x0, y0 in ((240.0, 230.0), (251.4, 238.9), (243.5, 241.5), (239.77, 262.13)):
        box = np.array([x0, y0, x0 + sides[0], y0 + sides[1]], np.float32)
        alpha = measured_alpha(fastblur.blur(board, box[None], backend=backend), board)
        least = alpha[in_the_box(box, 600, 640)].min()
        assert least >= 0.99, f"alpha {least:.4f} in the box {box.tolist()}"
        assert alpha[0, 0] == 0


@pytest.mark.parametrize("sides", [(11.3, 11.3), (70, 41), (84, 120)])
@pytest.mark.parametrize(
    "place", ["corner", "far corner", "edge", "over the corner", "near the corner", "over an edge"]
)
def test_default_recipe_covers_the_box_at_the_border(backend, place, sides):
    """One white pixel in each image: what is left of it, beyond what its own blur leaves there, is 1 - A."""
    height, width = 150, 170
    w, h = sides
    corner = {
        "corner": (0, 0),
        "far corner": (width - w, height - h),
        "edge": (width - w, 15.3),
        "over the corner": (-w / 3, -h / 2),
        "near the corner": (0.16 * max(sides), height - h - 0.14 * max(sides)),
        "over an edge": (22.5, height - h / 2),
    }[place]
    box = np.array([*corner, corner[0] + w, corner[1] + h], np.float32)
    y, x = np.nonzero(in_the_box(box, height, width))
    points = [(y.min(), x.min()), (y.min(), x.max()), (y.max(), x.min()), (y.max(), x.max()), (y[len(y) // 2], x.max())]
    images = torch.zeros(len(points), 1, height, width)
    for image, (i, j) in zip(images, points, strict=True):
        image[0, i, j] = 1
    results = fastblur.blur(images, [box[None]] * len(points), backend=backend)
    for image, result, (i, j) in zip(images, results, points, strict=True):
        sigma = 0.15 * max(sides)
        window = slice(i, i + 1), slice(j, j + 1)
        blurred = formula.gaussian(image.double().numpy(), sigma, sigma, "edge", *window).item()
        assert (1 - result[0, i, j].item()) / (1 - blurred) >= 0.99


def test_image_scope_leaks_a_small_face_beside_a_large_one(backend):
    """The known weakness of the "ilsvrc" recipe: the large face's deviation washes the small face's mask out."""
    board = checkerboard(300, 400)
    small, large = [350.0, 250.0, 370.0, 270.0], [40.0, 40.0, 240.0, 240.0]
    seen = {}
    for recipe, scope in (("ilsvrc", None), ("ilsvrc", "region"), ("default", None)):
        result = fastblur.blur(board, [[small, large]], recipe, scope=scope, backend=backend)
        seen[recipe, scope] = measured_alpha(result, board)[260, 360]
    # The grown box is 24 px wide and the deviation 20 px: (2 Phi(0.6) - 1)^2 = 0.204.
    assert seen["ilsvrc", None] == pytest.approx((2 * formula.ndtr(0.6) - 1) ** 2, abs=0.01)
    assert seen["ilsvrc", "region"] > 0.99
    assert seen["default", None] > 0.99

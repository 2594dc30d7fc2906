"""The audit's own formula against the one of the tests, in float64 with SciPy."""

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from fastblur.audit.formula import Formula, _gaussian
from fastblur.codecs import Picture
from tests import formula
from tests.audit.run_cases import pixels

BOXES = [[12.3, 20, 61, 70.5], [50, 40, 90, 110], [140, -5, 175, 30]]
CASES: list[tuple[str, dict[str, Any]]] = [
    ("blur", formula.RECIPES["default"]),
    ("blur", formula.RECIPES["ilsvrc"]),
    ("blur", {"strength": 0.2, "margin": 0.2, "feather": 0.1, "shape": "ellipse", "scope": "region"}),
    ("pixelate", {"blocks": 8, "margin": 0.1, "shape": "box"}),
    ("pixelate", {"blocks": 3, "margin": 0.0, "shape": "ellipse"}),
    ("fill", {"color": "10,200,30", "margin": 0.1, "feather": 0.0, "shape": "box"}),
    ("fill", {"color": "10,200,30", "margin": 0.3, "feather": 0.08, "shape": "ellipse"}),
]


@pytest.mark.parametrize(("method", "options"), CASES)
def test_it_is_the_formula(method: str, options: dict[str, Any]) -> None:
    image = pixels(3)
    height, width = image.shape[:2]
    boxes = np.array(BOXES, np.float32)
    ours = Formula(method, options)
    values = dict(options)
    if method == "fill":
        values["color"] = [10, 200, 30]
    expected, support = getattr(formula, method)(image.transpose(2, 0, 1).astype(np.float64), BOXES, **values)
    window = slice(0, height), slice(0, width)
    found = ours.result(Picture(image, "PNG", "RGB", 1, b""), boxes, window)
    difference = np.abs(found - expected.transpose(1, 2, 0)).max(2)
    assert np.percentile(difference, 99.5) < 1e-2
    assert (difference > 1e-2).sum() <= 12, "pixels whose centre lies on an edge may fall on either side"
    mask = np.zeros((height, width), bool)
    for part in ours.supports(boxes, height, width):
        mask[part] = True
    assert not (support & ~mask).any()
    part = ours.result(Picture(image, "PNG", "RGB", 1, b""), boxes[1:2], ours.supports(boxes[1:2], height, width)[0])
    whole = ours.result(Picture(image, "PNG", "RGB", 1, b""), boxes[1:2], window)
    rows, columns = ours.supports(boxes[1:2], height, width)[0]
    assert np.array_equal(part, whole[rows, columns])


def test_sixteen_bits_are_levels_too() -> None:
    deep = pixels(4).astype(np.uint16) * 257
    window = slice(0, 120), slice(0, 160)
    made = [
        Formula("blur", {}).result(Picture(image, "PNG", "RGB", 1, b""), np.array(BOXES, np.float32), window)
        for image in (deep, pixels(4))
    ]
    assert np.allclose(*made, atol=1e-3)


@pytest.mark.parametrize("most", [1, 1 << 23])
@pytest.mark.parametrize(
    ("shape", "support", "sigma"),
    [
        ((120, 160, 3), (slice(10, 90), slice(0, 160)), 9.3),
        ((50, 400, 1), (slice(0, 50), slice(100, 400)), 300.0),  # wider than the picture
        ((3, 300, 3), (slice(1, 2), slice(3, 298)), 40.0),
    ],
)
def test_wide_gaussians_by_either_way(
    shape: Any, support: Any, sigma: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastblur.audit.formula.MOST_WEIGHTS", most)
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    reach = int(np.ceil(6 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    down = ndimage.correlate1d(pixels.astype(np.float64), weights, axis=0, mode="nearest")
    expected = ndimage.correlate1d(down, weights, axis=1, mode="nearest")[support]
    found = _gaussian(Picture(pixels, "PNG", "RGB", 1, b""), sigma, support)
    assert np.abs(found - expected).max() < 1e-3

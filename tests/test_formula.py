"""The formula that the kernels are held against, itself held against SciPy and against plain numerical integration."""

import numpy as np
import pytest
from scipy import ndimage

from tests import formula

MODES = {"edge": "nearest", "reflect": "mirror", "constant": "constant", "wrap": "wrap"}  # np.pad's names, scipy's


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sigma", [0.5, 1.7, 9.0])
def test_gaussian_is_scipys(mode, sigma):
    image = np.random.default_rng(0).random((2, 31, 23))
    found = formula.gaussian(image, sigma, 0.7 * sigma, mode, slice(4, 29), slice(0, 23))
    expected = ndimage.gaussian_filter1d(image, sigma, axis=1, mode=MODES[mode], truncate=6)
    expected = ndimage.gaussian_filter1d(expected, 0.7 * sigma, axis=2, mode=MODES[mode], truncate=6)
    np.testing.assert_allclose(found, expected[:, 4:29], atol=1e-12)


@pytest.mark.slow
def test_soft_box_is_the_box_filtered():
    fine = 25  # samples a pixel: odd, so that one lies on each centre; the edges lie between two
    box = (10.32, 7.12, 24.6, 30.0)
    alpha = formula.soft_mask(box, 40, 36, margin=0.0, deviation=1.5, shape="box")
    t = (np.arange(40 * fine) + 0.5) / fine
    hard = ((t >= 7.12) & (t <= 30.0))[:, None] & ((t >= 10.32) & (t <= 24.6))[: 36 * fine]
    filtered = hard.astype(np.float64)
    for axis in (0, 1):
        filtered = ndimage.gaussian_filter1d(filtered, 1.5 * fine, axis=axis, mode="nearest", truncate=6)
    centres = (slice(fine // 2, None, fine),) * 2
    inside = alpha > 0
    np.testing.assert_allclose(alpha[inside], filtered[centres][inside], atol=2e-4)
    y, x = np.nonzero(inside)
    assert (y.min() + 0.5, y.max() + 0.5) == (3.5, 34.5)  # 7.12 - 4.5 = 2.62 and 30 + 4.5 = 34.5
    assert (x.min() + 0.5, x.max() + 0.5) == (6.5, 28.5)  # 10.32 - 4.5 = 5.82 and 24.6 + 4.5 = 29.1


def test_circle_is_softened_by_its_distance():
    alpha = formula.soft_mask((4, 4, 24, 24), 28, 28, margin=0.0, deviation=1.0, shape="ellipse")
    y, x = np.mgrid[:28, :28] + 0.5
    distance = np.hypot(x - 14, y - 14) - 10
    np.testing.assert_allclose(alpha, np.where(distance > 3, 0, formula.ndtr(-distance)), atol=1e-12)


def test_sides_at_the_border_go_on_for_ever():
    alpha = formula.soft_mask((1.0, 5.0, 9.0, 8.0), 20, 30, margin=0.125, deviation=0.5, shape="box")
    assert alpha[6, 0] == pytest.approx(formula.ndtr((10 - 0.5) / 0.5) * alpha[6].max(), abs=1e-9)
    assert alpha[6, 0] > 0.99


def test_mosaic_blocks_are_means():
    image = np.arange(1 * 7 * 9, dtype=np.float64).reshape(1, 7, 9)
    result, support = formula.pixelate(image, [(1, 1, 7, 5)], blocks=2, margin=0.0, shape="box")
    assert formula.block_side((1, 1, 7, 5), 2, 0.0) == 3
    assert support.sum() == 6 * 4
    np.testing.assert_allclose(result[0, 1:4, 1:4], image[0, 1:4, 1:4].mean())
    # The lower blocks go on to row 6, the image's last, though the region ends at 5.
    np.testing.assert_allclose(result[0, 4:5, 4:7], image[0, 4:7, 4:7].mean())

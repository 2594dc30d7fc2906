"""The "ilsvrc" recipe against outputs of the script it is named after, made with Pillow.

Pillow's Gaussian is three box filters and its rectangles lie on whole pixels, so agreement is close and not exact.
"""

import json

import numpy as np
import pytest
import torch

import fastblur
from tests import formula
from tests.kernels.backends import BACKENDS

pytestmark = pytest.mark.slow

Image = pytest.importorskip("PIL.Image", reason="Pillow is absent (the extra fastblur[run])")

# Levels, of the images' mean differences over the support; the formula itself has 0.63 and 1.27.
MEDIAN, WORST = 0.8, 1.5


@pytest.fixture(scope="module")
def cases(shared):
    """A list of (name, source, expected (both (H, W, 3) uint8), rows (n, 4))."""
    found = []
    for case in json.loads((shared / "golden/cases.json").read_text()):
        rows = np.array([[box[key] for key in ("x0", "y0", "x1", "y1")] for box in case["bboxes"]], np.float32)
        source = np.array(Image.open(shared / "imagenet-sample" / case["url"]).convert("RGB"))
        found.append((case["expected"], source, np.array(Image.open(shared / "golden" / case["expected"])), rows))
    assert len(found) == 11
    return found


@pytest.mark.parametrize("backend", ["formula", *BACKENDS])
def test_agrees_with_pillows_outputs(backend, cases):
    means = []
    for name, source, expected, rows in cases:
        image = torch.from_numpy(source).permute(2, 0, 1)
        exact, support = formula.blur(image.double().numpy(), rows, **formula.RECIPES["ilsvrc"])
        result = exact
        if backend != "formula":
            result = fastblur.blur(image, rows, "ilsvrc", backend=backend).double().numpy()
        difference = np.abs(result - expected.transpose(2, 0, 1))
        means.append(difference[:, support].mean())
        unblurred = np.abs(source.astype(np.float64) - expected)[support].mean()
        assert means[-1] < unblurred / 2, name
    assert np.median(means) <= MEDIAN
    assert max(means) <= WORST

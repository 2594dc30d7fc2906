"""The kernels on real photographs, at the accuracy that docs/architecture.md promises.

The images and regions are ImageNet's and those of the folder of photographs; see `shared` in tests/conftest.py.
"""

import json

import numpy as np
import pytest
import torch

import fastblur
from tests import formula
from tests.kernels.backends import RUNNING, assert_agrees, called, tolerance

pytestmark = pytest.mark.slow

Image = pytest.importorskip("PIL.Image", reason="Pillow is absent (the extra fastblur[run])")

MEAN = 0.35  # levels over the support; rounding to uint8 alone makes 0.25
FEW = 10  # images where not all 80 are worth the time


def pixels(path):
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


@pytest.fixture(scope="session")
def faces(shared):
    """The ImageNet images that show faces: a list of (name, (3, H, W) uint8, (n, 4) float32)."""
    found = []
    for entry in json.loads((shared / "imagenet-sample/face_annotations.json").read_text()):
        if entry["bboxes"]:
            rows = np.array([[box[key] for key in ("x0", "y0", "x1", "y1")] for box in entry["bboxes"]], np.float32)
            found.append((entry["url"], pixels(shared / "imagenet-sample" / entry["url"]), rows))
    assert len(found) == 80
    return found


@pytest.mark.parametrize("recipe", formula.RECIPES)
@pytest.mark.parametrize("backend", RUNNING)
def test_imagenet_faces(backend, recipe, faces):
    chosen = faces[:: len(faces) // FEW] if backend == "reference" else faces
    for name, image, rows in chosen:
        exact, support = formula.blur(image.double().numpy(), rows, **formula.RECIPES[recipe])
        result = called(backend, fastblur.blur, image, rows, recipe)
        try:
            error = assert_agrees(result, image, exact, exact, support, tolerance(backend, torch.uint8))
        except AssertionError as wrong:
            raise AssertionError(f"{name}: {wrong}") from None
        assert error[:, support].mean() <= MEAN, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("backend", RUNNING)
def test_imagenet_faces_as_floats(backend, dtype, faces):
    for name, image, rows in faces[:: len(faces) // FEW]:
        values = (image.float() / 255).to(dtype)
        exact, support = formula.blur(values.double().numpy(), rows, **formula.RECIPES["default"])
        result = called(backend, fastblur.blur, values, rows)
        try:
            assert_agrees(result, values, exact, exact, support, tolerance(backend, dtype))
        except AssertionError as wrong:
            raise AssertionError(f"{name}: {wrong}") from None


@pytest.mark.parametrize(("strength", "shape"), [(0.02, "ellipse"), (0.05, "box"), (0.3, "ellipse")])
@pytest.mark.parametrize("backend", [b for b in RUNNING if b != "reference"])
def test_other_recipes(backend, strength, shape, faces):
    parameters = {"strength": strength, "margin": 0.2, "feather": 0.08, "shape": shape, "scope": "region"}
    for name, image, rows in faces[:: len(faces) // FEW]:
        exact, support = formula.blur(image.double().numpy(), rows, **parameters)
        result = called(backend, fastblur.blur, image, rows, **parameters)
        error = assert_agrees(result, image, exact, exact, support, tolerance(backend, torch.uint8))
        assert error[:, support].mean() <= MEAN, name


@pytest.mark.parametrize("backend", RUNNING)
def test_photographs_with_several_faces_as_one_ragged_batch(backend, shared):
    truth = json.loads((shared / "photos/ground_truth.json").read_text())
    images = [pixels(shared / "photos" / name) for name in truth]
    rows = [np.array([face["box"] for face in faces], np.float32).reshape(-1, 4) for faces in truth.values()]
    results = called(backend, fastblur.blur, images, rows)
    for image, boxes, result in zip(images, rows, results, strict=True):
        exact, support = formula.blur(image.double().numpy(), boxes, **formula.RECIPES["default"])
        error = assert_agrees(result, image, exact, exact, support, tolerance(backend, torch.uint8))
        assert not support.any() or error[:, support].mean() <= MEAN

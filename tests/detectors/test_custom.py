"""What a detector of the user's own may do and give, on its own; runs with one are in tests/pipeline."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastblur import FaceBlur, Regions, UsageError, blur
from fastblur.detectors.custom import resolve
from fastblur.transforms import HideFaces

BOX = [10.0, 20.0, 40.0, 60.0]
IMAGE = torch.randint(0, 256, (3, 80, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PIXELS = IMAGE.permute(1, 2, 0).numpy()


def writing(images):
    for image in images:
        image[:, :10] = 0
    return [[BOX] for _ in images]


@pytest.mark.parametrize("form", ["tensor", "batch", "list", "array", "PIL"])
def test_a_detector_that_writes_to_the_images_is_told(form) -> None:
    """What it changes would be what is returned, and the caller's own."""
    copy = IMAGE.clone()
    sample = {
        "tensor": copy,
        "batch": copy[None],
        "list": [copy],
        "array": PIXELS.copy(),
        "PIL": Image.fromarray(PIXELS),
    }[form]
    makes = [HideFaces] if form in ("array", "PIL") else [FaceBlur, HideFaces]
    for make in makes:
        with pytest.raises(ValueError, match="has written to the images that it was given, expected one that writes"):
            make(writing)(sample)


def test_a_detector_may_write_to_what_is_a_copy() -> None:
    floats = IMAGE / 255
    hidden = FaceBlur(writing)(floats)
    assert torch.equal(hidden, blur(IMAGE / 255, [BOX]))
    with torch.inference_mode():  # where nobody counts who writes
        copy = IMAGE.clone()
        hidden = FaceBlur(writing)(copy)
        assert torch.equal(copy, IMAGE)
        assert torch.equal(hidden, blur(IMAGE, [BOX]))
        assert torch.equal(FaceBlur(writing)([copy])[0], hidden)


@pytest.mark.parametrize("found", [[torch.tensor([BOX], device="meta")], Regions.from_boxes([[BOX]]).to("meta")])
def test_answers_without_numbers(found) -> None:
    with pytest.raises(ValueError, match=r"device='meta'.*expected rows of four numbers|which holds no numbers"):
        FaceBlur(lambda images: found)(IMAGE)


class NeedsPath:
    def __init__(self, path):
        raise AssertionError


class NeedsFile:
    def __init__(self):
        Path("/no/such/file").read_bytes()

    def __call__(self, images):
        return [[] for _ in images]


class NeedsWeights(NeedsFile):
    def __init__(self):
        raise UsageError("of its own")


@pytest.mark.parametrize(
    ("detector", "sentence"),
    [
        (NeedsPath, "'.*:NeedsPath' cannot be made: TypeError: .* missing 1 required positional argument: 'path', exp"),
        (NeedsFile, "cannot be made: FileNotFoundError: .*, expected a class that is made without arguments"),
        (NeedsWeights, "^of its own$"),
    ],
)
def test_classes_that_cannot_be_made(detector, sentence) -> None:
    for given in (detector, f"{__name__}:{detector.__name__}"):
        with pytest.raises(UsageError, match=sentence):
            resolve(given)
        with pytest.raises(UsageError, match=sentence):
            HideFaces(given)(PIXELS)


def test_modules_that_cannot_be_imported(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, text, said in (
        ("own_syntax", "def f(i) return", "SyntaxError: expected ':'"),
        ("own_value", "int('x')", "ValueError: invalid literal"),
        ("own_exit", "raise SystemExit(0)", "SystemExit: 0"),
    ):
        (tmp_path / f"{name}.py").write_text(text)
        with pytest.raises(UsageError, match=f"detector '{name}:f' cannot be imported: {said}"):
            resolve(f"{name}:f")


def test_a_detector_that_does_not_write_costs_no_copy() -> None:
    seen = []

    def detector(images):
        seen.extend(image.data_ptr() for image in images)
        return [[] for _ in images]

    FaceBlur(detector)(IMAGE)
    assert seen == [IMAGE.data_ptr()]
    assert np.array_equal(IMAGE.permute(1, 2, 0).numpy(), PIXELS)

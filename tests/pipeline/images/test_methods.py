import re
from typing import Any

import numpy as np
import pytest

from fastblur.codecs import Picture
from fastblur.ops import blur, fill, pixelate
from fastblur.pipeline.images.methods import as_levels, make_hide, parse_color
from fastblur.recipes import RECIPES
from tests.pipeline.helpers import FACE

BOXES = np.array([FACE], np.float32)


def picture(pixels: np.ndarray, color: str) -> Picture:
    return Picture(pixels.copy(), "PNG", color, 1, b"")


def as_tensor(pixels: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(pixels).permute(2, 0, 1)


@pytest.mark.parametrize(
    ("method", "options", "operator", "arguments"),
    [
        ("blur", {}, blur, {}),
        ("blur", {"recipe": "ilsvrc", "margin": 0.3}, blur, {"recipe": "ilsvrc", "margin": 0.3}),
        (
            "blur",
            {"strength": 0.3, "feather": 0.0, "shape": "ellipse"},
            blur,
            {"strength": 0.3, "feather": 0.0, "shape": "ellipse"},
        ),
        ("blur", {"scope": "image"}, blur, {"scope": "image"}),
        ("pixelate", {}, pixelate, {}),
        ("pixelate", {"blocks": 3, "shape": "ellipse"}, pixelate, {"blocks": 3, "shape": "ellipse"}),
        ("fill", {}, fill, {}),
        ("fill", {"color": "10,200,30", "feather": 0.1}, fill, {"color": (10, 200, 30), "feather": 0.1}),
    ],
)
def test_a_picture_gets_what_the_operator_gives(
    face_pixels: np.ndarray, method: str, options: dict[str, Any], operator: Any, arguments: dict[str, Any]
) -> None:
    hide, parameters = make_hide(method, "cpu", **options)
    changed = picture(face_pixels, "RGB")
    hide([changed], [BOXES])
    expected = operator(as_tensor(face_pixels), BOXES, **arguments).permute(1, 2, 0).numpy()
    assert np.array_equal(changed.pixels, expected)
    assert not np.array_equal(changed.pixels, face_pixels)
    assert parameters["method"] == method
    assert {name: parameters[name] for name in options} == options


@pytest.mark.parametrize("color", ["L", "LA", "RGBA", "CMYK"])
def test_fill_in_every_kind_of_picture(face_pixels: np.ndarray, color: str) -> None:
    hide, _ = make_hide("fill", "cpu", color="255,128,0")
    pixels = np.resize(face_pixels, (*face_pixels.shape[:2], len(color)))
    changed = picture(pixels, color)
    hide([changed], [BOXES])
    # 0.299 * 255 + 0.587 * 128 = 151.4
    expected = {"L": [151], "LA": [151, 255], "RGBA": [255, 128, 0, 255], "CMYK": [0, 127, 255, 0]}[color]
    assert changed.pixels[125, 225].tolist() == expected
    assert np.array_equal(changed.pixels[:, :100], pixels[:, :100])


def test_no_box_changes_nothing(face_pixels: np.ndarray) -> None:
    for method in ("blur", "pixelate", "fill"):
        changed = picture(face_pixels, "RGB")
        make_hide(method, "cpu")[0]([changed], [np.zeros((0, 4), np.float32)])
        assert np.array_equal(changed.pixels, face_pixels)


@pytest.mark.parametrize(
    ("method", "options", "word"),
    [
        ("smear", {}, "method is 'smear', expected 'blur', 'pixelate' or 'fill'"),
        ("blur", {"recipe": "strong"}, "recipe is 'strong'"),
        ("blur", {"strength": -1.0}, "strength is -1.0"),
        ("blur", {"margin": float("nan")}, "margin is nan"),
        ("blur", {"feather": float("inf")}, "feather is inf"),
        ("blur", {"shape": "star"}, "shape is 'star'"),
        ("blur", {"scope": "face"}, "scope is 'face'"),
        ("pixelate", {"shape": "star"}, "shape is 'star'"),
        ("fill", {"scope": "image"}, "scope has no effect with method 'fill'"),
        ("blur", {"blocks": 8}, "blocks has no effect with method 'blur'"),
        ("pixelate", {"strength": 0.1}, "strength has no effect with method 'pixelate'"),
        ("pixelate", {"recipe": "ilsvrc"}, "recipe has no effect with method 'pixelate'"),
        ("pixelate", {"blocks": 0}, "blocks is 0"),
        ("fill", {"margin": -0.5}, "margin is -0.5"),
        ("fill", {"color": "red"}, "color is 'red'"),
        ("fill", {"color": "1,2"}, "color is '1,2'"),
        ("fill", {"color": "256"}, "color is '256'"),
    ],
)
def test_what_does_not_fit_is_refused_before_any_image(method: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        make_hide(method, "cpu", **options)


def test_colors() -> None:
    assert parse_color("7") == (7, 7, 7)
    assert parse_color("255, 128,0") == (255, 128, 0)
    assert as_levels((255, 255, 255), "L") == [255]
    assert as_levels((0, 0, 0), "CMYK") == [255, 255, 255, 0]


@pytest.mark.parametrize(
    ("method", "options", "word"),
    [
        ("blur", {"strength": 0.0}, "strength is 0.0, expected at least 0.05"),
        ("blur", {"feather": 0.5}, "feather is 0.5 with a margin of 0.15, which hides the middle of a face by 65%"),
        ("fill", {"feather": 3.0}, "feather is 3.0 with a margin of 0.1"),
        ("pixelate", {"blocks": 33}, "blocks is 33, expected at most 32"),
        ("blur", {"foo": 1}, "'foo' is no option"),
    ],
)
def test_what_would_not_hide_a_face_is_refused(method: str, options: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=re.escape(word)):
        make_hide(method, "cpu", **options)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_hides(recipe: str) -> None:
    make_hide("blur", "cpu", recipe=recipe)

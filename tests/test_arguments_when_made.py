"""Arguments are checked when an object is made; NumPy's numbers are numbers; repr shows what was chosen."""

import json
import re

import numpy as np
import pytest
import torch

import fastblur
from fastblur import FaceBlur, Recipe, UsageError
from fastblur.detectors import DetectorSettings, WeightsNotFound, weights
from fastblur.integrations.ray_data import HideFaces as RayHideFaces
from fastblur.transforms import HideFaces


def nothing(images):
    return [[] for _ in images]


SENTENCES = [
    ({"method": "fill", "color": "red"}, "color is 'red', expected a level 0..255 or three of them, as 255,0,0"),
    ({"method": "fill", "color": -1}, "color is -1, expected a level"),
    ({"method": "fill", "color": [1, float("nan"), 3]}, "color is [1, nan, 3], expected a level"),
    ({"method": "fill", "color": True}, "color is True, expected a level"),
    ({"method": "pixelate", "blocks": 2.5}, "blocks is 2.5, expected an int"),
    ({"blocks": 4}, "blocks has no effect with method 'blur', expected it left out"),
    ({"method": "pixelate", "recipe": "ilsvrc"}, "recipe has no effect with method 'pixelate'"),
    ({"shape": "elipse"}, "shape is 'elipse', expected 'box' or 'ellipse'"),
    ({"strength": "high"}, "strength is 'high', expected a number from 0 to 100"),
    ({"channels": "grb"}, "channels is 'grb', expected 'rgb' or 'bgr'"),
]
OF_A_DETECTOR = [
    ({"threshold": 1.5}, "threshold is 1.5, expected a number in 0..1"),
    ({"threshold": "low"}, "threshold is 'low', expected a number in 0..1"),
    ({"threshold": True}, "threshold is True, expected a number in 0..1"),
    ({"detect_size": 0}, "detect_size is 0, expected an int >= 1"),
    ({"detect_size": 640.0}, "detect_size is 640.0, expected an int >= 1"),
    ({"device": "gpu"}, "device is 'gpu', expected one of torch's, as 'cpu' or 'cuda:0'"),
    ({"engine": "tensorrt"}, "engine is 'tensorrt', expected 'torch' or 'onnx'"),
    ({"device": "meta"}, "device is 'meta', which holds no pixels, expected another"),
    ({"device": "cuda:99"}, "device is 'cuda:99', but this machine has"),
    ({"weights": 5}, "weights is 5, expected the path of a file"),
]


@pytest.mark.parametrize(("options", "sentence"), SENTENCES)
@pytest.mark.parametrize("make", [FaceBlur, HideFaces])
def test_a_wrong_argument(make, options, sentence) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        make(nothing, **options)


@pytest.mark.parametrize(("options", "sentence"), OF_A_DETECTOR)
@pytest.mark.parametrize("make", [FaceBlur, HideFaces])
def test_a_wrong_setting_of_a_detector(make, options, sentence) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        make("centerface", **options)


def test_cuda_where_there_is_none(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for make in (FaceBlur, HideFaces, fastblur.load_detector):
        with pytest.raises(UsageError, match="device is 'cuda', but this machine has none, or the installed PyTorch"):
            make("centerface", device="cuda")
    assert DetectorSettings(device="cuda").engine == "torch"  # for another machine


@pytest.mark.parametrize("hide", [FaceBlur(nothing), HideFaces(nothing)])
def test_transforms_under_which_nothing_is_found(hide) -> None:
    images = torch.rand(2, 3, 40, 50)
    with pytest.raises(UsageError, match="vmap maps over the images, expected them as one batch"):
        torch.func.vmap(hide)(images)
    with pytest.raises(UsageError, match="trace would keep the faces of its example in the graph"):
        torch.jit.trace(hide, (images,))


def test_ray_checks_when_it_is_made() -> None:
    with pytest.raises(UsageError, match="color is 'red'"):
        RayHideFaces(method="fill", color="red")
    with pytest.raises(UsageError, match="box_format is 'yolo'"):
        RayHideFaces(box_column="boxes", box_format="yolo")


def test_weights_that_are_absent(tmp_path) -> None:
    for make in (FaceBlur, HideFaces):
        with pytest.raises(WeightsNotFound, match="which is no file"):
            make("yunet", weights=tmp_path / "no.pth")


def test_weights_that_cannot_be_had(monkeypatch, tmp_path) -> None:
    """CenterFace's come inside a package and from nowhere else."""
    monkeypatch.setattr(weights, "places", lambda name: [tmp_path / "centerface.onnx"])
    for make in (FaceBlur, HideFaces):
        with pytest.raises(WeightsNotFound, match="centerface"):
            make()
    HideFaces("yunet")  # which is downloaded when it is first used


@pytest.mark.parametrize("images", [3.5, (0, "a"), [], True])
def test_what_cannot_name_images(images) -> None:
    with pytest.raises(TypeError, match="expected keys of a dict, as 'jpg', or places in a tuple"):
        HideFaces(nothing, images=images)


def test_numpys_numbers_are_numbers() -> None:
    image = torch.rand(3, 40, 50)
    for kind in (np.float32, np.float64, np.float16):
        wide = fastblur.blur(image, [[5, 5, 30, 30]], strength=kind(0.25), margin=kind(0.5), feather=kind(0))
        assert torch.equal(wide, fastblur.blur(image, [[5, 5, 30, 30]], strength=0.25, margin=0.5, feather=0))
    for whole in (np.int64(5), np.uint8(5)):
        mosaic = fastblur.pixelate(image, [[5, 5, 30, 30]], blocks=whole)
        assert torch.equal(mosaic, fastblur.pixelate(image, [[5, 5, 30, 30]], blocks=5))
    settings = DetectorSettings(threshold=np.float64(0.5), detect_size=np.int32(640), threads=np.int8(1))
    assert (settings, type(settings.threshold), type(settings.detect_size)) == (
        DetectorSettings(threshold=0.5, detect_size=640, threads=1), float, int
    )  # fmt: skip
    recipe = Recipe(strength=np.float64(0.25))
    assert json.loads(json.dumps(vars(recipe)))["strength"] == 0.25
    hide = HideFaces(nothing, "pixelate", blocks=np.int64(6), margin=np.float64(0.25))
    assert hide(np.zeros((40, 40, 3), np.uint8)).shape == (40, 40, 3)


def test_repr_says_what_was_chosen() -> None:
    assert repr(HideFaces("yunet", threshold=np.float64(0.5), device="cpu", recipe="ilsvrc")) == (
        "HideFaces(detector='yunet', threshold=0.5, device=device(type='cpu'), method='blur', recipe='ilsvrc')"
    )
    assert repr(HideFaces(boxes="faces", box_format="xywh", images="image", channels="bgr", method="pixelate")) == (
        "HideFaces(boxes='faces', box_format='xywh', box_coordinates='auto', method='pixelate', images=('image',), "
        "channels='bgr')"
    )
    assert (
        repr(HideFaces(nothing, "fill", color=7)) == f"HideFaces(detector='{__name__}:nothing', method='fill', color=7)"
    )
    assert repr(FaceBlur(nothing, "pixelate", channels="bgr")) == (
        f"FaceBlur(detector='{__name__}:nothing', method='pixelate', blocks=8, margin=0.1, shape='box', channels='bgr')"
    )


def test_images_without_pixels_keep_their_shape() -> None:
    images, mask = torch.zeros(2, 3, 40, 50, device="meta"), torch.zeros(2, 1, 40, 50, device="meta")
    regions = fastblur.Regions.from_boxes([[[5, 5, 30, 30]], []]).to("meta")
    for hidden in (
        fastblur.blur(images, regions),
        fastblur.pixelate(images, regions),
        fastblur.fill(images, regions),
        fastblur.masked_blur2d(images, mask, 2.0),
        fastblur.MaskedGaussianBlur2d(2.0).to("meta")(images, mask),
    ):
        assert (hidden.shape, hidden.dtype, hidden.device.type) == (images.shape, images.dtype, "meta")
    assert [one.shape for one in fastblur.blur(list(images), regions)] == [images.shape[1:]] * 2
    with pytest.raises(ValueError, match="the device 'meta', which holds no pixels"):
        FaceBlur(nothing)(images)

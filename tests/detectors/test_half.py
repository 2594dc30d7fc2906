"""Half precision: in float16 by themselves run the networks whose boxes stay the same to half a pixel."""

import pytest
import torch

from fastblur.detectors.networks.centerface import CENTERFACE
from fastblur.detectors.networks.retinaface import MOBILENET025, RESNET50
from fastblur.detectors.networks.yunet import YUNET
from fastblur.detectors.preprocess import letterbox
from tests.detectors.half import moves
from tests.detectors.photographs import known_faces
from tests.detectors.runtimes.test_torch import loaded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def photographs(shared):
    return [image for _, (image, _) in sorted(known_faces(shared).items())]


def pair(name, shared):
    """The detector in both precisions, small, since float16 is slow here; `tests.detectors.half` takes its own size."""
    return [loaded(name, shared, engine="torch", half=half, detect_size=320) for half in (False, True)]


def test_boxes_of_known_faces_stay_the_same_to_half_a_pixel(shared, photographs):
    moved, alone = moves(*pair("centerface", shared), photographs)
    assert len(moved) >= 2 * 43
    assert all(score < 0.25 + 0.02 for score in alone)  # at the threshold one may come or go
    assert 0 < max(moved) <= 0.5


def test_what_does_not_stay_the_same_runs_in_float32(shared, photographs):
    """YuNet's scores crowd at 1, and in float16 another anchor wins. docs/detectors.md has MobileNet's figures."""
    moved, alone = moves(*pair("yunet", shared), photographs)
    assert alone or max(moved) > 0.5
    assert [network.half for network in (CENTERFACE, MOBILENET025, YUNET, RESNET50)] == [True, False, False, False]


def test_only_the_network_is_in_float16(shared, photographs):
    detector = loaded("retinaface-mobilenet0.25", shared, engine="torch", half=True)
    heads = detector._forward(torch.zeros(1, 3, 64, 64))
    assert {head.dtype for head in heads} == {torch.float16}
    regions = detector(photographs[0])
    assert regions.boxes.dtype == regions.scores.dtype == regions.landmarks.dtype == torch.float32


def test_autocast_around_a_detector_changes_nothing(shared, photographs):
    detector = loaded("retinaface-mobilenet0.25", shared, engine="torch")
    expected = detector(photographs[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        regions = detector(photographs[0])
    assert torch.equal(regions.boxes, expected.boxes)
    assert torch.equal(regions.scores, expected.scores)


def test_the_choice(shared):
    assert not loaded("centerface", shared).half
    assert not loaded("centerface", shared, engine="torch").half
    assert loaded("centerface", shared, engine="torch", half=True).half
    with pytest.raises(ValueError, match="half is True with engine 'onnx', expected engine 'torch'"):
        loaded("centerface", shared, half=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("name", ["centerface", "retinaface-mobilenet0.25"])
def test_on_cuda(name, shared, photographs):
    exact, cuda = loaded(name, shared, engine="torch"), loaded(name, shared, device="cuda")
    assert cuda.half == (name == "centerface")
    moved, alone = moves(exact, cuda, photographs)
    assert all(score < exact.threshold + 0.02 for score in alone)
    assert max(moved) <= 0.5
    assert loaded(name, shared, device="cuda", half=False).half is False


@pytest.mark.parametrize("floating", [False, True])
@pytest.mark.parametrize("size", [(96, 128), (90, 120), (200, 300)], ids=["as it is", "padded", "scaled"])
def test_an_input_made_in_float16_is_the_float32_one_rounded(size, floating):
    stack = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    stack = stack / 255 if floating else stack
    fitted = (min(size[0], 96), min(size[1], 128))
    fill = torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    whole, half = (
        letterbox([stack], [fitted], (96, 128), fill, dtype=dtype) for dtype in (torch.float32, torch.float16)
    )
    assert half.dtype == torch.float16
    assert torch.equal(half, whole.half())

"""YuNet against kornia's own FaceDetector on the same weights, and on photographs whose faces are known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fastblur.detectors import Detector, load_detector
from fastblur.detectors.networks.anchors import make_anchors
from fastblur.detectors.networks.yunet import LEVELS, YUNET
from fastblur.detectors.postprocess import to_regions
from fastblur.detectors.runtimes.batch_norm import fold_batch_norm
from fastblur.regions import Regions
from tests.detectors.photographs import assert_same, known_faces, matched

pytest.importorskip("kornia.models.yunet", reason="kornia before 0.8.3 feeds YuNet RGB: nothing to compare with")


@pytest.fixture(scope="module")
def weights(shared: Path) -> Path:
    path = shared / "weights" / "yunet_final.pth"
    if not path.is_file():
        pytest.skip(f"weights absent: no {path.name}")
    return path


@pytest.fixture(scope="module")
def peer(weights: Path) -> torch.nn.Module:
    """kornia.contrib.FaceDetector with the weights that it would download."""
    from kornia.contrib import FaceDetector
    from kornia.models.yunet import model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "load_state_dict_from_url", lambda *_, **__: torch.load(weights, "cpu", weights_only=True))
        return FaceDetector(confidence_threshold=0.3, nms_threshold=0.3)


@pytest.fixture(scope="module")
def detector(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield load_detector("yunet", weights=weights)


@pytest.fixture(scope="module")
def batch(shared: Path) -> Tensor:
    """The upper left 384 x 320 pixels of four photographs with faces, (4, 3, 320, 384) uint8."""
    images = [image for image, _ in known_faces(shared).values() if image.shape[1] >= 320 and image.shape[2] >= 384]
    return torch.stack([image[:, :320, :384] for image in images[:4]])


def test_boxes_scores_and_landmarks_are_those_of_kornia(weights: Path, peer: torch.nn.Module, batch: Tensor) -> None:
    with torch.no_grad():
        theirs = peer(batch.float())
        candidates = YUNET.decode(YUNET.load(weights)(batch.flip(1).float()), *batch.shape[2:])
    ours = to_regions(candidates, 0.3, 0.3, can_sync=True)
    assert sum(map(len, theirs)) >= 12
    for b, rows in enumerate(theirs):
        count = torch.tensor([len(rows)])
        peers = Regions(rows[None, :, :4], count, rows[None, :, 14], rows[:, 4:14].reshape(1, -1, 5, 2))
        assert_same(ours[b : b + 1], peers, threshold=0.3)


def test_anchors_are_kornias_prior_boxes() -> None:
    from kornia.models.yunet.processors import PriorBox

    height, width = 192, 64
    sizes, strides = [list(sides) for _, sides in LEVELS], [stride for stride, _ in LEVELS]
    expected = PriorBox(sizes, strides, clip=False, image_size=(height, width))() * torch.tensor([width, height] * 2)
    ours = make_anchors(LEVELS, height, width, torch.device("cpu"))
    torch.testing.assert_close(ours[:, [0, 1, 2, 2]], expected, atol=1e-4, rtol=1e-5)


@pytest.mark.slow
def test_every_known_face_is_found_and_little_else(detector: Detector, shared: Path) -> None:
    photos = known_faces(shared).values()
    regions = detector([image for image, _ in photos])
    assert sum(len(known) for _, known in photos) == 43
    assert sum(matched(known, boxes.numpy()) for (_, known), boxes in zip(photos, regions, strict=True)) == 43
    assert int(regions.counts.sum()) <= 50


def test_smallest_image_goes_through(detector: Detector) -> None:
    assert detector(torch.zeros(3, 1, 1, dtype=torch.uint8)).counts.tolist() == [0]


def test_onnx_and_torch_engines_agree(weights: Path, detector: Detector, astronaut: Tensor) -> None:
    eager = load_detector("yunet", weights=weights, engine="torch")
    images = [astronaut, astronaut[:, :130, 150:400]]
    ours, theirs = detector(images), eager(images)
    assert ours.counts.tolist() == theirs.counts.tolist()
    assert ours.counts.min() >= 1
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=0.01)


def test_folded_network_gives_the_same_heads(weights: Path, batch: Tensor) -> None:
    net = YUNET.load(weights)
    folded = fold_batch_norm(net)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        for ours, theirs in zip(folded(batch.float()), net(batch.float()), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)

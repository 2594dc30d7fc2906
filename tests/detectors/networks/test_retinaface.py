"""RetinaFace against the peer package's own code on the same weights, and on photographs whose faces are known."""

import copy
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fastblur.detectors import Detector, load_detector
from fastblur.detectors.networks.anchors import make_anchors
from fastblur.detectors.networks.retinaface import MOBILENET025, RESNET50, RESNET50_LEVELS, RetinaFace
from fastblur.detectors.nms import iou
from fastblur.detectors.postprocess import to_regions
from fastblur.detectors.runtimes.batch_norm import fold_batch_norm
from tests.detectors.networks.peer_retinaface import import_peer
from tests.detectors.photographs import known_faces, matched

WIDTH, HEIGHT = 320, 256  # of the image that is compared: multiples of 32, so that neither side pads or scales it


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    return import_peer()


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A corner of scikit-image's photograph of an astronaut, (256, 320, 3) uint8."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut()[:HEIGHT, 60 : 60 + WIDTH])


def normalised(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) as the network was trained, in the package's own order of operations."""
    x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (x - mean[:, None, None]) / std[:, None, None]


@pytest.fixture(scope="module")
def pair(peer: ModuleType, image: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, RetinaFace]:
    """The peer's Model and our network with the same weights: random ones, of which something can be seen.

    Batch norms get the statistics of the photograph, else 50 layers of random weights die out or explode; the class
    heads are scaled up, so that some anchors are called faces and most are not.
    """
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision's, of the old way in which the package asks for ResNet-50
        torch.manual_seed(5)
        model = peer.Model(max_size=WIDTH)
        for module in model.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None  # the statistics of all images seen
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.5, 0.5)
        model.model.train()
        with torch.no_grad():
            model.model(normalised(image))
        for head in model.model.ClassHead:
            head.conv1x1.weight.data *= 4
            head.conv1x1.bias.data[0::2] += 5.0  # the logits of background
    model.eval()
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(model.model.state_dict(), path)
    return model, RESNET50.load(path)


def test_state_dict_has_the_names_and_shapes_of_the_package(pair: tuple[Any, RetinaFace]) -> None:
    model, net = pair
    theirs = [(name, tuple(value.shape)) for name, value in model.model.state_dict().items()]
    assert [(name, tuple(value.shape)) for name, value in net.state_dict().items()] == theirs
    assert len(theirs) == 456


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (96, 64), (75, 130)])
def test_heads_are_those_of_the_package(pair: tuple[Any, RetinaFace], image: np.ndarray, size: tuple[int, int]) -> None:
    model, net = pair
    x = torch.cat((normalised(image[: size[0], : size[1]]), normalised(image[-size[0] :, -size[1] :])))
    with torch.no_grad():
        for ours, theirs in zip(net(x), model.model(x), strict=True):
            assert theirs.std() > 0.05
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [(64, 96), (75, 130), (1, 1)])
def test_anchors_are_the_packages_prior_boxes(peer: ModuleType, size: tuple[int, int]) -> None:
    height, width = size
    priors = peer.priorbox([[16, 32], [64, 128], [256, 512]], [8, 16, 32], clip=False, image_size=size)
    expected = priors * torch.tensor([width, height, width, height])
    ours = make_anchors(RESNET50_LEVELS, height, width, torch.device("cpu"))
    torch.testing.assert_close(ours[:, [0, 1, 2, 2]], expected, atol=1e-4, rtol=1e-5)


def widest_gap(values: Tensor, low: float, high: float) -> float:
    """The middle of the widest interval in low..high that none of the values is in, at least 1e-4 wide."""
    inside = torch.cat((values[(values > low) & (values < high)], torch.tensor([low, high]))).sort().values
    widths = inside.diff()
    assert widths.max() > 1e-4
    return float(inside[widths.argmax()] + widths.max() / 2)


def test_boxes_scores_and_landmarks_are_those_of_predict_jsons(
    pair: tuple[Any, RetinaFace], image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the same heads, with scores far apart and an NMS threshold far from every overlap: no rounding decides."""
    model, net = pair
    with torch.no_grad():
        offsets, _, points = net(normalised(image))
    generator = torch.Generator().manual_seed(3)
    scores = torch.full((1, offsets.shape[1]), 0.1)
    boxes = RESNET50.decode((offsets, torch.zeros(1, offsets.shape[1], 2), points), HEIGHT, WIDTH)[0][0]
    limit = torch.tensor([WIDTH, HEIGHT]) - 3
    inside = ((boxes[:, :2] > 2) & (boxes[:, 2:] < limit) & (boxes[:, 2:] - boxes[:, :2] > 2)).all(1).nonzero()[:, 0]
    some = inside[-200:]  # neighbours; the package leaves out boxes at the border
    scores[0, some] = torch.linspace(0.6, 0.95, len(some))[torch.randperm(len(some), generator=generator)]
    logits = torch.stack((torch.zeros_like(scores), torch.logit(scores)), dim=-1)
    overlaps = iou(boxes[some][None], boxes[some][None])[0].triu(1).flatten()
    threshold = widest_gap(overlaps, 0.2, 0.6)
    monkeypatch.setattr(model, "model", lambda x: (offsets.clone(), logits, points.clone()))
    theirs = model.predict_jsons(image, confidence_threshold=0.5, nms_threshold=threshold)
    assert 20 < len(theirs) < len(some) - 20
    ours = to_regions(RESNET50.decode((offsets, logits, points), HEIGHT, WIDTH), 0.5, threshold, can_sync=True)
    assert ours.counts.tolist() == [len(theirs)]
    near = {"atol": 0.01 + 0.005, "rtol": 0}  # the package rounds to two digits
    np.testing.assert_allclose(ours.boxes[0], [a["bbox"] for a in theirs], **near)
    np.testing.assert_allclose(ours.scores[0], [a["score"] for a in theirs], **near)
    np.testing.assert_allclose(ours.landmarks[0], [a["landmarks"] for a in theirs], **near)


def test_decode_is_that_of_the_package(peer: ModuleType) -> None:
    generator = torch.Generator().manual_seed(2)
    table = make_anchors(RESNET50_LEVELS, 96, 64, torch.device("cpu"))
    offsets, points = (torch.randn(2, len(table), n, generator=generator) for n in (4, 10))
    logits = torch.randn(2, len(table), 2, generator=generator)
    boxes, scores, landmarks = RESNET50.decode((offsets, logits, points), 96, 64)
    priors = peer.priorbox([[16, 32], [64, 128], [256, 512]], [8, 16, 32], clip=False, image_size=(96, 64))
    size = torch.tensor([64.0, 96.0])
    for b in range(2):
        torch.testing.assert_close(
            boxes[b], peer.decode(offsets[b], priors, [0.1, 0.2]) * size.repeat(2), atol=1e-3, rtol=1e-5
        )
        expected = peer.decode_landm(points[b], priors, [0.1, 0.2]) * size.repeat(5)
        torch.testing.assert_close(landmarks[b].flatten(1), expected, atol=1e-3, rtol=1e-5)
    torch.testing.assert_close(scores, logits.softmax(-1)[..., 1])


def test_normalisation_is_that_of_the_package(pair: tuple[Any, RetinaFace], image: np.ndarray) -> None:
    theirs = pair[0].transform(image=image)["image"]
    ours = (image - np.array(RESNET50.mean)) / np.array(RESNET50.std)
    assert not RESNET50.bgr
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_batch_norm_folds_into_the_convolutions(pair: tuple[Any, RetinaFace], image: np.ndarray) -> None:
    net = copy.deepcopy(pair[1]).double()  # float64 tells the algebra from rounding
    folded = fold_batch_norm(net)
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules()) > 50
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    x = normalised(image[:64, :96]).double()
    with torch.no_grad():
        for ours, theirs in zip(folded(x), net(x), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0)


# RetinaFace with MobileNet-0.25, on photographs


@pytest.fixture(scope="module")
def mobilenet(shared: Path) -> Path:
    path = shared / "weights" / "retinaface_mobilenet0.25.pth"
    if not path.is_file():
        pytest.skip(f"weights absent: no {path.name}")
    return path


@pytest.fixture(scope="module")
def detector(mobilenet: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Detector]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield load_detector("retinaface-mobilenet0.25", weights=mobilenet)


@pytest.mark.slow
def test_every_known_face_is_found_and_little_else(detector: Detector, shared: Path) -> None:
    photos = known_faces(shared).values()
    regions = detector([image for image, _ in photos])
    assert sum(len(known) for _, known in photos) == 43
    assert sum(matched(known, boxes.numpy()) for (_, known), boxes in zip(photos, regions, strict=True)) == 43
    assert int(regions.counts.sum()) <= 50


def test_landmarks_lie_as_in_a_face(detector: Detector, astronaut: Tensor) -> None:
    regions = detector(astronaut)
    assert regions.landmarks is not None
    left_eye, right_eye, nose, left_mouth, right_mouth = regions.landmarks[0, 0].tolist()
    x0, y0, x1, y1 = regions.boxes[0, 0].tolist()
    assert all(x0 < x < x1 and y0 < y < y1 for x, y in (left_eye, right_eye, nose, left_mouth, right_mouth))
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_onnx_and_torch_engines_agree(mobilenet: Path, detector: Detector, astronaut: Tensor) -> None:
    eager = load_detector("retinaface-mobilenet0.25", weights=mobilenet, engine="torch")
    images = [astronaut, astronaut[:, :130, 150:400]]
    ours, theirs = detector(images), eager(images)
    assert ours.counts.tolist() == theirs.counts.tolist()
    assert ours.counts.min() >= 1
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=0.01, rtol=0)


def test_folded_network_gives_the_same_heads(mobilenet: Path, astronaut: Tensor) -> None:
    net = MOBILENET025.load(mobilenet)
    x = (astronaut[None].flip(1) - torch.tensor(MOBILENET025.mean)[:, None, None])[..., :256, :320]
    with torch.no_grad():
        for ours, theirs in zip(fold_batch_norm(net)(x), net(x), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0)


def test_weights_of_another_backbone_are_refused(mobilenet: Path) -> None:
    with pytest.raises(ValueError, match=r"do not fit RetinaFace: .* expected its 456 entries, found 300"):
        RESNET50.load(mobilenet)
    assert len(MOBILENET025.load(mobilenet).state_dict()) == 300

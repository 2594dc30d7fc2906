"""Regions: made from boxes, padded, moved, filtered, scaled, clipped, indexed; immutable."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fastblur
from fastblur import Regions
from fastblur.options import BoxFormat, choices
from tests.kernels.cases import STABLE

ROWS = [[[1.5, 2, 3, 4], [5, 6, 7.25, 8]], [], [[0, 0, 9, 9]]]
SCORES = [[0.9, 0.2], [], [0.5]]

corner = st.tuples(st.floats(-1e4, 1e4, width=32), st.floats(-1e4, 1e4, width=32))
box = st.builds(lambda a, b: [min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1])], corner, corner)
rows_of_images = st.lists(st.lists(box.filter(lambda row: max(map(abs, row)) > 2), max_size=5), max_size=5)


def landmarks_like(regions):
    return torch.arange(regions.boxes[..., 0].numel() * 10, dtype=torch.float32).reshape(*regions.boxes.shape[:2], 5, 2)


@pytest.mark.slow
@given(rows=rows_of_images)
@STABLE
def test_property_boxes_come_back(rows):
    regions = Regions.from_boxes(rows)
    assert regions.tolist() == rows
    assert len(regions) == len(rows)
    assert regions.boxes.shape == (len(rows), max(map(len, rows), default=0), 4)
    assert regions.counts.tolist() == [len(r) for r in rows]
    assert [boxes.tolist() for boxes in regions] == rows
    assert [regions[i].tolist() for i in range(len(rows))] == rows
    assert regions.valid.sum(1).tolist() == regions.counts.tolist()
    assert [r.tolist() for r in regions[1:3]] == rows[1:3]


@pytest.mark.slow
@given(rows=rows_of_images, data=st.data())
@STABLE
def test_property_above_is_a_filter(rows, data):
    scores = [data.draw(st.lists(st.floats(0, 1, width=32), min_size=len(r), max_size=len(r))) for r in rows]
    limit = data.draw(st.floats(0, 1, width=32))
    kept = Regions.from_boxes(rows, scores).above(limit)
    expected = [[b for b, s in zip(r, ss, strict=True) if s >= limit] for r, ss in zip(rows, scores, strict=True)]
    assert kept.tolist() == expected
    assert kept.scores is not None
    assert kept.scores[kept.valid].tolist() == [s for ss in scores for s in ss if s >= limit]
    assert kept.boxes.shape == Regions.from_boxes(rows).boxes.shape  # no shape depends on a value


def test_dtypes_and_devices():
    regions = Regions.from_boxes(ROWS, SCORES)
    assert regions.boxes.dtype == regions.scores.dtype == torch.float32
    assert regions.counts.dtype == torch.int64
    assert regions.device == torch.device("cpu")
    assert repr(regions) == "Regions(3 in 3 images, device='cpu')"
    assert Regions(regions.boxes.double(), regions.counts.int()).boxes.dtype == torch.float32
    assert Regions(regions.boxes.double(), regions.counts.int()).counts.dtype == torch.int64
    moved = regions.to("meta")
    assert {t.device.type for t in (moved.boxes, moved.counts, moved.scores)} == {"meta"}
    assert torch.equal(regions.to("cpu").boxes, regions.boxes)


@pytest.mark.parametrize(
    "form",
    [list, lambda r: np.array(r, np.float64).reshape(-1, 4), lambda r: torch.tensor(r).reshape(-1, 4), tuple],
    ids=["lists", "arrays", "tensors", "tuples"],
)
def test_from_boxes_in_every_form(form):
    assert Regions.from_boxes([form(rows) for rows in ROWS]).tolist() == ROWS


def test_from_boxes_leaves_its_arguments_alone():
    array = np.array([[1, 2, 3, 4.0]])
    regions = Regions.from_boxes([array])
    regions.boxes[0, 0, 0] = 99
    assert array[0, 0] == 1


def test_no_images_and_no_regions():
    assert len(Regions.from_boxes([])) == 0
    assert Regions.from_boxes([]).tolist() == []
    empty = Regions.from_boxes([[], []], [[], []])
    assert empty.boxes.shape == (2, 0, 4)
    assert empty.above(0.5).tolist() == empty.scaled(2, 3).tolist() == empty.clipped((5, 5)).tolist() == [[], []]


def test_scaled():
    regions = Regions.from_boxes(ROWS, SCORES)
    regions = Regions(regions.boxes, regions.counts, regions.scores, landmarks_like(regions))
    wide = regions.scaled(2, 0.5)
    assert wide.tolist() == [[[3, 1, 6, 2], [10, 3, 14.5, 4]], [], [[0, 0, 18, 4.5]]]
    assert torch.equal(wide.landmarks, regions.landmarks * torch.tensor([2, 0.5]))
    assert torch.equal(wide.scores, regions.scores)
    each = regions.scaled(torch.tensor([1.0, 5, 2]), torch.tensor([3.0, 5, 1]))
    assert each.tolist() == [[[1.5, 6, 3, 12], [5, 18, 7.25, 24]], [], [[0, 0, 18, 9]]]
    assert torch.equal(each.landmarks[2], regions.landmarks[2] * torch.tensor([2.0, 1]))


def test_clipped():
    regions = Regions.from_boxes([[[-3, -2, 5, 4], [8, 3, 30, 20]], [[-9, -9, -1, -1], [50, 2, 60, 4], [1, 2, 3, 4]]])
    expected = [[[0, 0, 5, 4], [8, 3, 12, 10]], [[0, 0, 0, 0], [12, 2, 12, 4], [1, 2, 3, 4]]]
    assert regions.clipped((10, 12)).tolist() == expected  # (H, W)
    assert regions.clipped([(10, 12), (10, 12)]).tolist() == expected
    sizes = torch.tensor([[4, 9], [100, 55]])
    assert regions.clipped(sizes).tolist() == [
        [[0, 0, 5, 4], [8, 3, 9, 4]],
        [[0, 0, 0, 0], [50, 2, 55, 4], [1, 2, 3, 4]],
    ]


def test_above_takes_landmarks_and_order_along():
    regions = Regions.from_boxes([[[i, 0, i + 1, 1] for i in range(4)]], [[0.5, 0.1, 0.9, 0.5]])
    regions = Regions(regions.boxes, regions.counts, regions.scores, landmarks_like(regions))
    kept = regions.above(0.5)
    assert kept.tolist() == [[[0, 0, 1, 1], [2, 0, 3, 1], [3, 0, 4, 1]]]
    assert torch.equal(kept.landmarks[0, :3], regions.landmarks[0, [0, 2, 3]])
    with pytest.raises(ValueError, match="these Regions have no scores"):
        Regions.from_boxes(ROWS).above(0.5)


def test_above_ignores_scores_of_padding():
    regions = Regions(torch.zeros(1, 3, 4), torch.tensor([1]), torch.ones(1, 3))
    assert regions.above(0.5).counts.tolist() == [1]


def test_indexing():
    regions = Regions.from_boxes(ROWS, SCORES)
    assert regions[-1].tolist() == ROWS[-1]
    with pytest.raises(IndexError):
        regions[3]
    part = regions[::2]
    assert part.tolist() == ROWS[::2]
    assert part.scores.tolist() == regions.scores[::2].tolist()


def test_immutable_and_picklable():
    regions = Regions.from_boxes(ROWS, SCORES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        regions.boxes = torch.zeros(3, 2, 4)
    copy = pickle.loads(pickle.dumps(regions))  # data loaders send Regions between processes
    assert copy.tolist() == regions.tolist()
    assert torch.equal(copy.scores, regions.scores)


def test_wrong_tensors():
    boxes, counts = torch.zeros(2, 3, 4), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"Regions boxes is a list, expected a torch\.Tensor"):
        Regions([[1, 2, 3, 4]], counts)
    with pytest.raises(TypeError, match=r"Regions counts is a NoneType, expected a torch\.Tensor"):
        Regions(boxes, None)
    for shape in ((2, 4), (2, 3, 5), (2, 3, 4, 1)):
        with pytest.raises(ValueError, match=r"Regions boxes have shape \(2, .*\), expected \(B, N, 4\)"):
            Regions(torch.zeros(shape), counts)
    with pytest.raises(ValueError, match=r"Regions counts have shape \(3,\), expected \(2,\)"):
        Regions(boxes, torch.zeros(3))
    with pytest.raises(ValueError, match=r"Regions scores have shape \(2, 2\), expected \(2, 3\)"):
        Regions(boxes, counts, torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"Regions landmarks have shape \(2, 3, 10\), expected \(2, 3, 5, 2\)"):
        Regions(boxes, counts, None, torch.zeros(2, 3, 10))
    with pytest.raises(ValueError, match=r"Regions are on several devices \(cpu, meta\), expected one"):
        Regions(boxes, counts.to("meta"))


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([[[1, 2, 3]]], r"boxes of image 0 have shape \(1, 3\), expected \(n, 4\)"),
        ([[], [1, 2, 3, 4]], r"boxes of image 1 have shape \(4,\), expected \(n, 4\)"),
        ([[[1, 2, 3, "x"]]], r"boxes of image 0 are .*, expected rows of four numbers \(x0, y0, x1, y1\)"),
        ([[[1, 2, 3, 4], [1, 2]]], r"boxes of image 0 are .*, expected rows of four numbers"),
        ([[], [[1, 2, float("nan"), 4]]], r"image 1 has a region \[1.0, 2.0, nan, 4.0\], expected finite coordinates"),
        ([[[1, 2, float("inf"), 4]]], r"image 0 has a region \[1.0, 2.0, inf, 4.0\], expected finite coordinates"),
    ],
)
def test_wrong_boxes(rows, sentence):
    with pytest.raises(ValueError, match=sentence):
        Regions.from_boxes(rows)


def test_reversed_corners_and_boxes_in_parts_of_the_image_are_refused():
    for row in ([9, 2, 3, 4], [1, 9, 3, 4]):
        with pytest.raises(ValueError, match=r"image 1 has a region .*, expected x0 <= x1 and y0 <= y1; .*'xywh'"):
            Regions.from_boxes([[], [[1, 2, 3, 4], row]])
    with pytest.raises(ValueError, match=r"image 1 has a region .*, as if in parts of the image.*'xyxyn'"):
        Regions.from_boxes([[[1, 2, 30, 40]], [[0.1, 0.2, 0.5, 0.9], [0, 0, 1, 1]]])
    Regions.from_boxes([[[0.1, 0.2, 0.5, 0.9], [1, 2, 30, 40]], [[0, 0, 0, 0]], [[-5, -5, 0.5, 0.5]]])
    Regions.from_boxes([[[0, 0, 1, 1]]], size=(7, 9))  # too small for a face


def test_validate_looks_at_the_values_and_the_constructor_alone_does_not():
    one = torch.tensor([1])
    for row in ([9.0, 2, 3, 4], [float("nan"), 2, 3, 4], [0.1, 0.2, 0.3, 0.4]):
        boxes = torch.tensor([[row]])
        Regions(boxes, one)
        with pytest.raises(ValueError, match="image 0 has a region"):
            Regions(boxes, one, validate=True)
    with pytest.raises(ValueError, match=r"Regions counts are \[2\], expected 0 to 1"):
        Regions(torch.ones(1, 1, 4), torch.tensor([2]), validate=True)


XYXY = [[10.0, 20, 40, 60], [0, 0, 8, 30]]
IN_FORMATS = {
    "xyxy": XYXY,
    "xywh": [[10, 20, 30, 40], [0, 0, 8, 30]],
    "cxcywh": [[25, 40, 30, 40], [4, 15, 8, 30]],
    "xyxyn": [[0.125, 0.4, 0.5, 1.2], [0, 0, 0.1, 0.6]],
    "xywhn": [[0.125, 0.4, 0.375, 0.8], [0, 0, 0.1, 0.6]],
    "cxcywhn": [[0.3125, 0.8, 0.375, 0.8], [0.05, 0.3, 0.1, 0.6]],
}


@pytest.mark.parametrize("format", choices(BoxFormat))
def test_every_format_becomes_corners_in_pixels(format):
    size = (50, 80) if format.endswith("n") else None
    regions = Regions.from_boxes([IN_FORMATS[format], []], format=format, size=size)
    np.testing.assert_allclose(regions[0].numpy(), XYXY, rtol=1e-6)
    assert regions.counts.tolist() == [2, 0]
    each = Regions.from_boxes([IN_FORMATS[format], IN_FORMATS[format]], format=format, size=[(50, 80), (100, 160)])
    factor = 2 if format.endswith("n") else 1
    np.testing.assert_allclose(each[1].numpy(), np.array(XYXY) * factor, rtol=1e-6)


def test_wrong_formats_and_sizes():
    with pytest.raises(ValueError, match="format is 'yolo', expected 'xyxy'"):
        Regions.from_boxes([[]], format="yolo")
    with pytest.raises(ValueError, match=r"format is 'xyxyn', expected size=\(height, width\)"):
        Regions.from_boxes([[[0, 0, 1, 1]]], format="xyxyn")
    with pytest.raises(ValueError, match="expected parts of the image"):
        Regions.from_boxes([XYXY], format="xyxyn", size=(50, 80))
    with pytest.raises(ValueError, match="in the format 'xywh', expected a width and height of 0 or more"):
        Regions.from_boxes([[[40, 60, -30, -40]]], format="xywh")
    for size in ((0, 5), (5,), "large", [(5, 5)] * 3):
        with pytest.raises(ValueError, match=r"size is .*, expected"):
            Regions.from_boxes([[]], size=size)
    with pytest.raises(TypeError, match="expected a list with the boxes of each image"):
        Regions.from_boxes(Regions.from_boxes([[]]))


def test_cat_pads_and_keeps_what_all_have():
    first, second = Regions.from_boxes(ROWS, SCORES), Regions.from_boxes([[[1, 2, 3, 4]] * 4], [[0.1] * 4])
    whole = Regions.cat([first, second])
    assert whole.tolist() == first.tolist() + second.tolist()
    assert whole.scores.shape == (4, 4)
    assert whole[:3].above(0.4).tolist() == first.above(0.4).tolist()
    assert Regions.cat([first, Regions.from_boxes([[]])]).scores is None
    with pytest.raises(ValueError, match="expected at least one Regions"):
        Regions.cat([])
    with pytest.raises(ValueError, match="on several devices"):
        Regions.cat([first, second.to("meta")])


def test_meta_and_gradients():
    regions = Regions.from_boxes(ROWS, SCORES)
    assert repr(regions.to("meta")) == "Regions(unknown in 3 images, device='meta')"
    boxes = torch.tensor([[10.0, 10, 20, 20]], requires_grad=True)
    scores = torch.tensor([0.7], requires_grad=True)
    for given_boxes, given_scores in ((boxes, scores), (list(boxes), list(scores)), (boxes.double(), scores.half())):
        made = Regions.from_boxes([given_boxes], [given_scores])
        assert made.tolist() == [[[10, 10, 20, 20]]]
        assert made.scores[0, 0].item() == pytest.approx(0.7, abs=1e-3)
    with_gradient = Regions(boxes[None], torch.tensor([1]), scores[None])
    assert with_gradient.above(0.5).scaled(2, 2).clipped((30, 30)).tolist() == [[[20, 20, 30, 30]]]
    hidden = fastblur.blur(torch.rand(1, 3, 40, 40), with_gradient)
    assert hidden.shape == (1, 3, 40, 40)


def test_wrong_scores():
    with pytest.raises(ValueError, match=r"image 0 has the scores \[nan, .*, expected finite numbers"):
        Regions.from_boxes(ROWS, [[float("nan"), 1], [], [1]])
    with pytest.raises(ValueError, match="scores are for 2 images, expected 3 as the boxes"):
        Regions.from_boxes(ROWS, SCORES[:2])
    with pytest.raises(ValueError, match="image 0 has 1 scores, expected 2 as its boxes"):
        Regions.from_boxes(ROWS, [[0.9], [], [0.5]])


def test_parts_sizes_and_places_of_another_kind() -> None:
    regions = Regions.from_boxes([[[1, 2, 3, 4]], []])
    assert Regions.cat(one for one in (regions, regions)).tolist() == [*regions.tolist()] * 2
    with pytest.raises(ValueError, match="expected at least one Regions, and nothing else"):
        Regions.cat(regions)
    with pytest.raises(ValueError, match=r"sizes have shape \(1,\), expected \(2,\), or \(2, 2\) as the images"):
        regions.clipped((100,))
    with pytest.raises(TypeError, match="Regions were indexed with a list, expected an int or a slice"):
        regions[[0, 1]]
    with pytest.raises(TypeError, match="Regions were indexed with a Tensor"):
        regions[torch.tensor([True, False])]
    assert regions[np.int64(0)].tolist() == [[1, 2, 3, 4]]

"""From candidates to Regions, without a network."""

import pytest
import torch

from fastblur.detectors.networks.spec import Candidates
from fastblur.detectors.postprocess import (
    MAX_CANDIDATES,
    best_anchors,
    join_groups,
    join_passes,
    mark_overflow,
    merge_beyond,
    to_image_pixels,
    to_regions,
)


def candidates(boxes, scores, landmarks=False):
    boxes, scores = torch.tensor(boxes, dtype=torch.float32), torch.tensor(scores, dtype=torch.float32)
    points = torch.arange(scores.numel() * 10.0).reshape(*scores.shape, 5, 2) if landmarks else None
    return Candidates(boxes, scores, points)


def test_the_best_anchors_are_those_above_the_threshold():
    scores = torch.tensor([[0.1, 0.9, 0.5, 0.3], [0.2, 0.1, 0.0, 0.7]])
    assert best_anchors(scores, 0.4, can_sync=True).tolist() == [[1, 2], [3, 0]]
    assert best_anchors(scores, 0.4, can_sync=False).shape == (2, 4)
    assert best_anchors(scores, 0.95, can_sync=True).shape == (2, 0)


def test_a_score_that_is_no_number_is_the_best():
    assert best_anchors(torch.tensor([[0.1, 0.9, torch.nan]]), 0.4, can_sync=True).tolist() == [[2, 1]]


def test_no_anchor_above_the_threshold_is_left_out_where_the_host_may_look():
    scores = torch.linspace(0.3, 0.9, 5000)[None]
    assert best_anchors(scores, 0.25, can_sync=True).shape == (1, 5000)
    assert best_anchors(scores, 0.25, can_sync=False).shape == (1, MAX_CANDIDATES)


def test_an_image_with_more_anchors_than_candidates_is_marked():
    scores = torch.tensor(
        [[0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.1, 0.1], [0.9, torch.nan, 0.7, 0.1], [0.1, 0.1, 0.1, 0.1]]
    )
    best = scores.topk(2, dim=1).values
    marked = mark_overflow(Candidates(torch.zeros(4, 2, 4), best, None), scores, 0.5)
    assert marked.scores[:, 1].isnan().tolist() == [True, False, True, False]
    assert torch.equal(marked.scores[1], best[1])
    every = Candidates(torch.zeros(4, 4, 4), scores, None)
    assert mark_overflow(every, scores, 0.5) is every


def test_candidates_are_scaled_and_clipped_to_their_images():
    found = candidates([[[10.0, 10, 20, 30]], [[-5, 1, 90, 3]]], [[0.5], [0.6]], landmarks=True)
    seen, size = torch.tensor([[[50.0, 40]], [[50, 40]]]), torch.tensor([[[100.0, 80]], [[25, 20]]])
    boxes, scores, landmarks = to_image_pixels(found, seen, size)
    assert boxes.tolist() == [[[20, 20, 40, 60]], [[0, 0.5, 25, 1.5]]]
    assert torch.equal(scores, found.scores)
    assert torch.equal(landmarks, found.landmarks * torch.tensor([2, 0.5])[:, None, None, None])


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("where", ["box", "score"])
def test_a_candidate_that_is_not_finite_is_the_whole_image(where, broken):
    found = candidates([[[10.0, 10, 20, 30], [1, 2, 3, 4]]], [[0.5, 0.6]])
    (found.boxes[0, 1] if where == "box" else found.scores[0])[1] = broken
    size = torch.tensor([[[100.0, 80]]])
    boxes, scores, _ = to_image_pixels(found, size, size)
    assert boxes.tolist() == [[[10, 10, 20, 30], [0, 0, 100, 80]]]
    assert scores[0, 1] == 1


def test_passes_are_joined_side_by_side():
    one, two = candidates([[[1.0, 1, 2, 2]]], [[0.1]], True), candidates([[[3.0, 3, 4, 4]] * 2], [[0.2, 0.3]], True)
    boxes, scores, landmarks = join_passes([one, two])
    assert boxes[0, :, 0].tolist() == [1, 3, 3]
    torch.testing.assert_close(scores, torch.tensor([[0.1, 0.2, 0.3]]))
    assert landmarks.shape == (1, 3, 5, 2)
    assert join_passes([one]) is one


def test_groups_are_joined_in_the_order_of_the_images():
    first = candidates([[[1.0, 0, 2, 2]], [[2.0, 0, 2, 2]]], [[0.1], [0.2]])
    second = candidates([[[3.0, 0, 4, 4]] * 2], [[0.3, 0.4]])
    boxes, scores, landmarks = join_groups([first, second], [2, 0, 1])
    assert boxes[:, 0, 0].tolist() == [2, 3, 1]
    torch.testing.assert_close(scores, torch.tensor([[0.2, -1], [0.3, 0.4], [0.1, -1]]))
    assert landmarks is None
    assert join_groups([first], [0, 1]) is first


@pytest.mark.parametrize("can_sync", [True, False])
def test_regions_are_those_above_the_threshold_that_nms_keeps(can_sync):
    boxes = [[0.0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 60, 60], [70, 70, 70, 90], [80, 80, 90, 90]]
    found = candidates([boxes, boxes], [[0.6, 0.8, 0.7, 0.99, 0.2], [0.1, 0.1, 0.1, 0.1, 0.1]], landmarks=True)
    regions = to_regions(found, 0.5, 0.3, can_sync)
    assert regions.tolist() == [[boxes[1], boxes[2]], []]
    torch.testing.assert_close(regions.scores[0, :2], torch.tensor([0.8, 0.7]))
    assert torch.equal(regions.landmarks[0, :2], found.landmarks[0, [1, 2]])
    assert regions.boxes.shape[1] == (2 if can_sync else 5)


def test_what_is_beyond_the_rows_is_in_the_box_around_it():
    boxes = torch.tensor([[[i, i, i + 2.0, i + 3.0] for i in range(5)]] * 3)
    merged = merge_beyond(boxes, torch.tensor([5, 3, 1]), 3)
    assert merged[:, :2].tolist() == boxes[:, :2].tolist()
    assert merged[0, 2].tolist() == [2, 2, 6, 7]
    assert merged[1, 2].tolist() == [2, 2, 4, 5]
    assert merged[2, 2].tolist() == [0, 0, 0, 0]  # padding: the image has one box

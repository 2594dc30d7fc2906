"""NMS for a padded batch against a plain greedy loop."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastblur.detectors import nms as nms_module
from fastblur.detectors.nms import nms, nms_torch


def greedy(boxes, scores, valid, threshold):
    """One image, in words: take the best box left, drop what overlaps it, go on. A tie goes to the lower index."""
    left = [i for i in range(len(boxes)) if valid[i]]
    keep = np.zeros(len(boxes), bool)
    while left:
        best = max(left, key=lambda i: (scores[i], -i))
        keep[best] = True
        left = [i for i in left if i != best and overlap(boxes[best], boxes[i]) <= threshold]
    return keep


def overlap(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = np.float32(width * height)
    union = np.float32((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])) - inter
    return inter / union if union > 0 else np.float32(0)


def assert_greedy(keep, batch, threshold):
    """A mask of what is kept, against the greedy loop over each image."""
    boxes, scores, valid = batch
    assert keep.dtype == torch.bool
    assert keep.shape == valid.shape
    for b in range(len(boxes)):
        np.testing.assert_array_equal(keep[b], greedy(boxes[b], scores[b], valid[b], np.float32(threshold)))


@st.composite
def batches(draw):
    """Whole-pixel boxes on a small field, so that many overlap and many intersections over union meet the threshold."""
    batch, count = draw(st.integers(1, 3)), draw(st.integers(0, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corner = rng.integers(0, draw(st.sampled_from([3, 10, 30])), (batch, count, 2))
    boxes = np.concatenate((corner, corner + rng.integers(0, 10, (batch, count, 2))), axis=-1)
    scores = rng.integers(0, draw(st.sampled_from([1, 3, 1000])) + 1, (batch, count)) / 1000
    valid = rng.random((batch, count)) < draw(st.sampled_from([0.3, 1.0]))
    return boxes.astype(np.float32), scores.astype(np.float32), valid


@settings(max_examples=200, deadline=None)
@given(batches(), st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0]), st.sampled_from([1, 4, 256]))
def test_keeps_what_a_greedy_loop_keeps(batch, threshold, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nms_module, "BLOCK", block)
        keep = nms(*map(torch.from_numpy, batch), threshold)
    assert_greedy(keep, batch, threshold)


@settings(max_examples=50, deadline=None)
@given(batches(), st.sampled_from([0.0, 0.25, 1 / 3]))
def test_rounds_without_a_look_keep_the_same(batch, threshold):
    """As on CUDA without Triton, where the host may not see that a round has changed nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "equal", lambda *_: False)
        keep = nms_torch(*map(torch.from_numpy, batch), threshold)
    assert_greedy(keep, batch, threshold)


def test_rows_that_are_no_boxes_may_hold_anything():
    boxes = torch.tensor([[[torch.nan] * 4, [0.0, 0, 8, 8], [torch.inf, 0, -torch.inf, 9], [1.0, 0, 8, 8]]])
    scores, valid = torch.tensor([[torch.nan, 0.5, torch.inf, 0.6]]), torch.tensor([[False, True, False, True]])
    assert nms(boxes, scores, valid, 0.3).tolist() == [[False, False, False, True]]


def test_the_operator_is_what_it_says():
    boxes = torch.tensor([[[0.0, 0, 8, 8], [1, 0, 8, 8], [20, 0, 28, 8]]]).repeat(2, 1, 1)
    scores, valid = torch.rand(2, 3), torch.ones(2, 3, dtype=torch.bool)
    checks = ("test_schema", "test_faketensor", "test_autograd_registration")
    torch.library.opcheck(torch.ops.fastblur.nms, (boxes, scores, valid, 0.3), test_utils=checks)
    assert nms(*(t.to("meta") for t in (boxes, scores, valid)), 0.3).shape == (2, 3)


def test_a_chain_as_long_as_the_boxes_are_many_is_followed_to_its_end():
    # Each box overlaps its neighbours only, by 9 / 11: every second one stays.
    count = 2 * nms_module.BLOCK + 7
    left = torch.arange(count, dtype=torch.float32)
    boxes = torch.stack((left, torch.zeros(count), left + 10, torch.full((count,), 10.0)), dim=1)[None]
    scores = torch.linspace(1, 0.1, count)[None]
    keep = nms(boxes, scores, torch.ones(1, count, dtype=torch.bool), 0.7)
    assert keep[0].tolist() == [i % 2 == 0 for i in range(count)]


def test_of_equal_boxes_and_scores_the_first_stays():
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0]]).repeat(1, 6, 1)
    valid = torch.tensor([[False, True, True, True, True, True]])
    assert nms(boxes, torch.full((1, 6), 0.5), valid, 0.3).tolist() == [[False, True, False, False, False, False]]


def test_no_boxes_and_no_images():
    assert nms(torch.zeros(2, 0, 4), torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool), 0.3).shape == (2, 0)
    assert nms(torch.zeros(0, 5, 4), torch.zeros(0, 5), torch.zeros(0, 5, dtype=torch.bool), 0.3).shape == (0, 5)

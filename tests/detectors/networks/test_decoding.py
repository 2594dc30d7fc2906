"""Decoding the best anchors alone gives what decoding all of them gives for these."""

import pytest
import torch

from fastblur.detectors.networks.centerface import CENTERFACE
from fastblur.detectors.networks.retinaface import MOBILENET025, RESNET50
from fastblur.detectors.networks.yunet import YUNET

ANCHORS = (8 * 8 + 4 * 4 + 2 * 2) * 2  # of RetinaFace at 64 x 64
SHAPES = {
    "retinaface": [(2, ANCHORS, 4), (2, ANCHORS, 2), (2, ANCHORS, 10)],
    "centerface": [(2, 1, 16, 16), (2, 2, 16, 16), (2, 2, 16, 16), (2, 10, 16, 16)],
    "yunet": [(2, 8 * 8 * 3 + 4 * 4 * 2 + 2 * 2 * 2 + 3, n) for n in (14, 2, 1)],
}


@pytest.mark.parametrize(
    ("network", "kind"),
    [(MOBILENET025, "retinaface"), (RESNET50, "retinaface"), (CENTERFACE, "centerface"), (YUNET, "yunet")],
    ids=["mobilenet", "resnet50", "centerface", "yunet"],
)
def test_the_best_anchors_alone(network, kind):
    generator = torch.Generator().manual_seed(1)
    heads = tuple(torch.rand(shape, generator=generator) for shape in SHAPES[kind])
    boxes, scores, landmarks = network.decode(heads, 64, 64)
    assert torch.equal(network.scores(heads), scores)
    best = torch.stack([torch.randperm(scores.shape[1], generator=generator)[:7] for _ in range(2)])
    few_boxes, few_scores, few_landmarks = network.decode(heads, 64, 64, best)
    rows = torch.arange(2)[:, None]
    torch.testing.assert_close(few_boxes, boxes[rows, best])
    torch.testing.assert_close(few_scores, scores[rows, best])
    torch.testing.assert_close(few_landmarks, landmarks[rows, best])

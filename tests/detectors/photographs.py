"""The photographs whose faces are known, the count of those that a detector has found, and equality of Regions."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastblur import Regions


def known_faces(shared: Path) -> dict[str, tuple[Tensor, np.ndarray]]:
    """Name -> the photograph, (3, H, W) uint8, and its known faces, (n, 4) xyxy in pixels."""
    from PIL import Image

    known = json.loads((shared / "photos" / "ground_truth.json").read_text())
    return {
        name: (
            torch.from_numpy(np.array(Image.open(shared / "photos" / name).convert("RGB"))).permute(2, 0, 1),
            np.array([face["box"] for face in faces], np.float32),
        )
        for name, faces in known.items()
    }


def matched(known: np.ndarray, boxes: np.ndarray) -> int:
    """How many known faces have a box of their own, with an intersection over union of 0.3 or more."""
    low = np.maximum(known[:, None, :2], boxes[:, :2])
    high = np.minimum(known[:, None, 2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area, others = ((b[:, 2:] - b[:, :2]).prod(-1) for b in (known, boxes))
    iou = shared / (area[:, None] + others - shared)
    count = 0
    while iou.size and iou.max() >= 0.3:
        face, box = np.unravel_index(iou.argmax(), iou.shape)
        iou[face] = iou[:, box] = 0
        count += 1
    return count


def assert_same(
    regions: Regions,
    others: Regions,
    atol: float = 0.01,  # px for boxes and landmarks; a hundredth of it for scores, at least 0.01
    threshold: float = 0.25,  # of the detectors
    near: float = 1e-3,
) -> None:
    """Each region has its twin in the others, and they in it.

    Not in order: scores within rounding of each other may change places on another processor. A region whose score is
    `near` the threshold may be in one of them only.
    """
    assert len(regions) == len(others)
    for i in range(len(regions)):
        for some, every in ((regions, others), (others, regions)):
            assert some.scores is not None
            assert every.scores is not None
            for j in range(int(some.counts[i])):
                if some.scores[i, j] < threshold + near:
                    continue
                assert int(every.counts[i]), f"image {i}: {some[i][j]} has no twin"
                twin = int((every[i] - some[i][j]).abs().amax(1).argmin())
                torch.testing.assert_close(every[i][twin], some[i][j], atol=atol, rtol=0)
                torch.testing.assert_close(every.scores[i, twin], some.scores[i, j], atol=max(0.01, atol / 100), rtol=0)
                if some.landmarks is not None and every.landmarks is not None:
                    torch.testing.assert_close(every.landmarks[i, twin], some.landmarks[i, j], atol=atol, rtol=0)

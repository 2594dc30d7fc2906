"""The photographs whose faces are known, and the count of those that a detector has found."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


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

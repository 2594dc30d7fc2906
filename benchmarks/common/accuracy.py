"""Photographs with known faces, and how detections in them are judged."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.common.workloads import load
from fastblur.detectors import Detector
from fastblur.recipes import RECIPES

Picture = tuple[torch.Tensor, np.ndarray]  # (3, H, W) uint8, and the known faces (n, 4) xyxy px

FOUND_IOU, HIDDEN_SHARE = 0.3, 0.9
BATCH = 32  # images given to a detector at once


def read_photos(data: Path) -> list[Picture]:
    """Return the photographs with known faces."""
    truth = json.loads((data / "photos" / "ground_truth.json").read_text())
    return [
        (read_image(data / "photos" / name), np.array([face["box"] for face in faces], float))
        for name, faces in truth.items()
    ]


def read_sample(data: Path) -> list[Picture]:
    """Return the ImageNet images, those without faces too."""
    return [(torch.from_numpy(one.pixels).permute(2, 0, 1), one.boxes) for one in load(data).photographs]


def read_image(path: Path) -> torch.Tensor:
    """Return an image as (3, H, W) uint8 RGB, a view of rows of pixels."""
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def mosaics(pictures: Sequence[Picture], side: int = 4, cell: int = 500) -> list[Picture]:
    """Return pictures of `side` x `side` cells, each with one of the given pictures that fit a cell, the rest grey."""
    fitting = [picture for picture in pictures if max(picture[0].shape[1:]) <= cell]
    made = []
    for start in range(0, len(fitting) - side * side + 1, side * side):
        canvas = torch.full((3, side * cell, side * cell), 128, dtype=torch.uint8)
        known = []
        for i, (image, faces) in enumerate(fitting[start : start + side * side]):
            y, x = (i // side) * cell, (i % side) * cell
            canvas[:, y : y + image.shape[1], x : x + image.shape[2]] = image
            known.append(faces + np.array((x, y, x, y)))
        made.append((canvas, np.concatenate(known)))
    return made


def count_faces(pictures: Sequence[Picture]) -> int:
    return sum(len(faces) for _, faces in pictures)


def spread(sample: Sequence[Picture]) -> list[torch.Tensor]:
    """Return 32 images from all over the sample."""
    return [sample[i][0] for i in np.linspace(0, len(sample) - 1, BATCH).astype(int)]


def detect_all(detector: Detector, pictures: Sequence[Picture]) -> list[np.ndarray]:
    """Return each picture's regions, (n, 5) float64: xyxy px and score, from the highest score down."""
    images = [image for image, _ in pictures]
    return [rows for i in range(0, len(images), BATCH) for rows in detect(detector, images[i : i + BATCH])]


def detect(detector: Detector, images: list[torch.Tensor]) -> Iterator[np.ndarray]:
    """Yield each image's regions, (n, 5) float64: xyxy px and score."""
    regions = detector(images).to("cpu")
    assert regions.scores is not None
    for boxes, scores in zip(regions, regions.scores, strict=True):
        yield torch.cat((boxes, scores[: len(boxes), None]), dim=1).double().numpy()


def judge(found: Sequence[np.ndarray], pictures: Sequence[Picture], threshold: float) -> dict[str, Any]:
    """Count what the regions (n, 5) of at least `threshold` find and hide; benchmarks.detectors defines the terms."""
    count: Counter[str] = Counter()
    for regions, (image, faces) in zip(found, pictures, strict=True):
        boxes = regions[regions[:, 4] >= threshold, :4]
        mask = grown_union(boxes, *image.shape[1:])
        shares = [mask[inside(face, *image.shape[1:])].mean() for face in faces]
        count["faces"] += len(faces)
        count["regions"] += len(boxes)
        count["found"] += matches(boxes, faces)
        count["hidden"] += sum(float(share) >= HIDDEN_SHARE for share in shares)
        count["pixels"] += mask.size
        count["area"] += int(mask.sum())
    return {
        **{key: count[key] for key in ("faces", "found", "hidden", "regions")},
        "precision": count["found"] / max(1, count["regions"]),
        "area": count["area"] / max(1, count["pixels"]),
    }


def matches(boxes: np.ndarray, faces: np.ndarray) -> int:  # (n, 4), (m, 4) xyxy px
    """Return how many faces are matched, one to one: each box, in order, takes the free face it overlaps most."""
    overlaps, total = iou(boxes, faces), 0
    for row in range(len(boxes) if len(faces) else 0):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= FOUND_IOU:
            overlaps[:, best] = -1
            total += 1
    return total


def iou(a: np.ndarray, b: np.ndarray, last: float = 0.0) -> np.ndarray:
    """Return the IoU (n, m) of boxes (n, 4) and (m, 4) xyxy; `last` is 1 where boxes name their last pixels."""
    low, high = np.maximum(a[:, None, :2], b[:, :2]), np.minimum(a[:, None, 2:], b[:, 2:])
    inter = (high - low + last).clip(0).prod(-1)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2] + last).prod(-1) for boxes in (a, b))
    return inter / np.maximum(area_a[:, None] + area_b - inter, np.finfo(float).tiny)


def grown_union(boxes: np.ndarray, height: int, width: int) -> np.ndarray:  # boxes: (n, 4) xyxy px
    """Return (H, W) bool: the pixels whose centres lie in a box grown by the default recipe's margin."""
    mask = np.zeros((height, width), bool)
    margin = RECIPES["default"].margin * (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)[:, None]
    for box in boxes + margin * np.array((-1, -1, 1, 1)):
        mask[inside(box, height, width)] = True
    return mask


def inside(box: np.ndarray, height: int, width: int) -> tuple[slice, slice]:  # box: (4,) xyxy px
    """Return the rows and columns of an image whose pixels have their centres in `box`."""
    first = np.ceil(box - 0.5).clip(0).astype(int)
    return slice(first[1], min(first[3], height)), slice(first[0], min(first[2], width))

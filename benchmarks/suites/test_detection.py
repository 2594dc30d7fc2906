"""NMS and letterbox: pytest benchmarks/suites/test_detection.py"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fastblur.detectors.nms import nms
from fastblur.detectors.preprocess import letterbox

Timed = Callable[..., Any]


def candidates(batch: int, count: int, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return boxes in clusters of ten, as a detector's are, (B, N, 4) xyxy; their scores, and that all are valid."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 600, (batch, count // 10, 1, 2)) + rng.normal(0, 4, (batch, count // 10, 10, 2))
    corner = centers.reshape(batch, -1, 2)
    boxes = np.concatenate((corner, corner + rng.uniform(30, 40, corner.shape)), -1).astype(np.float32)
    scores = rng.random(boxes.shape[:2], np.float32)
    return tuple(torch.from_numpy(a).to(device) for a in (boxes, scores, np.ones(scores.shape, bool)))  # type: ignore


def torchvision_nms(boxes: torch.Tensor, scores: torch.Tensor, valid: torch.Tensor) -> Callable[[], Any]:
    try:
        ops = import_module("torchvision.ops")
    except Exception as reason:
        pytest.skip(f"torchvision: {type(reason).__name__}: {reason}")
    image = torch.arange(len(boxes), device=boxes.device).repeat_interleave(boxes.shape[1])
    flat, score = boxes.reshape(-1, 4), scores.reshape(-1)
    return lambda: ops.batched_nms(flat, score, image, 0.4)


def opencv_nms(boxes: torch.Tensor, scores: torch.Tensor, valid: torch.Tensor) -> Callable[[], Any]:
    sized = torch.cat((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), -1).numpy()
    return lambda: [cv2.dnn.NMSBoxes(*pair, 0.0, 0.4) for pair in zip(sized, scores.numpy(), strict=True)]


def numpy_nms(boxes: torch.Tensor, scores: torch.Tensor, valid: torch.Tensor) -> Callable[[], Any]:
    """As the packages of face detectors write it: the best remaining box against all others, vectorised."""

    def one(rows: np.ndarray, score: np.ndarray) -> list[int]:
        area = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1])
        order, keep = score.argsort()[::-1], []
        while order.size:
            best, order = order[0], order[1:]
            keep.append(int(best))
            low, high = np.maximum(rows[best, :2], rows[order, :2]), np.minimum(rows[best, 2:], rows[order, 2:])
            common = np.prod(np.maximum(high - low, 0), 1)
            order = order[common / (area[best] + area[order] - common) <= 0.4]
        return keep

    return lambda: [one(*pair) for pair in zip(boxes.numpy(), scores.numpy(), strict=True)]


NMS = {"fastblur": lambda boxes, scores, valid: lambda: nms(boxes, scores, valid, 0.4), "torchvision": torchvision_nms,
       "opencv": opencv_nms, "numpy loop": numpy_nms}  # fmt: skip


@pytest.mark.parametrize("library", NMS)
@pytest.mark.parametrize("batch", [1, 32])
def test_nms(timed: Timed, device: str, batch: int, library: str) -> None:
    if device == "cuda" and library in ("opencv", "numpy loop"):
        pytest.skip(f"{library} has no CUDA")
    timed(f"nms: {batch} x 400 boxes", NMS[library](*candidates(batch, 400, device)), device)


def large(count: int, device: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, 768, 1024), dtype=torch.uint8, generator=generator).to(device)


def test_letterbox_fastblur(timed: Timed, device: str) -> None:
    images, black = large(4, device), torch.zeros(3, 1, 1, device=device)
    timed("letterbox: 4 x 1024 x 768 to 640", lambda: letterbox([images], [(480, 640)], (480, 640), black), device)


def test_letterbox_torch_antialias(timed: Timed, device: str) -> None:
    images = large(4, device)

    def side() -> torch.Tensor:
        return F.interpolate(images.float(), (480, 640), mode="bilinear", antialias=True, align_corners=False)

    timed("letterbox: 4 x 1024 x 768 to 640", side, device)


def test_letterbox_opencv_area(timed: Timed) -> None:
    images = large(4, "cpu").permute(0, 2, 3, 1).contiguous().numpy()
    cv2.setNumThreads(1)

    def side() -> list[np.ndarray]:
        resized = [cv2.resize(image, (640, 480), interpolation=cv2.INTER_AREA) for image in images]
        return [image.transpose(2, 0, 1).astype(np.float32) for image in resized]

    timed("letterbox: 4 x 1024 x 768 to 640", side)

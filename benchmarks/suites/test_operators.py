"""pixelate, fill and masked_blur2d beside what people write instead: pytest benchmarks/suites/test_operators.py"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from kornia.filters import gaussian_blur2d
from PIL import Image, ImageDraw

import fastblur
from benchmarks.common.workloads import SIZE, Photograph, Workload

Timed = Callable[..., Any]


def sides(workload: Workload) -> tuple[list[Photograph], list[torch.Tensor], fastblur.Regions]:
    some = workload.with_faces[:20]
    images = [torch.from_numpy(one.pixels.copy()).permute(2, 0, 1) for one in some]
    return some, images, fastblur.Regions.from_boxes([one.boxes for one in some])


def corners(box: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    grow = 0.1 * max(box[2] - box[0], box[3] - box[1])
    x0, y0 = np.maximum(box[:2] - grow, 0).astype(int)
    x1, y1 = np.minimum(box[2:] + grow, (width, height)).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def test_pixelate_fastblur(timed: Timed, workload: Workload, device: str) -> None:
    _, images, regions = sides(workload)
    images, regions = [image.to(device) for image in images], regions.to(device)
    timed("pixelate: 20 photographs", lambda: fastblur.pixelate(images, regions, blocks=8, out=images), device)


def test_pixelate_opencv(timed: Timed, workload: Workload) -> None:
    some, _, _ = sides(workload)
    cv2.setNumThreads(1)
    arrays = [one.pixels.copy() for one in some]

    def side() -> None:
        for image, one in zip(arrays, some, strict=True):
            for box in one.boxes:
                x0, y0, x1, y1 = corners(box, image.shape[1], image.shape[0])
                crop = image[y0:y1, x0:x1]
                small = cv2.resize(crop, (8, 8), interpolation=cv2.INTER_AREA)
                image[y0:y1, x0:x1] = cv2.resize(small, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)

    timed("pixelate: 20 photographs", side)


def test_pixelate_pillow(timed: Timed, workload: Workload) -> None:
    some, _, _ = sides(workload)
    images = [Image.fromarray(one.pixels.copy()) for one in some]

    def side() -> None:
        for image, one in zip(images, some, strict=True):
            for box in one.boxes:
                x0, y0, x1, y1 = corners(box, image.width, image.height)
                small = image.resize((8, 8), Image.Resampling.BOX, (x0, y0, x1, y1))
                image.paste(small.resize((x1 - x0, y1 - y0), Image.Resampling.NEAREST), (x0, y0))

    timed("pixelate: 20 photographs", side)


def test_fill_fastblur(timed: Timed, workload: Workload, device: str) -> None:
    _, images, regions = sides(workload)
    images, regions = [image.to(device) for image in images], regions.to(device)
    timed("fill: 20 photographs", lambda: fastblur.fill(images, regions, color=0, out=images), device)


def test_fill_opencv(timed: Timed, workload: Workload) -> None:
    some, _, _ = sides(workload)
    arrays = [one.pixels.copy() for one in some]

    def side() -> None:
        for image, one in zip(arrays, some, strict=True):
            for box in one.boxes:
                x0, y0, x1, y1 = corners(box, image.shape[1], image.shape[0])
                cv2.rectangle(image, (x0, y0), (x1, y1), (0, 0, 0), cv2.FILLED)

    timed("fill: 20 photographs", side)


def test_fill_pillow(timed: Timed, workload: Workload) -> None:
    some, _, _ = sides(workload)
    images = [Image.fromarray(one.pixels.copy()) for one in some]

    def side() -> None:
        for image, one in zip(images, some, strict=True):
            draw = ImageDraw.Draw(image)
            for box in one.boxes:
                draw.rectangle(corners(box, image.width, image.height), fill=(0, 0, 0))

    timed("fill: 20 photographs", side)


def masked(device: str, sigma: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (4, 3, H, W) float32 images and a soft mask over a sixth of each."""
    images = torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(0)).to(device)
    regions = fastblur.Regions.from_boxes([[[150, 100, 300, 260]]] * 4, device=device)
    mask = fastblur.fill(torch.zeros(4, 1, *SIZE, device=device), regions, color=1, feather=0.05)
    return images, mask


@pytest.mark.parametrize("sigma", [3.0, 15.0])
def test_masked_blur2d_fastblur(timed: Timed, device: str, sigma: float) -> None:
    images, mask = masked(device, sigma)
    timed(f"masked_blur2d: batch 4, sigma {sigma:.0f}", lambda: fastblur.masked_blur2d(images, mask, sigma), device)


@pytest.mark.parametrize("sigma", [3.0, 15.0])
def test_masked_blur2d_kornia(timed: Timed, device: str, sigma: float) -> None:
    images, mask = masked(device, sigma)
    taps = 2 * round(3 * sigma) + 1

    def side() -> torch.Tensor:
        return torch.lerp(images, gaussian_blur2d(images, (taps, taps), (sigma, sigma), "replicate"), mask)

    timed(f"masked_blur2d: batch 4, sigma {sigma:.0f}", side, device)

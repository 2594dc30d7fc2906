"""pixelate, fill and masked_blur2d next to what people write instead: pytest benchmarks/suites/test_operators.py"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from kornia.filters import gaussian_blur2d
from PIL import Image, ImageDraw

import fastblur
from benchmarks.common.workloads import SIZE, Workload

Timed = Callable[..., Any]
Corners = tuple[int, int, int, int]  # x0, y0, x1, y1 of a grown box, px


def pixelate_opencv(image: np.ndarray, box: Corners) -> None:
    x0, y0, x1, y1 = box
    small = cv2.resize(image[y0:y1, x0:x1], (8, 8), interpolation=cv2.INTER_AREA)
    image[y0:y1, x0:x1] = cv2.resize(small, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)


def pixelate_pillow(image: Image.Image, box: Corners) -> None:
    small = image.resize((8, 8), Image.Resampling.BOX, box)
    image.paste(small.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.NEAREST), box[:2])


def fill_opencv(image: np.ndarray, box: Corners) -> None:
    cv2.rectangle(image, box[:2], box[2:], (0, 0, 0), cv2.FILLED)


def fill_pillow(image: Image.Image, box: Corners) -> None:
    ImageDraw.Draw(image).rectangle(box, fill=(0, 0, 0))


PEERS = {"pixelate": {"opencv": pixelate_opencv, "pillow": pixelate_pillow},
         "fill": {"opencv": fill_opencv, "pillow": fill_pillow}}  # fmt: skip


@pytest.mark.parametrize("operator", PEERS)
def test_fastblur(timed: Timed, workload: Workload, device: str, operator: str) -> None:
    some = workload.with_faces[:20]
    images = [torch.from_numpy(one.pixels.copy()).permute(2, 0, 1).to(device) for one in some]
    regions = fastblur.Regions.from_boxes([one.boxes for one in some], device=device)
    options = {"pixelate": {"blocks": 8}, "fill": {"color": 0}}[operator]
    hide = getattr(fastblur, operator)
    timed(f"{operator}: 20 photographs", lambda: hide(images, regions, out=images, **options), device)


@pytest.mark.parametrize("peer", ["opencv", "pillow"])
@pytest.mark.parametrize("operator", PEERS)
def test_peer(timed: Timed, workload: Workload, operator: str, peer: str) -> None:
    cv2.setNumThreads(1)
    hide, some = PEERS[operator][peer], workload.with_faces[:20]
    images = [one.pixels.copy() if peer == "opencv" else Image.fromarray(one.pixels.copy()) for one in some]

    def side() -> None:
        for image, one in zip(images, some, strict=True):
            height, width = one.pixels.shape[:2]
            for box in one.boxes:
                hide(image, corners(box, width, height))

    timed(f"{operator}: 20 photographs", side)


def corners(box: np.ndarray, width: int, height: int) -> Corners:
    grow = 0.1 * max(box[2] - box[0], box[3] - box[1])
    x0, y0 = np.maximum(box[:2] - grow, 0).astype(int)
    x1, y1 = np.minimum(box[2:] + grow, (width, height)).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


@pytest.mark.parametrize("library", ["fastblur", "kornia"])
@pytest.mark.parametrize("sigma", [3.0, 15.0])
def test_masked_blur2d(timed: Timed, device: str, sigma: float, library: str) -> None:
    """Four float32 images, a soft mask over a sixth of each."""
    images = torch.rand(4, 3, *SIZE, generator=torch.Generator().manual_seed(0)).to(device)
    regions = fastblur.Regions.from_boxes([[[150, 100, 300, 260]]] * 4, device=device)
    mask = fastblur.fill(torch.zeros(4, 1, *SIZE, device=device), regions, color=1, feather=0.05)
    taps = 2 * round(3 * sigma) + 1
    sides: dict[str, Callable[[], torch.Tensor]] = {
        "fastblur": lambda: fastblur.masked_blur2d(images, mask, sigma),
        "kornia": lambda: torch.lerp(images, gaussian_blur2d(images, (taps, taps), (sigma, sigma), "replicate"), mask),
    }
    timed(f"masked_blur2d: batch 4, sigma {sigma:.0f}", sides[library], device)

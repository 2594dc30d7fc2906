"""The peers of benchmarks.gpu on the same device tensors; those that are not installed are named and left out."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch

import fastblur

Side = Callable[[], Any]


def soft_masks(images: torch.Tensor, regions: fastblur.Regions) -> torch.Tensor:
    """Return alpha as a mask (B, 1, H, W) float32, made beforehand: no peer is charged for it."""
    black = torch.zeros(len(images), 1, *images.shape[2:], device=images.device)
    recipe = fastblur.RECIPES["default"]
    return fastblur.fill(black, regions, color=1, margin=recipe.margin, feather=recipe.feather)


def peers(images: torch.Tensor, rows: list[np.ndarray]) -> tuple[dict[str, Side], dict[str, str]]:
    """Return the sides to be timed on uint8 images, and of those left out, why.

    Every image is filtered with the largest sigma of its faces, by taps that end at three deviations, as a user of
    these libraries would write it for a batch; cupyx filters each region's support alone.
    """
    sigmas = [0.15 * max((max(b[2] - b[0], b[3] - b[1]) for b in boxes), default=4.0) for boxes in rows]
    size = 2 * round(3 * max(sigmas)) + 1
    limit = 2 * (min(images.shape[-2:]) // 2) - 1
    mask = soft_masks(images, fastblur.Regions.from_boxes(rows, device=images.device))
    builders: dict[str, Callable[[], Side]] = {
        "kornia full frame + mask": lambda: kornia(images, mask, sigmas, min(size, limit)),
        "torchvision full frame + mask": lambda: torchvision(images, mask, max(sigmas), min(size, limit)),
        "cupyx per region": lambda: cupyx(images, mask, rows, sigmas),
        "CV-CUDA boxblur": lambda: cvcuda(images, rows, sigmas),
    }
    sides, absent = {}, {}
    for name, build in builders.items():
        try:
            sides[name] = build()
        except Exception as reason:  # a peer that does not run here, for whatever reason, is named
            absent[name] = f"{type(reason).__name__}: {reason}"
    return sides, absent


def lerped(images: torch.Tensor, blurred: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return torch.lerp(images.float(), blurred, mask).add_(0.5).clamp_(0, 255).to(torch.uint8)


def kornia(images: torch.Tensor, mask: torch.Tensor, sigmas: list[float], size: int) -> Side:
    blur = import_module("kornia.filters").gaussian_blur2d
    pairs = torch.tensor([[s, s] for s in sigmas], device=images.device)
    return lambda: lerped(images, blur(images.float(), (size, size), pairs, "replicate"), mask)


def torchvision(images: torch.Tensor, mask: torch.Tensor, sigma: float, size: int) -> Side:
    blur = import_module("torchvision.transforms.v2.functional").gaussian_blur
    return lambda: lerped(images, blur(images.float(), [size, size], [sigma, sigma]), mask)


def cupyx(images: torch.Tensor, mask: torch.Tensor, rows: list[np.ndarray], sigmas: list[float]) -> Side:
    cupy, ndimage = import_module("cupy"), import_module("cupyx.scipy.ndimage")

    def side() -> None:
        for image, weight, boxes, sigma in zip(images, mask, rows, sigmas, strict=True):
            for box in boxes:
                reach = 0.3 * max(box[2] - box[0], box[3] - box[1])
                x0, y0, x1, y1 = (int(v) for v in (*np.maximum(box[:2] - reach, 0), *(box[2:] + reach + 1)))
                crop = image[:, y0:y1, x0:x1]
                blurred = ndimage.gaussian_filter(cupy.asarray(crop.float()), (0, sigma, sigma), mode="nearest")
                crop.copy_(lerped(crop, torch.as_tensor(blurred, device=image.device), weight[:, y0:y1, x0:x1]))

    return side


def cvcuda(images: torch.Tensor, rows: list[np.ndarray], sigmas: list[float]) -> Side:
    library = import_module("cvcuda")
    tensors = library.as_tensor(images.permute(0, 2, 3, 1).contiguous(), "NHWC")

    def box(x0: float, y0: float, x1: float, y1: float, sigma: float) -> Any:
        xywh = int(x0), int(y0), int(x1 - x0) + 1, int(y1 - y0) + 1
        return library.BlurBoxI(box=xywh, kernelSize=max(3, round(2 * sigma)))

    boxes = [[box(*row, sigma) for row in image] for image, sigma in zip(rows, sigmas, strict=True)]
    return lambda: library.boxblur(tensors, library.BlurBoxesI(boxes=boxes))

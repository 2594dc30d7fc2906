"""What benchmarks.gpu works on: images and faces drawn from ImageNet's statistics, and the bytes that have to move."""

from math import ceil, floor

import numpy as np
import torch

import fastblur


def support(box: np.ndarray, height: int, width: int, recipe: fastblur.Recipe) -> tuple[int, int, int, int]:
    """Return the support's x0, y0, x1, y1 of one box in pixels, for scope "region"."""
    x0, y0, x1, y1 = box
    d = max(x1 - x0, y1 - y0)
    grow = recipe.margin * d + 3 * recipe.feather * d
    left, top = max(0, ceil(x0 - grow - 0.5)), max(0, ceil(y0 - grow - 0.5))
    return left, top, min(width, floor(x1 + grow + 0.5)), min(height, floor(y1 + grow + 0.5))


def support_pixels(rows: list[np.ndarray], sizes: list[tuple[int, int]], recipe: fastblur.Recipe) -> int:
    """Return how many pixels lie in some support, each counted once: what must be read and written in place."""
    total = 0
    for boxes, (height, width) in zip(rows, sizes, strict=True):
        if len(boxes):
            covered = np.zeros((height, width), bool)
            for box in boxes:
                x0, y0, x1, y1 = support(box, height, width, recipe)
                covered[y0:y1, x0:x1] = True
            total += int(covered.sum())
    return total


def random_images(batch: int, height: int, width: int, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Return images of noise, smooth enough to compress nowhere: (B, 3, H, W)."""
    generator = torch.Generator(device).manual_seed(0)
    if dtype == torch.uint8:
        return torch.randint(0, 256, (batch, 3, height, width), dtype=dtype, device=device, generator=generator)
    return torch.rand(batch, 3, height, width, device=device, generator=generator).to(dtype)

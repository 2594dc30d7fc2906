"""What benchmarks.gpu works on: images and faces drawn from ImageNet's statistics, and the bytes that have to move."""

import numpy as np
import torch

from benchmarks.common.support import support_pixels


def batch_support(boxes: list[np.ndarray], sizes: list[tuple[int, int]]) -> int:
    """Return how many pixels of a batch lie in some support, recipe "default": what is read and written in place."""
    return sum(support_pixels(rows, *size, "default") for rows, size in zip(boxes, sizes, strict=True))


def random_images(batch: int, height: int, width: int, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Return (B, 3, H, W) images of noise."""
    generator = torch.Generator(device).manual_seed(0)
    if dtype == torch.uint8:
        return torch.randint(0, 256, (batch, 3, height, width), dtype=dtype, device=device, generator=generator)
    return torch.rand(batch, 3, height, width, device=device, generator=generator).to(dtype)

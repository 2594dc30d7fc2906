"""kornia: image and drawn mask to float, both through gaussian_blur2d, taps that end at three deviations, lerp."""

import numpy as np
import torch
from kornia.filters import gaussian_blur2d

from benchmarks.peers._arrays import longest_side, rectangles
from benchmarks.peers.fastblur_copy import pixels

NAME, PACKAGE, SAME = "kornia full frame", "kornia", True
LACKS = "filters the whole image in float32"
threads = torch.set_num_threads
__all__ = ["pixels"]


def image(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def hide(image: torch.Tensor, boxes: np.ndarray) -> torch.Tensor:
    value, deviation = image[None].float() / 255, 0.1 * longest_side(boxes)
    blurred = torch.lerp(value, filtered(value, deviation), filtered(mask_of(image, boxes), deviation))
    return blurred.mul(255).round_().to(torch.uint8)[0]


def filtered(value: torch.Tensor, deviation: float) -> torch.Tensor:
    """Filter the whole (1, C, H, W) image."""
    size = 2 * max(1, round(3 * deviation)) + 1
    return gaussian_blur2d(value, (size, size), (deviation, deviation), "replicate")


def mask_of(image: torch.Tensor, boxes: np.ndarray) -> torch.Tensor:
    """Draw the grown boxes, (1, 1, H, W) float32."""
    mask = torch.zeros(1, 1, *image.shape[-2:])
    for rows, columns in rectangles(boxes):
        mask[..., rows, columns] = 1
    return mask

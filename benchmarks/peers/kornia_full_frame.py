"""kornia: image and drawn mask to float, both through gaussian_blur2d, taps that end at three deviations, lerp."""

import numpy as np
import torch
from kornia.filters import gaussian_blur2d

NAME, PACKAGE, SAME = "kornia full frame", "kornia", True
LACKS = "filters the whole image in float32"
threads = torch.set_num_threads


def image(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def hide(image: torch.Tensor, boxes: np.ndarray) -> torch.Tensor:
    value = image[None].float() / 255
    deviation = 0.1 * float(max(max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes))
    blurred = torch.lerp(value, filtered(value, deviation), soft_mask(image, boxes, deviation))
    return blurred.mul(255).round_().to(torch.uint8)[0]


def filtered(value: torch.Tensor, deviation: float) -> torch.Tensor:
    """Filter the whole (1, C, H, W) image."""
    size = 2 * max(1, round(3 * deviation)) + 1
    return gaussian_blur2d(value, (size, size), (deviation, deviation), "replicate")


def soft_mask(image: torch.Tensor, boxes: np.ndarray, deviation: float) -> torch.Tensor:
    """Draw the boxes, grown as the recipe says, and filter them."""
    mask = torch.zeros(1, 1, *image.shape[-2:])
    for x0, y0, x1, y1 in boxes:
        grow = 0.1 * max(x1 - x0, y1 - y0)
        mask[..., max(0, round(y0 - grow)) : round(y1 + grow), max(0, round(x0 - grow)) : round(x1 + grow)] = 1
    return filtered(mask, deviation)


def pixels(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()

"""torchvision: as the kornia peer, with transforms.v2.functional.gaussian_blur."""

import numpy as np
import torch
from torchvision.transforms.v2.functional import gaussian_blur

from benchmarks.peers._arrays import longest_side
from benchmarks.peers.kornia_full_frame import image, mask_of, pixels, threads

NAME, PACKAGE, SAME = "torchvision full frame", "torchvision", False
LACKS = "filters the whole image in float32, mirrors it at its border"
__all__ = ["image", "pixels", "threads"]


def hide(image: torch.Tensor, boxes: np.ndarray) -> torch.Tensor:
    value, deviation = image.float(), 0.1 * longest_side(boxes)
    radius = min(max(1, round(3 * deviation)), min(image.shape[-2:]) - 1)
    taps, deviations = [2 * radius + 1] * 2, [deviation] * 2
    soft = gaussian_blur(mask_of(image, boxes)[0], taps, deviations)
    return torch.lerp(value, gaussian_blur(value, taps, deviations), soft).round_().to(torch.uint8)

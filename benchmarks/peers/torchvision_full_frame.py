"""torchvision: as the kornia peer, with transforms.v2.functional.gaussian_blur."""

import numpy as np
import torch
from torchvision.transforms.v2.functional import gaussian_blur

from benchmarks.peers.kornia_full_frame import image, pixels, threads

NAME, PACKAGE, SAME = "torchvision full frame", "torchvision", False
LACKS = "filters the whole image in float32, mirrors it at its border"
__all__ = ["image", "pixels", "threads"]


def hide(image: torch.Tensor, boxes: np.ndarray) -> torch.Tensor:
    deviation = 0.1 * float(max(max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes))
    radius = min(max(1, round(3 * deviation)), min(image.shape[-2:]) - 1)
    mask = torch.zeros(1, *image.shape[-2:])
    for x0, y0, x1, y1 in boxes:
        grow = 0.1 * max(x1 - x0, y1 - y0)
        mask[:, max(0, round(y0 - grow)) : round(y1 + grow), max(0, round(x0 - grow)) : round(x1 + grow)] = 1
    taps, deviations = [2 * radius + 1] * 2, [deviation] * 2
    value = image.float()
    blurred = torch.lerp(value, gaussian_blur(value, taps, deviations), gaussian_blur(mask, taps, deviations))
    return blurred.round_().to(torch.uint8)

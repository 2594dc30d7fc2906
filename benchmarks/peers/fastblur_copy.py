"""fastblur's operator, giving a new image."""

from typing import Any

import numpy as np
import torch

import fastblur

NAME, PACKAGE, LACKS, SAME = "fastblur", "fastblur", "", True
threads = torch.set_num_threads


def image(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


def hide(image: torch.Tensor, boxes: np.ndarray) -> Any:
    return fastblur.blur(image, fastblur.Regions.from_boxes([boxes]), "ilsvrc")


def pixels(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()

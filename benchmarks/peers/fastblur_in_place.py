"""fastblur's operator, writing into the image that it is given."""

from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks.peers.fastblur_copy import image, pixels, threads

NAME, PACKAGE, LACKS, SAME = "fastblur in place", "fastblur", "", True
__all__ = ["image", "pixels", "threads"]


def hide(image: torch.Tensor, boxes: np.ndarray) -> Any:
    return fastblur.blur(image, fastblur.Regions.from_boxes([boxes]), "ilsvrc", out=image)

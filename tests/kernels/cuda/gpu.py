"""Where the CUDA kernel's tests run: on a GPU, or on the CPU in Triton's interpreter; the others are skipped."""

import pytest
import torch

from tests.kernels import backends
from tests.kernels.backends import INTERPRETED, NATIVE

DEVICE = "cuda" if NATIVE else "cpu"

pytest.importorskip("triton", reason="triton is absent (the extra fastblur[cuda])")

runs = pytest.mark.skipif(
    not (NATIVE or INTERPRETED), reason="no GPU, and Triton's interpreter is off; test_interpreted.py turns it on"
)
on_gpu = pytest.mark.skipif(not NATIVE, reason="no GPU")


def put(images):
    """The images on the device of the tests, in their layout."""
    if isinstance(images, torch.Tensor):
        return images.to(DEVICE)
    return [image.to(DEVICE) for image in images]


def called(operator, images, *arguments, **parameters):
    """Call an operator with the CUDA kernel and return what it makes of the images, on the CPU."""
    return backends.called("cuda", operator, images, *arguments, **parameters)

"""What the CUDA kernel does not take; apart from the kernel, so that to ask imports no Triton."""

from collections.abc import Sequence

from torch import Tensor

from fastblur.kernels.kernel import Batch, device_of, refuses_values
from fastblur.kernels.triton_support import HAS_TRITON, INTERPRETED


def refuses(
    batch: Batch,  # (B, C, H, W), or a list of (C, H, W)
    others: Sequence[Tensor],
) -> str | None:
    """Return why the kernel does not take the batch with these other tensors; None if it does."""
    device = "cpu" if (found := device_of(batch)) is None else found.type
    if device != "cuda" and not (device == "cpu" and INTERPRETED):
        return f"for images on {device}, expected images on a CUDA device"
    if not HAS_TRITON:
        return "without the package triton, expected it installed (fastblur[cuda])"
    return refuses_values(batch, others)

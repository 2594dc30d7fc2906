"""Many tensors from the CPU to a GPU in one copy."""

from collections.abc import Sequence

import torch
from torch import Tensor

ALIGNMENT = 16  # elements: where each tensor begins, so that kernels may read it in words


def to_device_at_once(
    tensors: Sequence[Tensor],  # (..., C, H, W) each, on the CPU, of one dtype
    device: torch.device | str,
) -> list[Tensor]:
    """Return the tensors on a CUDA device, with the strides that they have where they are dense.

    They go through pinned memory, and the copy may be under way; it is over for what follows it on the current stream.
    """
    places = []
    size = 0
    for tensor in tensors:
        places.append((tensor.shape, _dense_strides(tensor), size))
        size += -(-tensor.numel() // ALIGNMENT) * ALIGNMENT
    held = torch.empty(size, dtype=tensors[0].dtype, pin_memory=torch.device(device).type == "cuda")
    for tensor, place in zip(tensors, places, strict=True):
        held.as_strided(*place).copy_(tensor)
    there = held.to(device, non_blocking=True)
    return [there.as_strided(*place) for place in places]


def _dense_strides(tensor: Tensor) -> tuple[int, ...]:
    """Return the strides of a tensor that is contiguous, or so with its channels last; else those of a contiguous."""
    if tensor.is_contiguous() or tensor.movedim(-3, -1).is_contiguous():
        return tensor.stride()
    return torch.empty(tensor.shape, device="meta").stride()

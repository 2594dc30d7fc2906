"""What the CPU kernel does not take; apart from the kernel, so that to ask imports no Numba."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from fastblur.kernels.kernel import Batch, as_list, device_of, refuses_values
from fastblur.transformed import is_transforming


def refuses(
    batch: Batch,  # (B, C, H, W), or a list of (C, H, W)
    others: Sequence[Tensor],
) -> str | None:
    """Return why the kernel does not take the batch with these other tensors; None if it does."""
    device = device_of(batch)
    if device is not None and device.type != "cpu":
        return f"for images on {device.type}, expected images on the CPU"
    reason = refuses_values(batch, others)
    if reason is not None:
        return reason
    if torch.compiler.is_compiling():  # then memory is read when the graph runs
        return "in a graph under a transform of torch.func, expected backend='reference'" if is_transforming() else None
    is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    for tensor in (*as_list(batch), *others):  # their memory is read, so it must be what they are
        if type(tensor) not in (Tensor, Parameter) or is_wrapped(tensor):
            return f"for a {type(tensor).__name__} of a transform or a subclass, expected backend='reference'"
    return None

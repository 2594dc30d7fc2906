"""The choice of a kernel."""

import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor
from torch.nn import Parameter

from fastblur.kernels.kernel import Batch, Kernel

BACKENDS = ("cpu", "cuda", "reference")
HAS_TRITON = find_spec("triton") is not None
NAMES = {"cpu": "the CPU", "cuda": "a CUDA device"}


def pick_kernel(batch: Batch, backend: str | None, *others: Tensor) -> Kernel:
    """Return the kernel module for the batch: by name, or the fastest that can take it and the `others`' gradients.

    Raises ValueError for an unknown name or a kernel that cannot take the batch.
    """
    device = (device_of(batch) or torch.device("cpu")).type
    parts = [batch] if isinstance(batch, Tensor) else batch
    dtype = parts[0].dtype if parts else torch.uint8
    grad = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*parts, *others))
    if backend is None:
        native = (device == "cpu" and _is_plain([*parts, *others])) or (device == "cuda" and HAS_TRITON)
        backend = device if native and dtype != torch.float64 and not grad else "reference"
    elif backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, expected one of {', '.join(map(repr, BACKENDS))} or None")
    elif backend != "reference":
        if device != backend and not (backend == "cuda" and device == "cpu" and _interpreted()):
            raise ValueError(f"backend is {backend!r} for images on {device}, expected images on {NAMES[backend]}")
        if backend == "cuda" and not HAS_TRITON:
            raise ValueError("backend is 'cuda' without the package triton, expected it installed (fastblur[cuda])")
        if dtype == torch.float64:
            raise ValueError(f"backend is {backend!r} for float64 images, expected backend='reference'")
        if grad:
            raise ValueError(f"backend is {backend!r} for images that require a gradient, expected backend='reference'")
    if backend == "cuda":
        from fastblur.kernels.cuda import operators as cuda  # as a statement, which torch.compile can follow

        return cast(Kernel, cuda)
    if backend == "reference":
        from fastblur.kernels import reference

        return cast(Kernel, reference)
    return cast(Kernel, import_module("fastblur.kernels.cpu.operators"))


def _is_plain(tensors: Sequence[Tensor]) -> bool:
    """Whether the tensors have memory that can be read now: not while traced or compiled, nor those of torch.func."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return all(type(one) in (Tensor, Parameter) and not wrapped(one) for one in tensors)


def _interpreted() -> bool:
    """Whether Triton runs its programs on the CPU, for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1" and HAS_TRITON


def device_of(batch: Batch) -> torch.device | None:
    """Return the device of the images; None for an empty list."""
    if isinstance(batch, Tensor):
        return batch.device
    return batch[0].device if batch else None

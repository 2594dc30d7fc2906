"""The choice of a kernel: each says what it refuses, and the first that takes the batch gets it.

Which kernel ran, and why not another, is logged on the logger "fastblur" at level DEBUG.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

import torch
from torch import Tensor

from fastblur.errors import UsageError
from fastblur.forked import use_one_thread_if_forked
from fastblur.kernels import meta
from fastblur.kernels.cpu import refusal as cpu
from fastblur.kernels.cpu import traced
from fastblur.kernels.cuda import refusal as cuda
from fastblur.kernels.kernel import Batch, Kernel, device_of
from fastblur.options import check_choice
from fastblur.recipes import Backend

LOGGER = logging.getLogger("fastblur")

Refuses = Callable[[Batch, Sequence[Tensor]], str | None]
"""Says in a few words why a kernel does not take a batch with these other tensors, None if it does."""

REFUSES: dict[str, Refuses] = {"cpu": cpu.refuses, "cuda": cuda.refuses}
"""The fast kernels in the order in which they are tried; the reference takes everything."""


def pick_kernel(
    batch: Batch,  # (B, C, H, W), or a list of (C, H, W)
    backend: Backend | None,
    *others: Tensor,  # masks and sigmas, whose gradients count too
) -> Kernel:
    """Return the kernel module for the batch: by name, or the fastest that takes it.

    Raises ValueError for an unknown name, a kernel that refuses the batch, or in torch.jit.trace.
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        raise UsageError(
            "torch.jit.trace would keep the regions of its example in the graph, expected torch.compile or torch.export"
        )
    if not torch.compiler.is_compiling():
        use_one_thread_if_forked()
    reasons = []
    device = device_of(batch)
    if device is not None and device.type == "meta" and backend is None:
        return cast(Kernel, meta)
    if backend is None:
        backend = "reference"
        for name, refuses in REFUSES.items():
            reason = refuses(batch, others)
            if reason is None:
                backend = cast(Backend, name)
                break
            reasons.append(f"not {name!r} {reason}")
    else:
        check_choice("backend", backend, Backend)
        reason = REFUSES[backend](batch, others) if backend in REFUSES else None
        if reason is not None:
            raise ValueError(f"backend is {backend!r} {reason}")
    if not torch.compiler.is_compiling() and LOGGER.isEnabledFor(logging.DEBUG):
        LOGGER.debug("; ".join([f"backend {backend!r}", *reasons]))
    return _load(backend)


def _load(backend: Backend) -> Kernel:
    """Import a kernel when it is first used: each brings a package that takes its time to load."""
    if backend == "cuda":
        from fastblur.kernels.cuda.operators import KERNEL  # as a statement, which torch.compile can follow

        return KERNEL
    if backend == "reference":
        # A frame that no graph can hold runs as it is, but each function that it calls is tried again.
        if torch.compiler.is_compiling() or "torch._dynamo" in sys.modules:
            from fastblur.kernels import out_of_graph

            return cast(Kernel, out_of_graph)
        from fastblur.kernels import reference

        return cast(Kernel, reference)
    if torch.compiler.is_compiling():
        return traced.KERNEL
    return cast(Kernel, import_module("fastblur.kernels.cpu.operators"))  # not as a statement: Numba cannot be traced

"""Tensors under the transforms of torch.func, which have no memory of their own to be read; and under torch.compile."""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch._C import _functorch

from fastblur.errors import UsageError


def as_array(
    tensor: Tensor,  # on the CPU
) -> np.ndarray:  # of the same shape
    """Return the values of a tensor, also under `torch.func.grad`, `jvp` and the like; shared memory where possible.

    Raises UsageError (a ValueError) where `torch.func.vmap` maps over it: then it has other values for each call.
    """
    if _functorch.peek_interpreter_stack() is None:  # under a transform even a plain tensor gives no array
        array: np.ndarray = tensor.detach().numpy()
        return array
    inner = tensor
    while _functorch.is_functorch_wrapped_tensor(inner):
        if _functorch.is_batchedtensor(inner):
            raise UsageError("torch.func.vmap maps over the regions, expected in_dims=None for them")
        inner = _functorch.get_unwrapped(inner)
    dtype = np.float32 if tensor.is_floating_point() else np.int64
    return np.array(tensor.tolist(), dtype).reshape(tuple(tensor.shape))


def check_has_values(images: Any) -> None:
    """Raise UsageError where what a detector finds cannot depend on the images.

    That is in torch.jit.trace, and for a tensor over which `torch.func.vmap` maps.
    """
    if torch.compiler.is_compiling():
        return
    if torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        raise UsageError("torch.jit.trace would keep the faces of its example in the graph, expected torch.compile")
    while isinstance(images, Tensor) and _functorch.is_functorch_wrapped_tensor(images):
        if _functorch.is_batchedtensor(images):
            raise UsageError("torch.func.vmap maps over the images, expected them as one batch (B, 3, H, W)")
        images = _functorch.get_unwrapped(images)


Function = TypeVar("Function", bound=Callable[..., Any])


def constant_in_graphs(function: Function) -> Function:
    """Let torch.compile call the function once for a graph, and not look at how it comes to its result.

    As `torch.compiler.assume_constant_result` does, which takes seconds to load.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


@constant_in_graphs
def is_transforming() -> bool:
    """Return whether a transform of torch.func is at work; for torch.compile, which looks at that before each run."""
    return _functorch.peek_interpreter_stack() is not None

"""The CPU kernel in graphs, as operators of PyTorch: Numba's loops cannot be traced, and are loaded when one runs."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fastblur.forked import use_one_thread_if_forked
from fastblur.kernels.custom_operators import CustomOperators
from fastblur.kernels.kernel import Batch, is_channels_last
from fastblur.kernels.parameters import KernelParameters

DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16)


def _hide_into(
    out: Sequence[Tensor],
    images: Sequence[Tensor],
    boxes: Tensor,
    counts: Tensor,
    color: Tensor | None,
    *parameters: Any,
) -> None:
    use_one_thread_if_forked()
    _check_hide(out, images, boxes, counts)
    written, read = _batches(out, images)
    colors = [] if color is None else [color.numpy()]
    _loops().hide_regions(read, boxes, counts, KernelParameters(*parameters), written, *colors)


def _masked_blur2d_into(
    out: Sequence[Tensor], images: Sequence[Tensor], masks: Sequence[Tensor], sigma: Tensor, border_type: Any
) -> None:
    use_one_thread_if_forked()
    _check_masked_blur2d(out, images, masks)
    if not bool((sigma.isfinite() & (sigma > 0)).all()):
        raise ValueError(f"sigma is {sigma.tolist()}, expected finite numbers > 0")
    written, read = _batches(out, images)
    mask = masks[0] if masks[0].ndim == 4 else list(masks)
    _loops().masked_blur2d(read, mask, sigma, border_type, written)


@cache
def _loops() -> ModuleType:
    return import_module("fastblur.kernels.cpu.operators")


def _batches(out: Sequence[Tensor], images: Sequence[Tensor]) -> tuple[Batch, Batch]:
    """Return what is written and what is read, as the kernel takes them; one object in place."""
    written: Batch = out[0] if out[0].ndim == 4 else list(out)
    if not images:
        return written, written
    return written, images[0] if images[0].ndim == 4 else list(images)


def _check_hide(
    out: Sequence[Tensor], images: Sequence[Tensor], boxes: Tensor, counts: Tensor, *_color: Any, **_parameters: Any
) -> None:
    """Raise ValueError for what would let the loops write or read elsewhere; also when a graph is made."""
    _check_images(out, images)
    size = out[0].shape[0] if out[0].ndim == 4 else len(out)
    if counts.shape != (size,) or boxes.shape[0] != size or boxes.shape[2:] != (4,):
        raise ValueError(
            f"regions are boxes {tuple(boxes.shape)} and counts {tuple(counts.shape)}, expected ({size}, N, 4) and "
            f"({size},) as the images"
        )
    if boxes.dtype != torch.float32 or counts.dtype != torch.int64:
        raise ValueError(f"regions are {boxes.dtype} and {counts.dtype}, expected float32 and int64")


def _check_masked_blur2d(
    out: Sequence[Tensor], images: Sequence[Tensor], masks: Sequence[Tensor], *_others: Any
) -> None:
    """Raise ValueError as `_check_hide`."""
    _check_images(out, images)
    for written, mask in zip(out, masks, strict=True):
        shape = (*written.shape[:-3], 1, *written.shape[-2:])
        if mask.shape != shape:
            raise ValueError(f"mask has shape {tuple(mask.shape)}, expected {shape} as the images")


def _check_images(out: Sequence[Tensor], images: Sequence[Tensor]) -> None:
    for written, read in zip(out, images or out, strict=True):
        shape, dtype = written.shape, written.dtype
        if len(shape) not in (3, 4) or 0 in shape[-3:] or dtype not in DTYPES:
            raise ValueError(
                f"images are {dtype} {tuple(shape)}, expected (B, C, H, W) or (C, H, W), uint8, float32, float16 or "
                "bfloat16"
            )
        if is_channels_last(shape):
            raise ValueError(f"images have shape {tuple(shape)}, as if (H, W, C), expected (C, H, W)")
        if shape != read.shape or dtype != read.dtype:
            raise ValueError(f"out is {dtype} {tuple(shape)}, expected {read.dtype} {tuple(read.shape)}")


KERNEL = CustomOperators("_on_cpu_", _hide_into, _masked_blur2d_into, _check_hide, _check_masked_blur2d)
hide_on_cpu = KERNEL.hide_into

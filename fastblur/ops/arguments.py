"""Argument checks that the operators share, and the choice of a kernel."""

import os
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from itertools import combinations
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from fastblur.kernels.kernel import Batch, Images, Kernel
from fastblur.recipes import FARTHEST
from fastblur.regions import Regions

AnyImages = TypeVar("AnyImages", bound=Images)

DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16, torch.float64)
BACKENDS = ("cpu", "cuda", "reference")
HAS_TRITON = find_spec("triton") is not None
NAMES = {"cpu": "the CPU", "cuda": "a CUDA device"}


def as_batch(images: Images) -> Batch:
    """Return `images` as the kernels take it: (B, C, H, W), or a list of (C, H, W).

    Raises TypeError for other types, ValueError for another rank or dtype or for images on several devices.
    """
    if isinstance(images, Tensor):
        if images.ndim not in (3, 4):
            raise ValueError(f"images have shape {tuple(images.shape)}, expected (B, C, H, W) or (C, H, W)")
        _check_dtype(images)
        images = images.resolve_neg()  # the kernels read memory
        return images if images.ndim == 4 else images[None]
    if not isinstance(images, (list, tuple)):
        raise TypeError(f"images are a {type(images).__name__}, expected a tensor or a list of tensors")
    for i, image in enumerate(images):
        if not isinstance(image, Tensor):
            raise TypeError(f"image {i} is a {type(image).__name__}, expected a tensor (C, H, W)")
        if image.ndim != 3:
            raise ValueError(f"image {i} has shape {tuple(image.shape)}, expected (C, H, W)")
        _check_dtype(image)
        if image.dtype != images[0].dtype or image.device != images[0].device:
            raise ValueError(
                f"image {i} is {image.dtype} on {image.device}, "
                f"expected {images[0].dtype} on {images[0].device} as image 0"
            )
    return [image.resolve_neg() for image in images]


def _check_dtype(image: Tensor) -> None:
    if image.dtype not in DTYPES:
        raise ValueError(f"images have dtype {image.dtype}, expected uint8, float32, float16 or bfloat16")
    if image.layout != torch.strided:
        raise ValueError(f"images have layout {image.layout}, expected dense tensors")
    if 0 in image.shape[-3:]:
        raise ValueError(f"images have shape {tuple(image.shape)}, expected at least one channel, row and column")


def as_regions(regions: Any, batch: Batch, single: bool) -> Regions:
    """Return `regions` as Regions for the batch; arrays of boxes are put on the images' device.

    Raises ValueError where their number or device is not the images', or a coordinate is not finite.
    """
    device = device_of(batch)
    if not isinstance(regions, Regions):
        if single and not (isinstance(regions, Sequence) and len(regions) == 1 and np.ndim(regions[0]) == 2):
            regions = [regions]
        if not isinstance(regions, Sequence):
            raise TypeError(
                f"regions are a {type(regions).__name__}, expected Regions or a list of (n, 4) boxes an image"
            )
        regions = Regions.from_boxes(regions, device=device or "cpu")
    count = batch.shape[0] if isinstance(batch, Tensor) else len(batch)  # Tensor's own len is slow
    if regions.boxes.shape[0] != count:
        raise ValueError(f"regions are for {len(regions)} images, expected {count} as the images")
    if device is not None and regions.device != device:
        raise ValueError(f"regions are on {regions.device}, expected {device} as the images")
    # On other devices the check would wait for the device, and a graph cannot branch on what it finds.
    if regions.device.type == "cpu" and not torch.compiler.is_compiling():
        boxes, counts = regions.boxes.detach().numpy(), regions.counts.numpy()
        sane = np.abs(boxes) <= FARTHEST  # false for NaN too
        if not sane.all():
            counted = np.arange(boxes.shape[1]) < counts[:, None]
            for image, region in np.argwhere(counted & ~sane.all(2)):
                row = boxes[image, region].tolist()
                raise ValueError(f"image {image} has a region {row}, expected finite coordinates up to {FARTHEST} px")
        if ((counts < 0) | (counts > boxes.shape[1])).any():
            raise ValueError(f"Regions counts are {counts.tolist()}, expected 0 to {boxes.shape[1]} as the boxes")
    return cast(Regions, regions)


def as_out(out: Images | None, images: Images, batch: Batch) -> Batch | None:
    """Return `out` as the kernels take it, after holding it against `images`: `batch`, which is theirs, if it is them.

    Raises TypeError or ValueError where type, shape, dtype or device differ, or where a gradient is asked for.
    """
    if out is None:
        return None
    target = batch if out is images else as_batch(out)
    if isinstance(out, Tensor) != isinstance(images, Tensor) or len(out) != len(images):
        raise ValueError(f"out is {_describe(out)}, expected {_describe(images)} as the images")
    if isinstance(out, Tensor) and isinstance(images, Tensor):
        pairs = [(out, images)]
    else:
        pairs = list(zip(out, images, strict=True))
    grad = torch.is_grad_enabled()
    for mine, given in pairs:
        if mine is not given and (mine.shape, mine.dtype, mine.device) != (given.shape, given.dtype, given.device):
            raise ValueError(f"out is {_describe(mine)}, expected {_describe(given)} as the images")
        if grad and (mine.requires_grad or given.requires_grad):
            raise ValueError("out= was given for images that require a gradient, expected one or the other")
    if not torch.compiler.is_compiling():  # which knows no addresses
        _check_memory(pairs)
    return target


def _check_memory(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Raise ValueError where a write to one of the outs would change other elements of it, another out, or an image."""
    starts, ends = [], []
    for mine, given in pairs:
        span, itself = _span(mine.shape, mine.stride(), mine.element_size())
        if itself or mine.is_neg():
            raise ValueError("out is a view that negates, or whose elements share memory, expected memory of its own")
        start = mine.data_ptr()
        starts.append(start)
        ends.append(start + span)
        if mine is given or (start == given.data_ptr() and mine.stride() == given.stride()):
            continue
        first = given.data_ptr()
        if first < start + span and start < first + _span(given.shape, given.stride(), given.element_size())[0]:
            raise ValueError("out overlaps the images in memory, expected the images themselves or memory of its own")
    if len(pairs) == 1:
        return
    order = np.argsort(starts, kind="stable")
    if (np.maximum.accumulate(np.array(ends)[order])[:-1] > np.array(starts)[order][1:]).any():
        for (mine, _), (other, _) in combinations(pairs, 2):
            if _meet(mine, other):
                raise ValueError("out has the same memory for several images, expected memory of its own for each")
    read = {given.data_ptr(): i for i, (_, given) in enumerate(pairs)}
    for i, start in enumerate(starts):
        if read.get(start, i) != i and pairs[i][0] is not pairs[i][1]:
            raise ValueError(f"out {i} is image {read[start]}, expected image {i} or memory of its own")


@lru_cache(maxsize=1024)
def _span(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> tuple[int, bool]:
    """Return how many bytes a view spans, and whether a stride is too short for what the smaller ones span.

    Then elements of the view may share memory.
    """
    last, itself = 0, False
    for stride, count in sorted(zip(strides, shape, strict=True)):
        if count > 1:
            itself |= stride <= last
            last += (count - 1) * stride
    return (last + 1) * size, itself


def _meet(a: Tensor, b: Tensor) -> bool:
    """Whether two views have an element in common, or whether that cannot be told."""
    a0, b0 = a.data_ptr(), b.data_ptr()
    if a0 + _span(a.shape, a.stride(), a.element_size())[0] <= b0:
        return False
    if b0 + _span(b.shape, b.stride(), b.element_size())[0] <= a0:
        return False
    if a.stride() != b.stride() or a.dtype != b.dtype:
        return True
    dims = sorted(zip(a.stride(), a.shape, b.shape, strict=True), reverse=True)

    def reached(distance: int, dims: list[tuple[int, int, int]]) -> bool:
        # Each stride spans all smaller ones, so that only two numbers of steps along it can be right.
        if not dims:
            return distance == 0
        stride, in_a, in_b = dims[0]
        steps = {distance // stride, distance // stride + 1}
        return any(-in_b < step < in_a and reached(distance - step * stride, dims[1:]) for step in steps)

    return reached((b0 - a0) // a.element_size(), dims)


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
        from fastblur.kernels import cuda  # as a statement, which torch.compile can follow

        return cast(Kernel, cuda)
    if backend == "reference":
        from fastblur.kernels import reference

        return cast(Kernel, reference)
    return cast(Kernel, import_module("fastblur.kernels.cpu"))


def _is_plain(tensors: Sequence[Tensor]) -> bool:
    """Whether the tensors have memory that can be read now: not while traced or compiled, nor those of torch.func."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
        return False
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return all(type(one) in (Tensor, Parameter) and not wrapped(one) for one in tensors)


def _interpreted() -> bool:
    """Whether Triton runs its programs on the CPU, for tests."""
    return os.environ.get("TRITON_INTERPRET") == "1" and HAS_TRITON


def like(images: AnyImages, result: Batch, out: AnyImages | None) -> AnyImages:
    """Return a kernel's result in the form in which the images came: `out` itself where it was given."""
    if out is not None:
        return out
    return cast(AnyImages, result[0] if isinstance(images, Tensor) and images.ndim == 3 else result)


def device_of(batch: Batch) -> torch.device | None:
    """Return the device of the images; None for an empty list."""
    if isinstance(batch, Tensor):
        return batch.device
    return batch[0].device if batch else None


def _describe(images: Images) -> str:
    if isinstance(images, Tensor):
        return f"{tuple(images.shape)} {images.dtype} on {images.device}"
    return f"a list of {len(images)} images"

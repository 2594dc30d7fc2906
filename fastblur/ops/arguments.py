"""Argument checks that the operators share."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from fastblur.box_formats import is_batch_of_one
from fastblur.boxes import SMALLEST_FACE
from fastblur.kernels.kernel import Batch, Images, device_of, is_channels_last
from fastblur.ops.overlap import check_memory
from fastblur.regions import Regions

AnyImages = TypeVar("AnyImages", bound=Images)

DTYPES = (torch.uint8, torch.float32, torch.float16, torch.bfloat16, torch.float64)


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
    if not images:
        return []
    first = images[0]
    _check_image(0, first, first)
    dtype, device, strided = first.dtype, first.device, torch.strided
    compiling = torch.compiler.is_compiling()  # a graph cannot branch on it, nor does its compiled code make such
    negatable, negated = not compiling and first.is_floating_point(), False
    for i, image in enumerate(images):  # each look at a tensor takes some 40 ns, and lists are long
        alike = (
            (type(image) is Tensor or isinstance(image, Tensor))
            and image.ndim == 3
            and image.numel()
            and image.size(2) >= SMALLEST_FACE
        )
        if not alike or image.dtype is not dtype or image.device != device or image.layout is not strided:
            _check_image(i, image, first)
        negated |= negatable and image.is_neg()
    return [image.resolve_neg() for image in images] if negated else list(images)


def _check_image(i: int, image: Any, first: Tensor) -> None:
    """Raise TypeError or ValueError for image `i` of a list where it is not what it should be."""
    if not isinstance(image, Tensor):
        raise TypeError(f"image {i} is a {type(image).__name__}, expected a tensor (C, H, W)")
    if image.ndim != 3:
        raise ValueError(f"image {i} has shape {tuple(image.shape)}, expected (C, H, W)")
    _check_dtype(image)
    if image.dtype != first.dtype or image.device != first.device:
        raise ValueError(
            f"image {i} is {image.dtype} on {image.device}, expected {first.dtype} on {first.device} as image 0"
        )


def _check_dtype(image: Tensor) -> None:
    """Raise ValueError for another dtype, a sparse tensor or an image without pixels."""
    if image.dtype not in DTYPES:
        raise ValueError(f"images have dtype {image.dtype}, expected uint8, float32, float16 or bfloat16")
    if image.layout != torch.strided:
        raise ValueError(f"images have layout {image.layout}, expected dense tensors")
    if 0 in image.shape[-3:]:
        raise ValueError(f"images have shape {tuple(image.shape)}, expected at least one channel, row and column")
    if is_channels_last(image.shape):
        raise ValueError(
            f"images have shape {tuple(image.shape)}, as if (H, W, C), expected (C, H, W): move the channels first"
        )


def as_regions(
    regions: Any,
    batch: Batch,  # (B, C, H, W), or a list of (C, H, W)
    single: bool,  # whether it was made of one image, whose boxes need no list around them
) -> Regions:
    """Return `regions` as Regions for the batch; arrays of boxes go to the images' device.

    Raises ValueError where their number or device is not the images'. The kernels look at the values.
    """
    device = device_of(batch)
    if not isinstance(regions, Regions):
        if single and not is_batch_of_one(regions):
            regions = [regions]
        if not isinstance(regions, Sequence):
            raise TypeError(
                f"regions are a {type(regions).__name__}, expected Regions or a list of (n, 4) boxes an image"
            )
        sizes = [tuple(image.shape[-2:]) for image in batch] if len(regions) == len(batch) else None
        regions = Regions.from_boxes(regions, size=sizes or None, device=device or "cpu")
    count = batch.shape[0] if isinstance(batch, Tensor) else len(batch)  # Tensor's own len is slow
    if regions.boxes.shape[0] != count:
        raise ValueError(f"regions are for {len(regions)} images, expected {count} as the images")
    if device is not None and regions.device != device:
        raise ValueError(f"regions are on {regions.device}, expected {device} as the images")
    return cast(Regions, regions)


def as_out(out: Images | None, images: Images, batch: Batch) -> Batch | None:
    """Return `out` as the kernels take it, checked against `images`; `batch`, which was made of them, if it is them.

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
        if grad and (mine.requires_grad or (mine is not given and given.requires_grad)):
            raise ValueError("out= was given for images that require a gradient, expected one or the other")
    if not torch.compiler.is_compiling():  # which knows no addresses
        check_memory(pairs)
    return target


def as_input_container(images: AnyImages, result: Batch, out: AnyImages | None) -> AnyImages:
    """Return a kernel's result in the form in which the images came: `out` itself where it was given."""
    if out is not None:
        return out
    return cast(AnyImages, result[0] if isinstance(images, Tensor) and images.ndim == 3 else result)


def _describe(images: Images) -> str:
    """Return shape, dtype and device, or how many, for an error."""
    if isinstance(images, Tensor):
        return f"{tuple(images.shape)} {images.dtype} on {images.device}"
    return f"a list of {len(images)} images"

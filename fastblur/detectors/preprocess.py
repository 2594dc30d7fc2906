"""Letterbox: images of different sizes into one network input, scaled down where needed, never stretched."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from fastblur.detectors.multi_scale import Size
from fastblur.kernels.triton_support import HAS_TRITON
from fastblur.staging import to_device_at_once

MAX_FLOATING = 2.0  # filters may overshoot 1 as far; a forgotten / 255 goes further
DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_pixels_are_there(stacks: list[Tensor], device: torch.device) -> None:
    """Raise ValueError for images on the device "meta", which has none, unless the network is there too."""
    if device.type != "meta" and any(stack.device.type == "meta" for stack in stacks):
        raise ValueError("images are on the device 'meta', which holds no pixels, expected another")


def as_stacks(
    images: Tensor | Sequence[Tensor],  # (B, 3, H, W), (3, H, W) or a list of (3, H, W); or one grey channel
) -> list[Tensor]:  # (b, 3, H, W) each
    """Return the images as stacks, a batch as one and a ragged list as one for each image; no copies.

    Raises TypeError or ValueError for anything but RGB or grey images in one of the DTYPES, all on one device.
    """
    if isinstance(images, Tensor):
        if images.ndim not in (3, 4):
            raise ValueError(f"images have shape {tuple(images.shape)}, expected (B, 3, H, W), (3, H, W) or a list")
        stacks = [images if images.ndim == 4 else images[None]]
    elif isinstance(images, (list, tuple)):
        for i, image in enumerate(images):
            if not isinstance(image, Tensor):
                raise TypeError(f"image {i} is a {type(image).__name__}, expected a torch.Tensor")
            if image.ndim != 3:
                raise ValueError(f"image {i} has shape {tuple(image.shape)}, expected (3, H, W)")
        stacks = [image[None] for image in images]
    else:
        raise TypeError(f"images are a {type(images).__name__}, expected a torch.Tensor or a list of them")
    stacks = [stack.expand(-1, 3, -1, -1) if stack.shape[1] == 1 else stack for stack in stacks]
    for stack in stacks:
        if stack.shape[1] != 3:
            raise ValueError(
                f"images have shape {tuple(stack.shape[1:])} with {stack.shape[1]} channels, expected 3 (RGB) or 1 "
                "(grey): detectors see nothing else"
            )
        if 0 in stack.shape[2:]:
            raise ValueError(f"images have shape {tuple(stack.shape[1:])}, expected at least one pixel")
        if stack.dtype not in DTYPES:
            raise ValueError(f"images have dtype {stack.dtype}, expected uint8 in 0..255 or floating in 0..1")
        if stack.is_floating_point() and stack.device.type == "cpu" and not torch.compiler.is_compiling():
            check_range(stack)  # elsewhere the host would wait for the device
    devices = sorted({str(stack.device) for stack in stacks})
    if len(devices) > 1:
        raise ValueError(f"images are on several devices ({', '.join(devices)}), expected one")
    return stacks


def check_range(
    stack: Tensor,  # (b, 3, H, W) floating
) -> None:
    """Raise ValueError for images that are not in 0..1, as those in -1..1, in 0..255 or normalised; waits for them.

    NaN passes here: what detectors make of it is known.
    """
    if not stack.numel():
        return
    lowest, highest = map(float, stack.detach().aminmax())
    if lowest < 0:
        raise ValueError(f"floating images go down to {lowest:.4g}, expected 0..1: not normalised, and not in -1..1")
    if highest > MAX_FLOATING:
        raise ValueError(f"floating images go up to {highest:.4g}, expected 0..1")


def stacks_on(
    stacks: list[Tensor],  # (b, 3, H, W) each
    device: torch.device,
) -> list[Tensor]:
    """Return the stacks on the device; those of a list on the CPU go to a GPU in one copy, from pinned memory."""
    first = stacks[0]
    alone = len(stacks) == 1 or torch.compiler.is_compiling() or any(one.dtype != first.dtype for one in stacks)
    if alone or first.device.type != "cpu" or device.type != "cuda":
        return [stack.to(device, non_blocking=True) for stack in stacks]
    return to_device_at_once(stacks, device)


def fits_one_launch(
    stacks: Sequence[Tensor],  # (b, 3, H, W) each
    device: torch.device,  # of the network
) -> bool:
    """Return whether `letterbox_triton` takes the images; a compiler fuses `letterbox` by itself."""
    if device.type != "cuda" or not HAS_TRITON or torch.compiler.is_compiling():
        return False
    return stacks[0].dtype != torch.float64 and all(stack.dtype == stacks[0].dtype for stack in stacks)


def letterbox(
    stacks: Sequence[Tensor],  # (b, 3, H, W) each, uint8 in 0..255 or floating in 0..1, on the device of `fill`
    sizes: Sequence[Size],  # of each stack's images in the result
    canvas: Size,  # no less than any of `sizes`
    fill: Tensor,  # (3, 1, 1) float32, on that device
    memory_format: torch.memory_format = torch.contiguous_format,
    dtype: torch.dtype = torch.float32,
) -> Tensor:  # (B, 3, *canvas) of `dtype` in 0..255
    """Return the images scaled (bilinear, antialiased) into the canvas's upper left corner; the rest is `fill`.

    In float16 every value is the float32 one rounded once, which is what a network in float16 would make of it.
    """
    batch = sum(len(stack) for stack in stacks)
    result = torch.empty((batch, 3, *canvas), device=fill.device, dtype=dtype, memory_format=memory_format)
    if any(size != tuple(canvas) for size in sizes):
        result.copy_(fill)
    start = 0
    for stack, (h, w) in zip(stacks, sizes, strict=True):
        pixels = stack
        if pixels.shape[2:] != (h, w):
            pixels = F.interpolate(pixels.float(), size=(h, w), mode="bilinear", antialias=True)
        target = result[start : start + len(stack), :, :h, :w]
        if stack.dtype == torch.uint8:
            target.copy_(pixels)
        elif dtype == torch.float32:
            target.copy_(pixels).mul_(255.0)
        else:
            target.copy_(pixels.float() * 255.0)
        start += len(stack)
    return result

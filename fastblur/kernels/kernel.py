"""What every kernel offers: the same function names and arguments.

A kernel takes what the operators have checked, but for the values of regions: on the CPU it raises ValueError as
`Regions.check` before anything is written; on other devices that would wait for the device. `Batch` is (B, C, H, W), or
a list of (C, H, W) of different sizes.

With `out` it writes every pixel of it, also where `out` is the images themselves, and returns it; else it returns a
new batch.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastblur.boxes import SMALLEST_FACE
from fastblur.recipes import BorderType, Recipe, Shape
from fastblur.regions import Regions

Images = Tensor | Sequence[Tensor]
Batch = Tensor | list[Tensor]


class Kernel(Protocol):
    """The functions of a kernel module; `refusal.refuses` next to it says what it does not take."""

    def blur(self, images: Batch, regions: Regions, recipe: Recipe, out: Batch | None = None) -> Batch:
        """Blur the regions as the recipe says."""

    def pixelate(
        self, images: Batch, regions: Regions, blocks: int, margin: float, shape: Shape, out: Batch | None = None
    ) -> Batch:
        """Replace the regions by a mosaic with `blocks` blocks along the longer side."""

    def fill(
        self,
        images: Batch,
        regions: Regions,
        color: Tensor,  # (C,) or (1,) float32, in the images' own scale
        margin: float,
        feather: float,
        shape: Shape,
        out: Batch | None = None,
    ) -> Batch:
        """Paint the regions with `color`."""

    def masked_blur2d(
        self,
        images: Batch,
        mask: Batch,  # (B, 1, H, W), or a list of (1, H, W); bool or floating
        sigma: Tensor,  # (B, 2) float32, (y, x) px
        border_type: BorderType = "replicate",
        out: Batch | None = None,
    ) -> Batch:
        """Blur each image with its sigma where its mask is not zero."""


def as_list(batch: Batch) -> list[Tensor]:
    """Return a batch as the tensors that it consists of: itself, or those of the list."""
    return [batch] if isinstance(batch, Tensor) else batch


def shorter_sides(batch: Batch) -> np.ndarray:  # (B,) px
    """Return the shorter side of each image, as `Regions.check` takes them."""
    return np.array([min(image.shape[-2:]) for image in batch])


def is_channels_last(shape: Sequence[int]) -> bool:  # (..., C, H, W)
    """Return whether the shape is as if (..., H, W, C): too narrow for a face, and with many channels."""
    return shape[-1] < SMALLEST_FACE <= shape[-3]


def device_of(batch: Batch) -> torch.device | None:
    """Return the device of the images; None for an empty list."""
    if isinstance(batch, Tensor):
        return batch.device
    return batch[0].device if batch else None


def refuses_values(
    batch: Batch,  # (B, C, H, W), or a list of (C, H, W)
    others: Sequence[Tensor],
) -> str | None:
    """Return why a kernel without float64 and without gradients does not take the batch; None if it does."""
    images = as_list(batch)
    if images and images[0].dtype == torch.float64:
        return "for float64 images, expected backend='reference'"
    # Tangents of forward-mode differentiation flow whether or not gradients are asked for.
    if forward_ad._current_level >= 0 and any(map(_may_have_tangent, (*images, *others))):
        return "for images with tangents, expected backend='reference'"
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (*images, *others)):
        return "for images that require a gradient, expected backend='reference'"
    return None


def _may_have_tangent(tensor: Tensor) -> bool:
    if torch.compiler.is_compiling():  # a graph is made with tensors that have none, and runs with others
        return tensor.is_floating_point()
    return tensor.is_floating_point() and forward_ad.unpack_dual(tensor).tangent is not None  # type: ignore


def empty_like(images: Batch) -> Batch:
    """Return a batch of the same type, shapes, dtype, device and layout, not initialised."""
    return torch.empty_like(images) if isinstance(images, Tensor) else [torch.empty_like(image) for image in images]

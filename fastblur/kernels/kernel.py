"""What every kernel offers: the same function names and arguments.

A kernel takes what the operators have checked. `Batch` is (B, C, H, W), or a list of (C, H, W) of different sizes.
With `out` it writes every pixel of it, also where `out` is the images themselves, and returns it; else it returns a
new batch.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from fastblur.recipes import Recipe
from fastblur.regions import Regions

Images = Tensor | Sequence[Tensor]
Batch = Tensor | list[Tensor]


class Kernel(Protocol):
    """What a kernel module offers."""

    def blur(self, images: Batch, regions: Regions, recipe: Recipe, out: Batch | None) -> Batch:
        """Blur the regions as the recipe says."""

    def pixelate(
        self, images: Batch, regions: Regions, blocks: int, margin: float, shape: str, out: Batch | None
    ) -> Batch:
        """Replace the regions by a mosaic with `blocks` blocks along the longer side."""

    def fill(
        self,
        images: Batch,
        regions: Regions,
        color: Tensor,
        margin: float,
        feather: float,
        shape: str,
        out: Batch | None,
    ) -> Batch:
        """Paint the regions with `color`, (C,) or (1,) float32 in the images' own scale."""

    def masked_blur2d(self, images: Batch, mask: Batch, sigma: Tensor, border_type: str, out: Batch | None) -> Batch:
        """Blur each image with its `sigma`, (B, 2) as (y, x) in pixels, where its mask, (1, H, W), is not zero."""

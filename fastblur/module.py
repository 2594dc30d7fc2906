"""FaceBlur: a detector and blur as one module, the place where they meet on tensors."""

from collections.abc import Callable
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from fastblur.detectors import DEFAULT_DETECTOR, load_detector
from fastblur.ops import blur
from fastblur.recipes import Recipe, resolve_recipe
from fastblur.regions import Regions


class FaceBlur(nn.Module):
    """Hides the faces in images: the detector finds their regions, `fastblur.blur` blurs them.

    Args:
        detector: the name of one (see `load_detector`; it then runs on `device`), or any callable from images to
            Regions.
        recipe: the name of one, or a Recipe.
        device: where a detector given by name runs.
        graph: whether a detector given by name runs as a CUDA graph (see `load_detector`).
        strength, margin, feather, shape, scope: what to change in the recipe; None leaves it.

    Raises what `load_detector` and `resolve_recipe` raise.

    Example:
        >>> hide = FaceBlur("centerface")
        >>> hidden = hide(images)
        >>> hidden, regions = hide(images, return_regions=True)
    """

    def __init__(
        self,
        detector: str | Callable[[Any], Regions] = DEFAULT_DETECTOR,
        recipe: str | Recipe = "default",
        *,
        device: torch.device | str = "cpu",
        graph: bool = False,
        strength: float | None = None,
        margin: float | None = None,
        feather: float | None = None,
        shape: str | None = None,
        scope: str | None = None,
    ) -> None:
        super().__init__()
        self.recipe = resolve_recipe(
            recipe, strength=strength, margin=margin, feather=feather, shape=shape, scope=scope
        )
        if not isinstance(detector, str) and not callable(detector):
            raise TypeError(f"detector is a {type(detector).__name__}, expected a name or a callable")
        if graph and not isinstance(detector, str):
            raise ValueError("graph=True was given beside a detector of its own, expected the detector's name")
        if isinstance(detector, str):
            detector = load_detector(detector, device=device, graph=graph)
        self.detector: Callable[[Any], Regions] = detector

    @overload
    def forward(self, images: Tensor, *, return_regions: Literal[False] = ...) -> Tensor: ...
    @overload
    def forward(self, images: list[Tensor], *, return_regions: Literal[False] = ...) -> list[Tensor]: ...
    @overload
    def forward(self, images: Tensor, *, return_regions: Literal[True]) -> tuple[Tensor, Regions]: ...
    @overload
    def forward(self, images: list[Tensor], *, return_regions: Literal[True]) -> tuple[list[Tensor], Regions]: ...
    def forward(
        self, images: Tensor | list[Tensor], *, return_regions: bool = False
    ) -> Tensor | list[Tensor] | tuple[Tensor | list[Tensor], Regions]:
        """Return the images with their faces hidden, and the Regions too where `return_regions` is true.

        Args:
            images: (B, 3, H, W) or (3, H, W), RGB, uint8 in 0..255 or floating in 0..1, or a list of (3, H, W).
            return_regions: whether to return (images, regions).

        Whatever the detector raises is passed on: an image in which detection failed is never returned.
        """
        regions = self.detector(images)
        hidden = blur(images, regions, self.recipe)
        return (hidden, regions) if return_regions else hidden

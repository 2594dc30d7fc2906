"""FaceBlur: a detector and an operator as one module, on tensors."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, Literal, overload

from torch import Tensor, nn

from fastblur import ops
from fastblur.detectors import DEFAULT_DETECTOR, DetectorSettings, load_detector
from fastblur.errors import UsageError
from fastblur.method_options import operator_arguments
from fastblur.options import Method
from fastblur.regions import Regions


class FaceBlur(nn.Module):
    """Hides the faces in images: a detector finds their regions, an operator blurs, pixelates or fills them.

    Args:
        detector: the name of one (see `load_detector`), or any callable from images to Regions.
        method: "blur", "pixelate" or "fill": the operator.
        options: those of a detector given by name (threshold, detect_size, weights, device, engine, threads, half,
            graph; see `load_detector`) and those of the operator (recipe, strength, margin, feather, shape, scope;
            blocks; color; see `fastblur.blur`, `pixelate` and `fill`). None stands for the default.

    All are checked here. Raises ValueError (UsageError) for one that does not fit, or with which a face could still be
    recognised, TypeError for a detector of another type, and what `load_detector` raises.

    Example:
        >>> import torch
        >>> from fastblur import FaceBlur
        >>> hide = FaceBlur("centerface", threshold=0.4, recipe="ilsvrc")
        >>> images = torch.zeros(2, 3, 96, 128, dtype=torch.uint8)
        >>> hide(images).shape
        torch.Size([2, 3, 96, 128])
        >>> hidden, regions = hide(images, return_regions=True)
        >>> regions.counts
        tensor([0, 0])
    """

    def __init__(
        self, detector: str | Callable[[Any], Regions] = DEFAULT_DETECTOR, method: Method = "blur", **options: Any
    ) -> None:
        super().__init__()
        settings, own = split_options(options)
        check_detector(detector, settings)
        self.method = method
        self.arguments = operator_arguments(method, **own)[0]
        self.detector = load_detector(detector, **settings) if isinstance(detector, str) else detector
        self._operator = getattr(ops, method)

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

        Exceptions of the detector are passed on: an image in which detection failed is never returned.
        """
        regions = self.detector(images)
        hidden: Tensor | list[Tensor] = self._operator(images, regions, **self.arguments)
        return (hidden, regions) if return_regions else hidden

    def extra_repr(self) -> str:
        """Return the arguments, for `repr`."""
        shown = {"detector": self.detector, "method": self.method, **self.arguments}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())


def split_options(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that are settings of a detector, without those that are None, and the others."""
    names = {field.name for field in fields(DetectorSettings)}
    settings = {name: value for name, value in options.items() if name in names and value is not None}
    return settings, {name: value for name, value in options.items() if name not in names}


def check_detector(detector: object, settings: dict[str, Any]) -> None:
    """Raise TypeError for what is no detector, UsageError for settings of one that is not given by name."""
    if isinstance(detector, str):
        return
    if not callable(detector):
        raise TypeError(f"detector is a {type(detector).__name__}, expected a name or a callable")
    if settings:
        raise UsageError(
            f"{', '.join(settings)} was given with a detector that is a callable, expected the detector's name"
        )

"""FaceBlur: a detector and an operator as one module, on tensors."""

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor, nn

from fastblur import ops
from fastblur.detectors import DEFAULT_DETECTOR, DetectorSettings, load_detector
from fastblur.detectors.custom import FaceDetector, find_regions, name_of, resolve
from fastblur.detectors.registry import check_name, is_import_name
from fastblur.errors import UsageError
from fastblur.forked import use_one_thread_if_forked
from fastblur.method_options import operator_arguments
from fastblur.options import Channels, Method, check_choice
from fastblur.regions import Regions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastblur.method_options import HidingOptions


class FaceBlur(nn.Module):
    """Hides the faces in images: a detector finds their regions, an operator blurs, pixelates or fills them.

    Args:
        detector: the name of one (see `load_detector`); or your own: a callable or class, or "package.module:name",
            see `fastblur.detectors.FaceDetector`.
        method: "blur", "pixelate" or "fill": the operator.
        channels: the order of the images' colours, "bgr" for those that OpenCV has read.
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
        self,
        detector: str | FaceDetector | Callable[..., Any] = DEFAULT_DETECTOR,
        method: Method = "blur",
        *,
        channels: Channels = "rgb",
        **options: "Unpack[HidingOptions]",
    ) -> None:
        super().__init__()
        settings, own = split_options(dict(options))
        check_detector(detector, settings)
        check_choice("channels", channels, Channels)
        self.method, self.channels = method, channels
        self.arguments = operator_arguments(method, **own)[0]
        by_name = isinstance(detector, str) and not is_import_name(detector)
        self.detector: Any = load_detector(str(detector), **settings) if by_name else resolve(detector)
        self._operator = getattr(ops, method)

    @overload
    def forward(self, images: Tensor, *, return_regions: Literal[False] = ..., out: Tensor | None = ...) -> Tensor: ...
    @overload
    def forward(
        self, images: list[Tensor], *, return_regions: Literal[False] = ..., out: list[Tensor] | None = ...
    ) -> list[Tensor]: ...
    @overload
    def forward(
        self, images: Tensor, *, return_regions: Literal[True], out: Tensor | None = ...
    ) -> tuple[Tensor, Regions]: ...
    @overload
    def forward(
        self, images: list[Tensor], *, return_regions: Literal[True], out: list[Tensor] | None = ...
    ) -> tuple[list[Tensor], Regions]: ...
    def forward(
        self,
        images: Tensor | list[Tensor],
        *,
        return_regions: bool = False,
        out: Tensor | list[Tensor] | None = None,
    ) -> Tensor | list[Tensor] | tuple[Tensor | list[Tensor], Regions]:
        """Return the images with their faces hidden, and the Regions too where `return_regions` is true.

        Args:
            images: (B, 3, H, W) or (3, H, W), RGB unless `channels` says otherwise, or with one grey channel, uint8 in
                0..255 or floating in 0..1, or a list of (3, H, W).
            return_regions: whether to return (images, regions).
            out: images of the same shape, dtype and device to write into; `out=images` works in place.

        Exceptions of the detector are passed on: an image in which detection failed is never returned.
        """
        if not torch.compiler.is_compiling():
            use_one_thread_if_forked()
        seen = images
        if self.channels == "bgr":
            seen = images.flip(-3) if isinstance(images, Tensor) else [image.flip(0) for image in images]
        regions = find_regions(self.detector, seen)
        hidden: Tensor | list[Tensor] = self._operator(images, regions, out=out, **self.arguments)
        return (hidden, regions) if return_regions else hidden

    def extra_repr(self) -> str:
        """Return the arguments, for `repr`."""
        own = self.detector if type(self.detector).__module__.startswith("fastblur.") else name_of(self.detector)
        shown = {"detector": own, "method": self.method, **self.arguments}
        if self.channels != "rgb":
            shown["channels"] = self.channels
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())


def split_options(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options that are settings of a detector, without those that are None, and the others."""
    names = {field.name for field in fields(DetectorSettings)}
    settings = {name: value for name, value in options.items() if name in names and value is not None}
    return settings, {name: value for name, value in options.items() if name not in names}


def check_detector(detector: object, settings: dict[str, Any]) -> None:
    """Raise TypeError for what is no detector, UsageError for settings of one that is not given by name."""
    if isinstance(detector, str):
        check_name(detector)
        if not is_import_name(detector):
            return
    elif not callable(detector):
        raise TypeError(f"detector is a {type(detector).__name__}, expected a name or a callable")
    if settings:
        raise UsageError(
            f"{', '.join(settings)} was given with a detector of your own, expected the name of one of fastblur's"
        )

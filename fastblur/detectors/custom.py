"""Detectors of the user's own: what they are given, what they may return, and how runs name them."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

from fastblur.detectors.detector import Detector
from fastblur.detectors.preprocess import as_stacks, check_pixels_are_there, check_range
from fastblur.detectors.registry import is_import_name
from fastblur.errors import UsageError
from fastblur.forked import use_one_thread_if_forked
from fastblur.regions import Regions


class FaceDetector(Protocol):
    """A detector of your own: any callable with this signature, or a class that makes one without arguments.

    `FaceBlur`, `HideFaces`, Ray Data and `fastblur.pipeline.run` take it as `detector`, the command as
    `--detector package.module:name`. What it returns is checked; in an image for which it raises, or gives something
    else, nothing is hidden and the image is not written.

    Example:
        >>> import torch
        >>> from fastblur import FaceBlur
        >>> def upper_left(images):
        ...     return [[[0, 0, image.shape[2] / 2, image.shape[1] / 2]] for image in images]
        >>> hide = FaceBlur(upper_left, "fill", color=9)
        >>> hide(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))[:, 0, 8, 8]
        tensor([9, 9], dtype=torch.uint8)
    """

    def __call__(self, images: list[Tensor], /) -> Any:
        """Return the faces of images.

        Args:
            images: a list of (3, H, W) uint8 tensors, RGB in 0..255, upright, of different sizes, on the device where
                the work is done. Not to be written to.

        Returns: for each image its boxes, (n, 4) xyxy in pixels of that image; as Regions, as a list with an array,
        tensor or list for each, or as a tuple of such a list and one with the (n,) scores. What `Regions.from_boxes`
        takes for an image may stand in the list: the results of Ultralytics, supervision, torchvision and others.
        """


def find_regions(detector: FaceDetector, images: Tensor | Sequence[Tensor]) -> Regions:
    """Return the regions that a detector finds: fastblur's own, or any `FaceDetector`, whose answer is checked.

    Args:
        detector: as `resolve` gives it.
        images: (B, 3, H, W) or (3, H, W), RGB or with one grey channel, uint8 in 0..255 or floating in 0..1; or a list
            of (3, H, W).

    Returns Regions on the images' device, clipped to the images.

    Raises TypeError or ValueError for other images, ValueError for an answer that is not one of `FaceDetector`, and
    what the detector raises.
    """
    if isinstance(detector, Detector):
        return detector(images)
    if not torch.compiler.is_compiling():
        use_one_thread_if_forked()
    stacks = as_stacks(images)
    check_pixels_are_there(stacks, torch.device("cpu"))
    given = [image for stack in stacks for image in _as_levels(stack)]
    device = stacks[0].device if stacks else torch.device("cpu")
    if not given:
        return Regions.from_boxes([], device=device)
    with torch.no_grad():
        found = detector(given)
    try:
        regions = _checked(found, [(image.shape[1], image.shape[2]) for image in given])
    except (TypeError, ValueError) as error:
        raise ValueError(f"detector {name_of(detector)}: {error}") from error
    return regions.to(device)


def _as_levels(
    stack: Tensor,  # (b, 3, H, W)
) -> Tensor:  # (b, 3, H, W) uint8
    if stack.dtype == torch.uint8:
        return stack
    if not torch.compiler.is_compiling():
        if not bool(stack.isfinite().all()):  # levels have no place for them
            raise ValueError("floating images have NaN or infinite values, expected 0..1")
        check_range(stack)  # whatever the device: a detector waits for it anyway
    return (stack.float() * 255).round().clamp(0, 255).to(torch.uint8)


def _checked(found: Any, sizes: list[tuple[int, int]]) -> Regions:
    """Return what a detector gave for images of these (H, W) as Regions; raises ValueError for anything else."""
    scores = None
    if isinstance(found, tuple) and len(found) == 2:
        found, scores = found
    if isinstance(found, Regions):
        if scores is not None:
            raise ValueError("it gave Regions and something else, expected Regions alone")
        if len(found) != len(sizes):
            raise ValueError(f"it gave Regions of {len(found)} images, expected {len(sizes)}")
        if found.device.type == "cpu":
            found.check(np.array(sizes).min(1))
    else:
        is_list = isinstance(found, (list, tuple)) or (hasattr(found, "ndim") and found.ndim == 3)
        if not is_list:
            raise ValueError(
                f"it gave a {type(found).__name__}, expected Regions, or a list with the boxes of each of "
                f"{len(sizes)} images"
            )
        if len(found) != len(sizes):
            raise ValueError(f"it gave boxes for {len(found)} images, expected {len(sizes)}")
        found = Regions.from_boxes(found, scores, size=sizes)
    if found.device.type == "cpu":
        for (height, width), boxes in zip(sizes, found, strict=True):
            away = (boxes[:, :2] >= torch.tensor([width, height])).any(1) | (boxes[:, 2:] <= 0).any(1)
            away &= (boxes[:, 2:] > boxes[:, :2]).all(1)
            if away.any():
                row = boxes[away][0].tolist()
                raise ValueError(f"the box {row} lies outside its image of {width} x {height} pixels")
    clipped: Regions = found.clipped(sizes)
    return clipped


def resolve(detector: Any) -> FaceDetector:
    """Return the detector that a class makes, or that "package.module:name" names; any other callable itself.

    Raises UsageError where there is no such module or name, TypeError for what cannot be called.
    """
    if isinstance(detector, str):
        detector = _imported(detector)
    if isinstance(detector, type):
        detector = detector()
    if not callable(detector):
        raise TypeError(f"detector is a {type(detector).__name__}, expected a name or a callable")
    return cast(FaceDetector, detector)


def _imported(name: str) -> Callable[..., Any]:
    if not is_import_name(name):
        raise UsageError(f"detector is {name!r}, expected 'package.module:name'")
    module_name, _, attribute = name.partition(":")
    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UsageError(f"detector {name!r} needs the package {error.name}, expected it installed") from error
        raise UsageError(
            f"detector is {name!r}, but there is no module {error.name!r}, expected one that Python can import"
        ) from None
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"detector is {name!r}, but the module has no {attribute!r}, expected a detector there")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"detector is {name!r}, which is a {type(found).__name__}, expected a callable")
    return cast(Callable[..., Any], found)


def name_of(detector: object) -> str:
    """Return what messages, `repr` and journals call a detector: its own name, or "package.module:name"."""
    if isinstance(detector, str):
        return detector
    if isinstance(detector, Detector):
        return detector.name
    named = detector if hasattr(detector, "__qualname__") else type(detector)
    return f"{named.__module__}:{named.__qualname__}"


def version_of(detector: object) -> str:
    """Return the version of a detector, for the journal of a run.

    That is what `version` or `__version__` says of it, of its module or of the package of that; else that of the
    distribution, and where there is none the sha256 of the module's file.
    """
    module_name = getattr(detector, "__module__", None) or type(detector).__module__
    module, package = sys.modules.get(module_name), sys.modules.get(module_name.partition(".")[0])
    for owner, name in (
        (detector, "version"),
        (detector, "__version__"),
        (module, "__version__"),
        (package, "__version__"),
    ):
        version = getattr(owner, name, None)
        if isinstance(version, (str, int, float)):
            return str(version)
    try:
        return metadata.version(module_name.partition(".")[0])
    except (metadata.PackageNotFoundError, ValueError):
        pass
    try:
        return f"sha256 {hashlib.sha256(Path(inspect.getfile(cast(Any, module))).read_bytes()).hexdigest()}"
    except (TypeError, OSError):
        return "unknown"

"""retinaface-pytorch 0.0.8, the package whose weights fastblur loads, made importable beside a current torch.

It is installed with --no-deps, together with the albumentations it names (1.0.0) and a torchvision whose version fits
the torch that is there. On a machine without CUDA torchvision's compiled operators do not load, and its import stops at
`torchvision::nms` and `torchvision::qnms`, for which it wants to register shapes. Where they do not load, these two
names are declared, without an implementation, before the import: the network calls neither. `predict_jsons` calls
`torchvision.ops.nms`, so that name, in its module, is the greedy loop below. Nothing else of the package is replaced.
"""

import warnings
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

PACKAGES = ("retinaface", "torchvision", "albumentations", "cv2")
_declared: list[torch.library.Library] = []  # a Library's declarations last as long as it does


def greedy_nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """The indices of the kept boxes, by score from the highest: what torchvision.ops.nms says it returns."""
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    left = torch.argsort(scores, descending=True, stable=True)
    keep = []
    while len(left):
        best, left = left[0], left[1:]
        keep.append(best)
        low, high = boxes[left, :2].maximum(boxes[best, :2]), boxes[left, 2:].minimum(boxes[best, 2:])
        shared = (high - low).clamp(min=0).prod(1)
        left = left[shared / (area[left] + area[best] - shared) <= iou_threshold]
    return torch.stack(keep) if keep else left


def import_peer() -> ModuleType:
    """The module retinaface.predict_single; the test is skipped where a package that it needs is absent."""
    for package in PACKAGES:
        if find_spec(package) is None:
            pytest.skip(f"the peer's own code is absent: no package {package}")
    _declare_operators()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of old names that albumentations and the package use
        import retinaface.predict_single as module
    module.nms = greedy_nms
    return module


def _declare_operators() -> None:
    spec = find_spec("torchvision")
    if _declared or spec is None or not spec.submodule_search_locations:
        return
    try:
        torch.ops.load_library(str(Path(spec.submodule_search_locations[0], "_C.so")))
    except OSError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(library)

"""Detectors: images in, Regions out."""

from functools import partial
from importlib import import_module
from os import PathLike
from typing import Any, Literal, cast

import torch

from fastblur.detectors.detector import Detector
from fastblur.detectors.networks.spec import Network

# name -> (module of networks/, its Network); a module is imported when its detector is asked for
NETWORKS = {
    "centerface": ("centerface", "CENTERFACE"),
    "retinaface-resnet50": ("retinaface", "RESNET50"),
    "retinaface-mobilenet0.25": ("retinaface", "MOBILENET025"),
    "yunet": ("yunet", "YUNET"),
}

__all__ = ["NETWORKS", "Detector", "load_detector"]


def load_detector(
    name: str = "centerface",
    *,
    device: torch.device | str = "cpu",
    weights: str | PathLike[str] | None = None,
    score_threshold: float | None = None,
    size: int | None = None,
    engine: Literal["torch", "onnx"] | None = None,
    threads: int | None = None,
    half: bool | None = None,
    graph: bool = False,
) -> Detector:
    """Return the detector called `name`: a callable that takes images and gives their Regions (see `Detector`).

    Args:
        name: "centerface", "retinaface-resnet50", "retinaface-mobilenet0.25" or "yunet".
        device: where the network runs.
        weights: the weights' file; None looks in the places that `fastblur.detectors.weights.find` lists.
        score_threshold: the least score of a region, in 0..1; None: the detector's own.
        size: the longest side in pixels that the network sees; larger images are scaled down to it, none is ever
            enlarged. None: the detector's own.
        engine: "torch", or "onnx" for ONNX Runtime on the CPU; None: "onnx" on the CPU, "torch" elsewhere.
        threads: how many threads the ONNX engine uses for one call; None: torch.get_num_threads(). Programs that call
            the detector from many threads at once do best with 1.
        half: whether the network runs in float16 (engine "torch"); None: on CUDA, where the detector's boxes stay the
            same to half a pixel, as docs/detectors.md shows.
        graph: whether a CUDA graph is recorded for each size of the network's input (batch, height, width), the first
            time that it comes, and from then on repeated; of the last 8 sizes. For inputs of few sizes.

    Raises ValueError for an unknown name or an argument out of range, FileNotFoundError where there are no weights,
    ValueError where the weights' file is not the published one.
    """
    if name not in NETWORKS:
        raise ValueError(f"detector is {name!r}, expected one of {', '.join(map(repr, NETWORKS))}")
    module, attribute = NETWORKS[name]
    network = cast(Network, getattr(import_module(f"fastblur.detectors.networks.{module}"), attribute))
    options: dict[str, Any] = {
        "device": device,
        "weights": weights,
        "score_threshold": score_threshold,
        "size": size,
        "engine": engine,
        "threads": threads,
        "half": half,
        "graph": graph,
    }
    detector = Detector(name, network, **options)
    detector.loading = partial(load_detector, name, **options)
    return detector

"""Seconds of each stage of a detection: letterbox (with normalisation), network, and the rest: decode + NMS."""

import threading
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import torch

from fastblur.detectors import Detector
from fastblur.detectors import detector as base


def stages(detector: Detector, images: list[torch.Tensor]) -> dict[str, float]:
    """Return the seconds of each stage of one call, summed over the threads that it uses."""
    spent: dict[str, float] = {}
    lock, here = threading.Lock(), threading.local()
    letterbox, joined, candidates, regions = base.letterbox, base.join_groups, detector._candidates, detector._regions

    def timed_letterbox(*arguments: Any) -> torch.Tensor:
        here.start = time.perf_counter()
        return letterbox(*arguments)

    def timed_network(forward: Any) -> Callable[[torch.Tensor], Any]:
        def run(x: torch.Tensor) -> Any:
            start = time.perf_counter()
            heads = forward(x)
            here.letterbox += start - here.start
            here.network += time.perf_counter() - start
            return heads

        return run

    def timed_group(*arguments: Any) -> Any:
        here.letterbox = here.network = 0.0
        start = time.perf_counter()
        result = candidates(*arguments)
        rest = time.perf_counter() - start - here.letterbox - here.network
        with lock:
            for stage, seconds in (("letterbox", here.letterbox), ("network", here.network), ("decode + NMS", rest)):
                spent[stage] = spent.get(stage, 0.0) + seconds
        return result

    def timed_rest(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = time.perf_counter()
            result = function(*arguments)
            spent["decode + NMS"] += time.perf_counter() - start
            return result

        return run

    alone = detector._forward_alone
    with (
        mock.patch.object(base, "letterbox", timed_letterbox),
        mock.patch.object(base, "join_groups", timed_rest(joined)),
        mock.patch.object(detector, "_candidates", timed_group),
        mock.patch.object(detector, "_regions", timed_rest(regions)),
        mock.patch.object(detector, "_forward", timed_network(detector._forward)),
        mock.patch.object(detector, "_forward_alone", None if alone is None else timed_network(alone)),
    ):
        detector(images)
    return spent


def median_stages(detector: Detector, images: list[torch.Tensor], repeat: int = 3) -> dict[str, float]:
    taken = [stages(detector, images) for _ in range(repeat + 1)][1:]
    return {stage: float(np.median([seconds[stage] for seconds in taken])) for stage in taken[0]}


def on_one_thread(measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measure()
    finally:
        torch.set_num_threads(threads)

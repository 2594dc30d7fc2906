"""Seconds of each stage of a detection: letterbox (with normalisation), network, and the rest: decode + NMS."""

import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest import mock

import torch

from fastblur.detectors import Detector
from fastblur.detectors import detector as module

LETTERBOX, NETWORK, REST = "letterbox", "network", "decode + NMS"


def stages(detector: Detector, images: list[torch.Tensor]) -> dict[str, float]:
    """Return the seconds of each stage of one call, summed over the threads that it uses."""
    places = [(module, "letterbox", LETTERBOX), (detector, "_forward", NETWORK), (detector, "_forward_alone", NETWORK)]
    places += [(detector, "_candidates", REST), (module, "join_groups", REST), (detector, "_regions", REST)]
    spent: Counter[str] = Counter()
    lock, here = threading.Lock(), threading.local()

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            outer, here.inner = getattr(here, "inner", 0.0), 0.0
            start = time.perf_counter()
            result = function(*arguments, **keywords)
            taken = time.perf_counter() - start
            with lock:
                spent[stage] += taken - here.inner  # without the stages that it called
            here.inner = outer + taken
            return result

        return run

    with ExitStack() as patches:
        for owner, name, stage in places:
            if (function := getattr(owner, name)) is not None:
                patches.enter_context(mock.patch.object(owner, name, timed(stage, function)))
        detector(images)
    return dict(spent)


def median_stages(detector: Detector, images: list[torch.Tensor], threads: int, repeat: int = 3) -> dict[str, float]:
    """Return the median seconds of each stage while PyTorch uses so many threads, after a call that is not counted."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        taken = [stages(detector, images) for _ in range(repeat + 1)][1:]
    finally:
        torch.set_num_threads(before)
    return {stage: statistics.median(seconds[stage] for seconds in taken) for stage in taken[0]}

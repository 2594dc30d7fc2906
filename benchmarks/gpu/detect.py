"""The part of benchmarks.gpu with detectors: detection and blur on tensors."""

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import torch

import fastblur
from benchmarks.gpu.bench import Bench
from fastblur.detectors.runtimes import torch as runtime

DETECTORS = ("centerface", "retinaface-mobilenet0.25", "retinaface-resnet50", "yunet")


def detect(bench: Bench) -> dict[str, Any]:
    results: dict[str, Any] = {}
    batch, side = (1, 64) if bench.dry else (64, 640)
    images = bench.images(batch, (side, side))
    for name in DETECTORS[:1] if bench.dry else DETECTORS:
        try:
            detector = fastblur.load_detector(name, device=bench.device)
        except Exception as reason:  # weights that are absent
            print(f"detect: {name} left out, {str(reason).splitlines()[0]}")
            results[name] = {"left_out": str(reason)}
            continue
        results[name] = {}

        def hide(value: torch.Tensor, detector: Any = detector) -> torch.Tensor:
            return bench.blur(value, detector(value))

        eager = partial(hide, images)
        ways: dict[str, Callable[[], Callable[[], Any]]] = {"eager": lambda call=eager: call}
        if not bench.dry:
            with mock.patch.object(runtime, "helps_on", return_value=False):
                plain = fastblur.load_detector(name, device=bench.device)
            ways["eager, ReLUs not fused"] = lambda plain=plain: partial(hide, images, plain)
            ways["compiled"] = lambda hide=hide: partial(torch.compile(hide, fullgraph=True), images)
            ways["graph"] = partial(bench.graph, eager)
        for way, build in ways.items():
            try:
                seconds = bench.time(build())
                results[name][way] = {"seconds": seconds, "images_a_second": batch / seconds}
                print(f"detect: {name:26} {way:23} {batch / seconds:9.0f} images/s")
            except Exception as reason:  # a detector that waits for the device cannot be a graph
                results[name][way] = {"left_out": f"{type(reason).__name__}: {reason}"}
                print(f"detect: {name:26} {way:23} left out, {type(reason).__name__}")
    return results

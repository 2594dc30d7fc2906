"""How benchmarks.gpu takes time: by events on the device around calls, eager or captured as CUDA graphs."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks.common.workloads import SIZE


class Bench:
    """The device, how long a figure may take, and the sizes; small ones where it is dry."""

    def __init__(self, dry: bool, seconds: float) -> None:
        self.dry, self.seconds = dry, seconds
        self.device = "cpu" if dry else "cuda"
        self.size = (24, 32) if dry else SIZE
        self.rng = np.random.default_rng(0)

    def time(self, call: Callable[[], Any], rounds: int = 5) -> float:
        """Return the median seconds of one call over the rounds, which last about `seconds` together."""
        if self.dry:
            start = time.perf_counter()
            call()
            return time.perf_counter() - start
        for _ in range(2):  # compiles
            call()
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        calls = max(1, min(1000, int(self.seconds / rounds / max(1e-6, time.perf_counter() - start))))
        taken = []
        for _ in range(rounds):
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            for _ in range(calls):
                call()
            last.record()
            last.synchronize()
            taken.append(first.elapsed_time(last) / 1000 / calls)
        return statistics.median(taken)

    def regions(self, rows: list[np.ndarray]) -> fastblur.Regions:
        """Return the boxes as Regions on the device."""
        return fastblur.Regions.from_boxes(rows, device=self.device)

    def blur(self, images: Any, regions: fastblur.Regions, out: Any = None, **changes: Any) -> Any:
        """Call the kernel that is measured."""
        return fastblur.blur(images, regions, out=out, backend="cuda", **changes)


def graphed(bench: Bench, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return the call as a CUDA graph, which leaves out what Python takes to launch it."""
    if bench.dry:
        return call
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def launches(bench: Bench, call: Callable[[], Any]) -> dict[str, float]:
    """Return the seconds of every program on the device that a call launches, by name."""
    if bench.dry:
        call()
        return {}
    call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        call()
        torch.cuda.synchronize()
    return {e.key: e.device_time_total / 1e6 for e in profiler.key_averages() if e.device_time_total > 0}

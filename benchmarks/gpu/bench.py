"""What benchmarks.gpu works with: the device, images and faces of ImageNet's profile, and its clock."""

import statistics
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks.common.workloads import SIZE, draw_faces, draw_profile, support_pixels

Sizes = list[tuple[int, int]]  # height and width of every image


class Bench:
    """The device, how long a figure may take, and the sizes; small ones where it is dry."""

    def __init__(self, dry: bool, seconds: float) -> None:
        self.dry, self.seconds = dry, seconds
        self.device = "cpu" if dry else "cuda"
        self.size = (24, 32) if dry else SIZE
        self.rng = np.random.default_rng(0)

    def images(self, count: int, size: tuple[int, int] | None = None, dtype: torch.dtype = torch.uint8) -> torch.Tensor:
        """Return (count, 3, H, W) images of noise, of the usual size where none is given."""
        generator = torch.Generator(self.device).manual_seed(0)
        shape = count, 3, *(size or self.size)
        if dtype == torch.uint8:
            return torch.randint(0, 256, shape, dtype=dtype, device=self.device, generator=generator)
        return torch.rand(shape, device=self.device, generator=generator).to(dtype)

    def profile(self, sizes: Sizes) -> list[np.ndarray]:
        """Draw the (n, 4) boxes of every image by ImageNet's profile, at least one in the batch."""
        boxes = draw_profile(self.rng, sizes)
        if not any(map(len, boxes)):
            boxes[0] = draw_faces(self.rng, *sizes[0], 1)
        return boxes

    def faces(self, images: int, count: int = 1, side: float | None = None) -> list[np.ndarray]:
        """Draw (count, 4) boxes for each of so many images of the usual size."""
        return [draw_faces(self.rng, *self.size, count, side) for _ in range(images)]

    def support(self, boxes: list[np.ndarray], sizes: Sizes | None = None) -> int:
        """Return how many pixels of a batch lie in some support, recipe "default"."""
        sizes = sizes or [self.size] * len(boxes)
        return sum(support_pixels(rows, *size, "default") for rows, size in zip(boxes, sizes, strict=True))

    def regions(self, boxes: list[np.ndarray]) -> fastblur.Regions:
        """Return the boxes as Regions on the device."""
        return fastblur.Regions.from_boxes(boxes, device=self.device)

    def blur(self, images: Any, regions: fastblur.Regions, out: Any = None, **changes: Any) -> Any:
        """Call the kernel that is measured."""
        return fastblur.blur(images, regions, out=out, backend="cuda", **changes)

    def wait(self) -> None:
        """Wait until the device has done what was given to it."""
        if not self.dry:
            torch.cuda.synchronize()

    def time(self, call: Callable[[], Any], rounds: int = 5) -> float:
        """Return the median seconds of one call over the rounds, which last about `seconds` together."""
        for _ in range(0 if self.dry else 2):  # compiles
            call()
        self.wait()
        start = time.perf_counter()
        call()
        self.wait()
        once = time.perf_counter() - start
        if self.dry:
            return once
        calls = max(1, min(1000, int(self.seconds / rounds / max(1e-6, once))))
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

    def graph(self, call: Callable[[], Any]) -> Callable[[], Any]:
        """Return the call as a CUDA graph, which leaves out what Python takes to launch it."""
        if self.dry:
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

    def turns(self, make: Callable[[], Callable[[], Any]], touched: float) -> Callable[[], Any]:
        """Return calls in turn, each with images of its own, so that those between two turns fill the L2 twice.

        `touched` is how many bytes a call reads and writes; no more than 16 are made.
        """
        if self.dry:
            return make()
        cache = torch.cuda.get_device_properties(self.device).L2_cache_size
        calls = cycle([make() for _ in range(max(2, min(16, round(2 * cache / touched))))])
        return lambda: next(calls)()

    def launches(self, call: Callable[[], Any]) -> dict[str, float]:
        """Return the seconds of every program on the device that a call launches, by name; none where it is dry."""
        call()
        self.wait()
        if self.dry:
            return {}
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
            call()
            self.wait()
        return {e.key: e.device_time_total / 1e6 for e in profiler.key_averages() if e.device_time_total > 0}

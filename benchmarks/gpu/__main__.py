"""blur on a GPU: against the bandwidth of its memory, against peers, over 1.5 million images, with a detector.

    python -m benchmarks.gpu [--seconds S] [--json FILE] [--dry]

Writes benchmarks/results/gpu-<device>-<date>.json. It needs torch, triton and kornia; peers that are absent are named
and left out. Every figure is the median of several rounds, each timed by events around enough calls to last a while.

- copy: device-to-device copy of 1 GiB, bytes read and written: the ceiling.
- profile: batches of 500 x 375 images whose faces follow ImageNet's statistics (workloads.py). "bytes" are those that
  had to move: the support read once and written once, and, where not in place, all other pixels as well.
- cost: nanoseconds a pixel of the support over sigma, face size, faces an image and batch, in place.
- floor: what both launches must do at least for one case, in operations and bytes, next to what was measured.
- million: 1.5 million images of the profile, in place, as batches of 512 that stay on the device.
- peers: the same tensors, a batch of 64 of the profile, and a batch with one face an image.
- detect: detector and blur on tensors, 64 images of 640 x 640, eager, compiled and as a CUDA graph.

--dry runs all of it on the CPU in Triton's interpreter, tiny, to see that it runs; its figures mean nothing.
"""

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import partial
from math import ceil
from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks.common.command import parser, write_json
from benchmarks.common.measure import ROOT
from benchmarks.common.workloads import SIZES
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.peers import peers
from fastblur.kernels.constants import ALPHA_SUPPORT, SIGMA_PER_STEP

DEFAULT = fastblur.RECIPES["default"]
DETECTORS = ("centerface", "retinaface-mobilenet0.25", "retinaface-resnet50", "yunet")
TF32_H100 = 247e12  # multiply-adds a second, dense


def copy(bench: Bench) -> dict[str, float]:
    source = torch.empty(1 << (10 if bench.dry else 30), dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    bandwidth = 2 * len(source) / bench.time(lambda: target.copy_(source))
    print(f"copy: {bandwidth / 1e12:.2f} TB/s read and written")
    return {"bytes_a_second": bandwidth}


def by_profile(bench: Bench, ceiling: float) -> list[dict[str, Any]]:
    table = []
    print(f"profile: {'batch':>5} {'dtype':>8} {'':12} {'images/s':>10} {'graph':>10} {'of copy':>8}")
    for batch in (2,) if bench.dry else (1, 8, 64, 256, 512):
        boxes = bench.profile([bench.size] * batch)
        regions, pixels = bench.regions(boxes), bench.support(boxes)
        for dtype in (torch.uint8, torch.float16):
            images = bench.images(batch, dtype=dtype)
            places = {
                "in place": (images, 2 * 3 * images.element_size() * pixels),
                "not in place": (torch.empty_like(images), 2 * images.nbytes),
            }
            for title, (out, moved) in places.items():
                call = partial(bench.blur, images, regions, out)
                eager, graph = bench.time(call), bench.time(bench.graph(call))
                name = str(dtype).removeprefix("torch.")
                row = {"batch": batch, "dtype": name, "place": title, "seconds": eager, "seconds_as_graph": graph}
                table.append(row | {"bytes": moved, "share_of_copy": moved / graph / ceiling})
                rates = f"{batch / eager:10.0f} {batch / graph:10.0f} {moved / graph / ceiling:8.3f}"
                print(f"         {batch:5} {name:>8} {title:12} {rates}")
    sizes = [(20, 30), (30, 20)] if bench.dry else SIZES * 6
    regions = bench.regions(bench.profile(sizes))
    ragged = [bench.images(1, size)[0] for size in sizes]
    seconds = bench.time(lambda: bench.blur(ragged, regions, ragged))
    print(f"         {len(sizes):5}    uint8 ragged       {len(sizes) / seconds:10.0f}")
    return [*table, {"batch": len(sizes), "dtype": "uint8", "place": "in place, ragged", "seconds": seconds}]


def cost(bench: Bench, ceiling: float) -> dict[str, Any]:
    """Time a pixel of the support as one thing after the other changes."""
    batch, side = (2, 9.0) if bench.dry else (256, 100.0)
    cases: dict[str, list[tuple[str, int, int, float, float]]] = {  # title, images, faces an image, side, strength
        "sigma": [(f"{s} px", batch, 1, side, s / side) for s in ((2, 4) if bench.dry else (1, 2, 4, 8, 16, 25, 40))],
        "face": [(f"{d} px", batch, 1, d, 0.15) for d in ((6, 9) if bench.dry else (12, 25, 50, 100, 200, 330))],
        "faces an image": [(str(n), batch, n, side / 2, 0.15) for n in ((1, 2) if bench.dry else (1, 2, 4, 8, 16))],
        "batch": [(str(b), b, 1, side, 0.15) for b in ((1, 2) if bench.dry else (1, 4, 16, 64, 256, 512))],
    }
    results: dict[str, Any] = {}
    for title, row in cases.items():
        results[title] = {}
        for name, count, number, d, strength in row:
            boxes, images = bench.faces(count, number, d), bench.images(count)
            pixels = bench.support(boxes)
            call = partial(bench.blur, images, bench.regions(boxes), images, strength=strength)
            seconds = bench.time(bench.graph(call))
            share = 2 * 3 * pixels / seconds / ceiling
            results[title][name] = {"ns_a_pixel": 1e9 * seconds / pixels, "share_of_copy": share}
        line = "  ".join(f"{k}: {v['ns_a_pixel']:.4f} ({v['share_of_copy']:.2f})" for k, v in results[title].items())
        print(f"cost over {title}, ns a support pixel (share of copy): {line}")
    if not bench.dry:
        of = results["sigma"]
        results["sigma_40_over_4"] = of["40 px"]["ns_a_pixel"] / of["4 px"]["ns_a_pixel"]
        print(f"cost of sigma 40 px over sigma 4 px: {results['sigma_40_over_4']:.2f}")
    return results


def floor(bench: Bench, ceiling: float) -> dict[str, Any]:
    """Give each launch's operations and bytes, the floor that they give, and what the profiler measured."""
    batch, side = (2, 9.0) if bench.dry else (256, 200.0)
    boxes, images = bench.faces(batch, side=side), bench.images(batch)
    pixels = bench.support(boxes)
    sigma = DEFAULT.strength * side
    step = max(1, int(sigma / SIGMA_PER_STEP))
    radius = ceil(3.5 * sigma / step)
    margin = (DEFAULT.margin + ALPHA_SUPPORT * DEFAULT.feather) * side + radius * step
    near = 0.0  # pixels of the neighbourhoods inside the images
    for x0, y0, x1, y1 in np.concatenate(boxes):
        across = min(bench.size[1], x1 + margin) - max(0, x0 - margin)
        near += across * (min(bench.size[0], y1 + margin) - max(0, y0 - margin))
    cells = near / step**2
    wide, high = (ceil((tile / step + 1 + 2 * radius) / 32) for tile in (64, 16))  # blocks of cells that a tile meets
    needs = {  # bytes; multiply-adds of the matrix products, three TF32 products each, of three channels
        "average": (3 * near + 12 * cells, 9 * near * 32 / step),
        "blend": (6 * pixels + 12 * cells, 9 * pixels * (16 * wide * high + 32 * wide)),
    }
    measured = bench.launches(partial(bench.blur, images, bench.regions(boxes), images))
    results: dict[str, Any] = {"launches": sorted(measured)}
    for name, (moved, operations) in needs.items():
        row = {"bytes": moved, "multiply_adds": operations, "seconds_by_bytes": moved / ceiling}
        row |= {"seconds_by_operations": operations / TF32_H100, "seconds": measured.get(name)}
        results[name] = row
        taken = f"{1e6 * measured[name]:.1f} us" if name in measured else "not measured"
        print(
            f"floor, {name}: {moved / 1e6:.1f} MB ({1e6 * moved / ceiling:.1f} us), {operations / 1e9:.1f} G "
            f"multiply-adds ({1e6 * operations / TF32_H100:.1f} us at 247 T/s); measured {taken}"
        )
    return results


def million(bench: Bench) -> dict[str, float]:
    batch, held, total = (2, 2, 4) if bench.dry else (512, 4, 1_500_000)
    eager = []
    for _ in range(held):  # several, so that no cache holds them
        images, regions = bench.images(batch), bench.regions(bench.profile([bench.size] * batch))
        eager.append(partial(bench.blur, images, regions, images))
    results = {}
    for title, sides in (("eager", eager), ("graph", [bench.graph(call) for call in eager])):
        sides[0]()
        bench.wait()
        start = time.perf_counter()
        for number in range(-(-total // batch)):
            sides[number % held]()
        bench.wait()
        results[title] = time.perf_counter() - start
    print(f"million: {total} images in place, {results['eager']:.2f} s eager, {results['graph']:.2f} s as graphs")
    return {"images": total, **results}


def against_peers(bench: Bench) -> dict[str, Any]:
    results: dict[str, Any] = {}
    batch = 2 if bench.dry else 64
    for title in ("profile", "one face an image"):
        boxes = bench.profile([bench.size] * batch) if title == "profile" else bench.faces(batch)
        images, regions = bench.images(batch), bench.regions(boxes)
        sides, absent = peers(images.clone(), boxes)
        ours = {"fastblur": partial(bench.blur, images, regions),
                "fastblur in place": partial(bench.blur, images, regions, images)}  # fmt: skip
        taken = {}
        for name, side in {**ours, **sides}.items():
            try:
                taken[name] = bench.time(side)
            except Exception as reason:  # out of memory, an interface that has changed
                absent[name] = f"{type(reason).__name__}: {reason}"
        results[title] = {"seconds": taken, "left_out": absent}
        for name, seconds in taken.items():
            ratio = seconds / taken["fastblur"]
            print(f"peers, {title}, batch {batch}: {name:30} {1e3 * seconds:9.3f} ms {ratio:8.1f} x fastblur")
        for name, reason in absent.items():
            print(f"peers, {title}: {name} left out, {reason.splitlines()[0] if reason else reason}")
    return results


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
            ways["compiled"] = lambda hide=hide: partial(torch.compile(hide, fullgraph=True), images)
            ways["graph"] = partial(bench.graph, eager)
        for way, build in ways.items():
            try:
                seconds = bench.time(build())
                results[name][way] = {"seconds": seconds, "images_a_second": batch / seconds}
                print(f"detect: {name:26} {way:9} {batch / seconds:9.0f} images/s")
            except Exception as reason:  # a detector that waits for the device cannot be a graph
                results[name][way] = {"left_out": f"{type(reason).__name__}: {reason}"}
                print(f"detect: {name:26} {way:9} left out, {type(reason).__name__}")
    return results


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seconds", type=float, default=1.0, help="how long the rounds of one figure last")
    options.add_argument("--dry", action="store_true", help="run it on the CPU, tiny, to see that it runs")
    arguments = options.parse_args()
    if arguments.dry:
        os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported, which the first call does
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        options.exit(2, "benchmarks.gpu needs a GPU, and PyTorch sees none; --dry runs it on the CPU\n")
    bench = Bench(arguments.dry, arguments.seconds)
    device = "dry" if arguments.dry else torch.cuda.get_device_name()
    print(f"device: {device}")
    results: dict[str, Any] = {"device": device, "copy": copy(bench)}
    for name, measure in {"profile": by_profile, "cost": cost, "floor": floor}.items():
        results[name] = measure(bench, results["copy"]["bytes_a_second"])
    results |= {"million": million(bench), "peers": against_peers(bench), "detect": detect(bench)}
    name = f"gpu-{device.replace(' ', '-')}-{datetime.now(timezone.utc):%Y-%m-%d}.json"
    path = arguments.json or (None if arguments.dry else ROOT / "benchmarks/results" / name)
    write_json(path, "benchmarks.gpu", results)


if __name__ == "__main__":
    main()

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

import argparse
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from math import ceil
from pathlib import Path
from typing import Any

import torch

import fastblur
from benchmarks.common.measure import ROOT, write_json
from benchmarks.common.workloads import SIZES, faces, profile
from benchmarks.gpu.cases import random_images, support_pixels
from benchmarks.gpu.peers import peers
from benchmarks.gpu.timing import Bench, graphed, launches

DEFAULT = fastblur.RECIPES["default"]
DETECTORS = ("centerface", "retinaface-mobilenet0.25", "retinaface-resnet50", "yunet")


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
        sizes = [bench.size] * batch
        rows = profile(bench.rng, sizes)
        if not any(len(boxes) for boxes in rows):
            rows[0] = faces(bench.rng, *bench.size, 1)
        regions = bench.regions(rows)
        for dtype in (torch.uint8, torch.float16):
            images = random_images(batch, *bench.size, dtype, bench.device)
            touched = 2 * 3 * images.element_size() * support_pixels(rows, sizes, DEFAULT)
            for title, out, moved in (
                ("in place", images, touched),
                ("not in place", torch.empty_like(images), 2 * images.nbytes),
            ):

                def call(images: Any = images, regions: Any = regions, out: Any = out) -> Any:
                    return bench.blur(images, regions, out)

                eager, graph = bench.time(call), bench.time(graphed(bench, call))
                name = str(dtype).removeprefix("torch.")
                row = {"batch": batch, "dtype": name, "place": title, "seconds": eager, "seconds_as_graph": graph}
                row |= {"bytes": moved, "share_of_copy": moved / graph / ceiling}
                table.append(row)
                print(
                    f"         {batch:5} {name:>8} {title:12} {batch / eager:10.0f} {batch / graph:10.0f} "
                    f"{row['share_of_copy']:8.3f}"
                )
    sizes = (SIZES if not bench.dry else [(20, 30), (30, 20)]) * (1 if bench.dry else 6)
    rows = profile(bench.rng, sizes)
    ragged = [random_images(1, *size, torch.uint8, bench.device)[0] for size in sizes]
    regions = bench.regions(rows)
    seconds = bench.time(lambda: bench.blur(ragged, regions, ragged))
    print(f"         {len(sizes):5}    uint8 ragged       {len(sizes) / seconds:10.0f}")
    return [*table, {"batch": len(sizes), "dtype": "uint8", "place": "in place, ragged", "seconds": seconds}]


def cost(bench: Bench, ceiling: float) -> dict[str, Any]:
    """Time a pixel of the support as one thing after the other changes."""
    batch, side, height, width = (2, 9.0, 24, 32) if bench.dry else (256, 100.0, 375, 500)
    cases: dict[str, list[tuple[str, int, int, float, float]]] = {
        "sigma": [(f"{s} px", batch, 1, side, s / side) for s in ((2, 4) if bench.dry else (1, 2, 4, 8, 16, 25, 40))],
        "face": [(f"{d} px", batch, 1, d, 0.15) for d in ((6, 9) if bench.dry else (12, 25, 50, 100, 200, 330))],
        "faces an image": [(str(n), batch, n, side / 2, 0.15) for n in ((1, 2) if bench.dry else (1, 2, 4, 8, 16))],
        "batch": [(str(b), b, 1, side, 0.15) for b in ((1, 2) if bench.dry else (1, 4, 16, 64, 256, 512))],
    }
    results: dict[str, Any] = {}
    for title, row in cases.items():
        results[title] = {}
        for name, count, number, d, strength in row:
            rows = [faces(bench.rng, height, width, number, d) for _ in range(count)]
            images, regions = random_images(count, height, width, torch.uint8, bench.device), bench.regions(rows)
            pixels = support_pixels(rows, [(height, width)] * count, DEFAULT)

            def call(images: Any = images, regions: Any = regions, strength: float = strength) -> Any:
                return bench.blur(images, regions, images, strength=strength)

            seconds = bench.time(graphed(bench, call))
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
    rows = [faces(bench.rng, *bench.size, 1, side) for _ in range(batch)]
    images, regions = random_images(batch, *bench.size, torch.uint8, bench.device), bench.regions(rows)
    pixels = support_pixels(rows, [bench.size] * batch, DEFAULT)
    sigma = DEFAULT.strength * side
    step = max(1, int(sigma / 2.25))
    reach = ceil(3.5 * sigma / step)
    margin = 0.3 * side + reach * step
    near = 0.0  # pixels of the neighbourhoods inside the images
    for x0, y0, x1, y1 in (box for boxes in rows for box in boxes):
        across = min(bench.size[1], x1 + margin) - max(0, x0 - margin)
        near += across * (min(bench.size[0], y1 + margin) - max(0, y0 - margin))
    cells = near / step**2
    wide, high = (ceil((tile / step + 1 + 2 * reach) / 32) for tile in (64, 16))  # blocks of cells that a tile meets
    needs = {  # bytes; multiply-adds of the matrix products, three TF32 products each, of three channels
        "average": (3 * near + 12 * cells, 9 * near * 32 / step),
        "blend": (6 * pixels + 12 * cells, 9 * pixels * (16 * wide * high + 32 * wide)),
    }
    measured = launches(bench, lambda: bench.blur(images, regions, images))
    results: dict[str, Any] = {"launches": sorted(measured)}
    for name, (moved, operations) in needs.items():
        row = {"bytes": moved, "multiply_adds": operations, "seconds_by_bytes": moved / ceiling}
        row |= {"seconds_by_operations": operations / 247e12, "seconds": measured.get(name)}  # H100, dense TF32
        results[name] = row
        taken = f"{1e6 * measured[name]:.1f} us" if name in measured else "not measured"
        print(
            f"floor, {name}: {moved / 1e6:.1f} MB ({1e6 * moved / ceiling:.1f} us), {operations / 1e9:.1f} G "
            f"multiply-adds ({1e6 * operations / 247e12:.1f} us at 247 T/s); measured {taken}"
        )
    return results


def million(bench: Bench) -> dict[str, float]:
    batch, held, total = (2, 2, 4) if bench.dry else (512, 4, 1_500_000)
    batches = []
    for _ in range(held):  # several, so that no cache holds them
        rows = profile(bench.rng, [bench.size] * batch)
        rows[0] = rows[0] if len(rows[0]) else faces(bench.rng, *bench.size, 1)
        batches.append((random_images(batch, *bench.size, torch.uint8, bench.device), bench.regions(rows)))
    calls = [graphed(bench, lambda i=i, r=r: bench.blur(i, r, i)) for i, r in batches]
    plain = [lambda i=i, r=r: bench.blur(i, r, i) for i, r in batches]
    results = {}
    for title, sides in (("eager", plain), ("graph", calls)):
        sides[0]()
        if not bench.dry:
            torch.cuda.synchronize()
        start = time.perf_counter()
        for number in range(-(-total // batch)):
            sides[number % held]()
        if not bench.dry:
            torch.cuda.synchronize()
        results[title] = time.perf_counter() - start
    print(f"million: {total} images in place, {results['eager']:.2f} s eager, {results['graph']:.2f} s as graphs")
    return {"images": total, **results}


def against_peers(bench: Bench) -> dict[str, Any]:
    results: dict[str, Any] = {}
    batch = 2 if bench.dry else 64
    for title in ("profile", "one face an image"):
        sizes = [bench.size] * batch
        rows = [faces(bench.rng, *bench.size, 1) for _ in sizes]
        if title == "profile":
            rows = [*profile(bench.rng, sizes)[1:], rows[0]]
        images, regions = random_images(batch, *bench.size, torch.uint8, bench.device), bench.regions(rows)
        sides, absent = peers(images.clone(), rows)
        sides = {
            "fastblur": lambda i=images, r=regions: bench.blur(i, r),
            "fastblur in place": lambda i=images, r=regions: bench.blur(i, r, i),
            **sides,
        }
        taken = {}
        for name, side in sides.items():
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
    images = random_images(batch, side, side, torch.uint8, bench.device)
    for name in DETECTORS[:1] if bench.dry else DETECTORS:
        try:
            detector = fastblur.load_detector(name, device=bench.device)
        except Exception as reason:  # weights that are absent
            print(f"detect: {name} left out, {str(reason).splitlines()[0]}")
            results[name] = {"left_out": str(reason)}
            continue

        def hide(value: torch.Tensor, detector: Any = detector) -> torch.Tensor:
            return bench.blur(value, detector(value))

        ways: dict[str, Callable[[], Callable[[], Any]]] = {"eager": lambda hide=hide: lambda: hide(images)}
        if not bench.dry:
            compiled = torch.compile(hide, fullgraph=True)
            ways["compiled"] = lambda compiled=compiled: lambda: compiled(images)
            ways["graph"] = lambda hide=hide: graphed(bench, lambda: hide(images))
        results[name] = {}
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long the rounds of one figure last")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dry", action="store_true", help="run it on the CPU, tiny, to see that it runs")
    arguments = parser.parse_args()
    if arguments.dry:
        os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported, which the first call does
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        parser.exit(2, "benchmarks.gpu needs a GPU, and PyTorch sees none; --dry runs it on the CPU\n")
    bench = Bench(arguments.dry, arguments.seconds)
    device = "dry" if arguments.dry else torch.cuda.get_device_name()
    print(f"device: {device}")
    ceiling = copy(bench)
    results: dict[str, Any] = {"device": device, "copy": ceiling}
    bandwidth = ceiling["bytes_a_second"]
    results["profile"] = by_profile(bench, bandwidth)
    results["cost"] = cost(bench, bandwidth)
    results["floor"] = floor(bench, bandwidth)
    results["million"] = million(bench)
    results["peers"] = against_peers(bench)
    results["detect"] = detect(bench)
    name = f"gpu-{device.replace(' ', '-')}-{datetime.now(timezone.utc):%Y-%m-%d}.json"
    path = arguments.json or (None if arguments.dry else ROOT / "benchmarks/results" / name)
    write_json(path, "benchmarks.gpu", results)


if __name__ == "__main__":
    main()

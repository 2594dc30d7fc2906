"""blur on a GPU: against the bandwidth of its memory, against peers, over 1.5 million images, with a detector.

    python -m benchmarks.gpu [--only PART ...] [--seconds S] [--json FILE] [--dry]

Writes benchmarks/results/gpu-<device>-<date>.json, after each part what there is. It needs torch and triton; what is
absent besides is named and left out, and a part that fails leaves the others. Every figure is the median of several
rounds, each timed by events around enough calls to last a while; batches take turns, so that no cache holds them.

- copy: device-to-device copy of 1 GiB, bytes read and written: the ceiling.
- profile: batches of 500 x 375 images whose faces follow ImageNet's statistics (workloads.py). "bytes" are those that
  had to move: the support read once and written once, and, where not in place, all other pixels as well.
- cost: nanoseconds a pixel of the support over sigma, face size, faces an image and batch, in place.
- floor: what the launches must move at least for one case, next to what was measured of each.
- variants: warps, registers and programs of each launch, one after the other changed, for 512 images of the profile and
  512 with faces; the best are what OPTIONS and PROGRAMS in fastblur/kernels/cuda/launch.py should say.
- million: 1.5 million images of the profile, in place, as batches of 512 that stay on the device.
- peers: the same tensors, a batch of 64 of the profile, and a batch with one face an image.
- detect: detector and blur on tensors, 64 images of 640 x 640, eager (also without ReLUs in the convolutions), compiled
  and as a CUDA graph.

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
from benchmarks.gpu.detect import detect
from benchmarks.gpu.peers import peers
from fastblur.kernels.constants import ALPHA_SUPPORT, SIGMA_PER_STEP

DEFAULT = fastblur.RECIPES["default"]
VARIANTS: tuple[dict[str, int], ...] = (
    {"num_warps": 1}, {"num_warps": 1, "maxnreg": 128}, {"num_warps": 2}, {"num_warps": 2, "maxnreg": 168},
    {"num_warps": 2, "maxnreg": 128}, {"num_warps": 2, "maxnreg": 96}, {"num_warps": 4}, {"num_warps": 8},
)  # fmt: skip


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
            size = 3 * bench.size[0] * bench.size[1] * dtype.itemsize
            places = {"in place": 2 * 3 * dtype.itemsize * pixels, "not in place": 2 * batch * size}
            for title, moved in places.items():

                def make(
                    batch: int = batch, dtype: torch.dtype = dtype, regions: Any = regions, title: str = title
                ) -> Any:
                    images = bench.images(batch, dtype=dtype)
                    return partial(
                        bench.blur, images, regions, images if title == "in place" else torch.empty_like(images)
                    )

                eager = bench.time(bench.turns(make, moved))
                graph = bench.time(bench.turns(lambda make=make: bench.graph(make()), moved))  # type: ignore[misc]
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
    lines = pixels / step  # filtered down, not yet brought to the image's lines
    needs = {  # bytes of three channels, in half precision between the launches
        "average": 3 * near + 6 * cells,
        "smooth": 6 * cells + 6 * lines,
        "blend": 6 * lines + 6 * pixels,
    }
    measured = bench.launches(partial(bench.blur, images, bench.regions(boxes), images))
    results: dict[str, Any] = {"launches": measured}
    for name, moved in needs.items():
        results[name] = {"bytes": moved, "seconds_by_bytes": moved / ceiling, "seconds": measured.get(name)}
        taken = f"{1e6 * measured[name]:.1f} us" if name in measured else "not measured"
        print(f"floor, {name}: {moved / 1e6:.1f} MB ({1e6 * moved / ceiling:.1f} us); measured {taken}")
    return results


def variants(bench: Bench) -> dict[str, Any]:
    """Time the launches' options, one after the other changed."""
    from fastblur.kernels.cuda import launch

    batch = 2 if bench.dry else 512
    work = {"profile": bench.profile([bench.size] * batch), "faces": [bench.faces(1)[0] for _ in range(batch)]}
    calls = {title: (bench.images(batch), bench.regions(boxes)) for title, boxes in work.items()}
    results: dict[str, Any] = {}

    def measure(title: str) -> None:
        launch._kept.clear()
        row: dict[str, Any] = {}
        for name, (images, regions) in calls.items():
            try:
                row[name] = bench.time(bench.graph(partial(bench.blur, images, regions, images)))
            except Exception as reason:  # more registers than there are
                row[name] = f"{type(reason).__name__}: {reason}"
        results[title] = row
        shown = ", ".join(f"{k} {1e6 * v:.1f} us" if isinstance(v, float) else f"{k} failed" for k, v in row.items())
        print(f"variants, {title}: {shown}", flush=True)

    measure("as it is")
    for name in ("average", "smooth", "blend"):
        kept = launch.OPTIONS[name]
        for options in () if bench.dry else VARIANTS:
            launch.OPTIONS[name] = options
            measure(f"{name} {options}")
        launch.OPTIONS[name] = kept
        programs = launch.PROGRAMS[name]
        for number in () if bench.dry else (8, 16, 32, 64, 128):
            launch.PROGRAMS[name] = number
            measure(f"{name} programs {number}")
        launch.PROGRAMS[name] = programs
    launch._kept.clear()
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


def main() -> None:
    options = parser(__doc__, only=PARTS)
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
    name = f"gpu-{device.replace(' ', '-')}-{datetime.now(timezone.utc):%Y-%m-%d}.json"
    path = arguments.json or (None if arguments.dry else ROOT / "benchmarks/results" / name)
    results: dict[str, Any] = {"device": device, "copy": copy(bench)}
    for part in arguments.only:
        try:
            results[part] = PARTS[part](bench, results["copy"]["bytes_a_second"])
        except Exception as reason:  # what is measured is kept
            results[part] = {"left_out": f"{type(reason).__name__}: {reason}"}
            print(f"{part}: left out, {type(reason).__name__}: {reason}")
        write_json(path, "benchmarks.gpu", results)
    if any("left_out" in results[part] for part in arguments.only):
        options.exit(1, "a part was left out\n")


PARTS: dict[str, Callable[[Bench, float], Any]] = {
    "million": lambda bench, _: million(bench),
    "profile": by_profile,
    "floor": floor,
    "variants": lambda bench, _: variants(bench),
    "cost": cost,
    "peers": lambda bench, _: against_peers(bench),
    "detect": lambda bench, _: detect(bench),
}


if __name__ == "__main__":
    main()

"""blur on ImageNet images with faces: time against what people use today, error against float64, cost, threads.

    python -m benchmarks.operators [--data DIR] [--repeat N] [--json FILE] [--only NAME ...] [--backend B] [--images N]

- peers: one thread, each image alone, from decoded pixels to blurred pixels, the "ilsvrc" recipe, all sides in turns.
  The peers are those of benchmarks/peers; `kornia, float and mask given` leaves out the conversions and the mask.
- error: against the float64 formula of tests/formula.py, over the support, uint8. With TRITON_INTERPRET=1 in the
  environment, `--only error --backend cuda` holds the CUDA kernel against it on the CPU; slowly, so take `--images 20`.
- sigma: time for each support pixel, one thread; a region of fixed size with growing strength, and faces that grow.
- threads: 64 batches of 64 images on 1, 2, ... threads; at least 20 repeats, best and median.
- start: `import fastblur; fastblur.blur` (the names are imported when first used, so the bare import takes no time)
  against `import torch, kornia` in fresh processes; the first call without and with the disk
  cache of compiled code.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks.common.measure import DATA, ROOT, cpus, in_turns, medians, write_json
from benchmarks.common.workloads import Photograph, load
from benchmarks.peers import described
from benchmarks.peers import found as peers_found
from benchmarks.peers.kornia_full_frame import filtered, soft_mask
from tests import formula


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=DATA, help="folder with imagenet-sample; else packaged photographs"
    )
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", choices=["peers", "error", "sigma", "threads", "start"], metavar="NAME")
    parser.add_argument("--backend", default="cpu", help="of the error: cpu or cuda")
    parser.add_argument("--images", type=int, help="take the first N images with faces")
    arguments = parser.parse_args()
    workload = load(arguments.data)
    faces = workload.with_faces[: arguments.images]
    print(f"workload: {workload.source}")
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "peers": lambda: peers(faces, arguments.repeat),
        "error": lambda: error(faces, arguments.backend),
        "sigma": lambda: sigma(arguments.repeat),
        "threads": lambda: threads(faces, max(20, arguments.repeat)),
        "start": lambda: start(arguments.repeat),
    }
    results = {name: measure() for name, measure in measures.items() if name in (arguments.only or measures)}
    write_json(arguments.json, "benchmarks.operators", {"workload": workload.source, **results})


def peers(faces: list[Photograph], repeat: int) -> dict[str, Any]:
    """Time every peer on every image, one thread."""
    found, absent = peers_found()
    sides: dict[str, Callable[[], Any]] = {}

    def every(work: Callable[[int], Any]) -> Callable[[], None]:
        def side() -> None:
            for i in range(len(faces)):
                work(i)  # the result is dropped, so that the next one finds its memory warm

        return side

    def side_of(peer: Any) -> Callable[[], None]:
        peer.threads(1)
        images = [peer.image(one.pixels) for one in faces]
        return every(lambda i: peer.hide(images[i], faces[i].boxes))

    for name, peer in found.items():
        sides[name] = side_of(peer)
    planar = [torch.from_numpy(one.pixels).permute(2, 0, 1).contiguous() for one in faces]
    sigmas = [float(0.1 * max(formula.longer_side(box) for box in one.boxes)) for one in faces]
    floats = [image[None].float() / 255 for image in planar]
    masks = [soft_mask(image, one.boxes, s) for image, one, s in zip(planar, faces, sigmas, strict=True)]
    sides["fastblur planar"] = every(lambda i: fastblur.blur(planar[i], [faces[i].boxes], "ilsvrc"))
    sides["kornia, float and mask given"] = every(
        lambda i: torch.lerp(floats[i], filtered(floats[i], sigmas[i]), masks[i])
    )
    taken = in_turns(sides, repeat)
    milliseconds = {name: 1000 * value / len(faces) for name, value in medians(taken).items()}
    ratios = {name: value / milliseconds["fastblur"] for name, value in milliseconds.items()}
    print(f"peers: {len(faces)} images, one thread, recipe ilsvrc, median of {repeat}")
    for name, value in milliseconds.items():
        print(f"  {name:30} {value:8.3f} ms an image  {ratios[name]:7.1f} x fastblur")
    for name, reason in absent.items():
        print(f"  {name:30} absent: {reason}")
    return {
        "images": len(faces),
        "milliseconds": milliseconds,
        "ratio": ratios,
        "turns": {name: [1000 * value / len(faces) for value in values] for name, values in taken.items()},
        "peers": {name: described(peer) for name, peer in found.items()},
        "absent": absent,
    }


def error(faces: list[Photograph], backend: str) -> dict[str, Any]:
    """Hold a kernel against float64 on every image, both recipes."""
    results = {}
    for recipe, parameters in formula.RECIPES.items():
        worst, total, count, elsewhere = 0.0, 0.0, 0, 0
        for one in faces:
            image = np.ascontiguousarray(one.pixels.transpose(2, 0, 1))
            exact, support = formula.blur(image.astype(np.float64), one.boxes, **parameters)
            ours = fastblur.blur(torch.from_numpy(image), [one.boxes], recipe, backend=backend).numpy()
            difference = np.abs(ours - exact)[:, support]
            worst, total, count = max(worst, difference.max()), total + difference.sum(), count + difference.size
            elsewhere += int((ours != image)[:, ~support].sum())
        results[recipe] = {"max": float(worst), "mean": float(total / count), "changed_outside_the_support": elsewhere}
        print(f"error, recipe {recipe:8} max {worst:.2f}  mean over the support {total / count:.3f} levels")
    return results


def sigma(repeat: int) -> dict[str, Any]:
    """Time blur for each support pixel at growing sigma."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (2048, 2048, 3), dtype=torch.uint8, generator=generator).permute(2, 0, 1)
    results: dict[str, Any] = {}
    for title, side_of in (("region of 200 px", lambda s: 200.0), ("region of sigma / 0.15", lambda s: s / 0.15)):
        sides, pixels = {}, {}
        for s in (2, 4, 8, 16, 25, 40):
            d = side_of(s)
            pitch = round(d * 1.6) + 2  # grown by the margin and the feather
            corners = np.arange(pitch // 2 - d / 2, 2048 - pitch, pitch)
            boxes = np.array([[x, y, x + d, y + d] for x in corners for y in corners])
            regions = fastblur.Regions.from_boxes([boxes])
            pixels[s] = len(boxes) * (1.6 * d) ** 2
            sides[str(s)] = lambda r=regions, s=s, d=d: fastblur.blur(image, r, strength=s / d, out=image)
        taken = medians(in_turns(sides, repeat))
        nanoseconds = {s: 1e9 * taken[str(s)] / pixels[s] for s in pixels}
        ratio = nanoseconds[40] / nanoseconds[4]
        results[title] = {"nanoseconds_a_support_pixel": nanoseconds, "ratio_40_to_4": ratio}
        row = "  ".join(f"{s}: {value:.2f}" for s, value in nanoseconds.items())
        print(f"sigma, {title}: ns a support pixel  {row}  (40 over 4: {ratio:.2f})")
    return results


def threads(faces: list[Photograph], repeat: int) -> dict[str, Any]:
    """Time a batch of 64 images on 1 to all threads."""
    images = [torch.from_numpy(one.pixels).permute(2, 0, 1) for one in faces[:64]]
    images = [image.clone(memory_format=torch.preserve_format) for image in images]
    regions = fastblur.Regions.from_boxes([one.boxes for one in faces[:64]])
    out = [torch.empty_like(image) for image in images]
    results: dict[str, Any] = {}
    for title, target in (("in place", images), ("into given tensors", out)):

        def on(count: int, target: list[torch.Tensor] = target) -> None:
            torch.set_num_threads(count)
            for _ in range(64):  # a stream of batches: processors that were idle take a while to come
                fastblur.blur(images, regions, "ilsvrc", out=target)

        taken = in_turns({str(n): lambda n=n: on(n) for n in range(1, cpus() + 1)}, repeat)
        speedup = {n: statistics.median(taken["1"]) / statistics.median(values) for n, values in taken.items()}
        best = {n: min(taken["1"]) / min(values) for n, values in taken.items()}
        results[title] = {"milliseconds": {n: 1000 * v / 64 for n, v in medians(taken).items()}, "speedup": speedup}
        results[title]["speedup_of_the_best"] = best
        row = "  ".join(f"{n}: {speedup[n]:.2f} (best {best[n]:.2f})" for n in speedup)
        print(f"threads, batch of 64 {title}: speed over one thread  {row}")
    torch.set_num_threads(cpus())
    return results


def start(repeat: int) -> dict[str, Any]:
    """Time imports and the first call in fresh processes."""

    def fresh(code: str, **environment: str) -> float:
        program = f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
        command = ["env", *(f"{k}={v}" for k, v in environment.items()), sys.executable, "-c", program]
        return float(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)

    imports = {"fastblur": "import fastblur; fastblur.blur", "torch, kornia": "import torch, kornia"}
    seconds: dict[str, list[float]] = {name: [] for name in imports}
    for turn in range(repeat + 1):
        for name, code in imports.items():
            taken = fresh(code)
            if turn:
                seconds[name].append(taken)
    median = medians(seconds)
    ratio = median["fastblur"] / median["torch, kornia"]
    both = f"{median['fastblur']:.2f} s, torch and kornia {median['torch, kornia']:.2f} s"
    print(f"start: import fastblur {both}: {ratio:.2f}")
    call = "import fastblur, torch; start = time.perf_counter(); "
    call += "fastblur.blur(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), [[[9, 9, 40, 40]]])"
    with tempfile.TemporaryDirectory() as cache:
        compiled, cached = (fresh(call, NUMBA_CACHE_DIR=cache) for _ in range(2))
    print(f"start: first call {compiled:.1f} s compiled, {cached:.2f} s from the disk cache")
    return {"import_seconds": median, "ratio": ratio, "first_call_seconds": {"compiled": compiled, "cached": cached}}


if __name__ == "__main__":
    main()

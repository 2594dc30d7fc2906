"""blur on ImageNet images with faces: time next to what people use today, error against float64, the start.

    python -m benchmarks.operators [--data DIR] [--repeat N] [--json FILE] [--only NAME ...] [--backend B] [--images N]

- peers: one thread, each image alone, from decoded pixels to blurred pixels, the "ilsvrc" recipe, all sides in turns.
  The peers are those of benchmarks/peers; `kornia, float and mask given` leaves out the conversions and the mask.
- error: against the float64 formula of tests/formula.py, over the support, uint8. With TRITON_INTERPRET=1 in the
  environment, `--only error --backend cuda` compares the CUDA kernel with it on the CPU; slowly, so take `--images 20`.
- start: `import fastblur; fastblur.blur` (names are imported when first used, so the bare import takes no time) over
  `import torch, kornia` in fresh processes; the first call without and with the disk cache of compiled code.

How speed follows from sigma, threads and sizes: benchmarks.scaling.
"""

import sys
import tempfile
from typing import Any

import numpy as np
import torch

import fastblur
from benchmarks import peers as all_peers
from benchmarks.common.baselines import checked
from benchmarks.common.command import parser, write_json
from benchmarks.common.measure import in_turns, medians, values_in_turns
from benchmarks.common.workloads import Photograph, load
from benchmarks.peers.kornia_full_frame import filtered, mask_of
from tests import formula


def main() -> None:
    options = parser(__doc__, repeat=7, only=("peers", "error", "start"))
    options.add_argument("--backend", default="cpu", help="of the error: cpu or cuda")
    options.add_argument("--images", type=int, help="take the first N images with faces")
    arguments = options.parse_args()
    workload = load(arguments.data)
    faces = workload.with_faces[: arguments.images]
    print(f"workload: {workload.source}")
    results: dict[str, Any] = {"workload": workload.source}
    if "peers" in arguments.only:
        results["peers"] = peers(faces, arguments.repeat)
    if "error" in arguments.only:
        results["error"] = error(faces, arguments.backend)
    if "start" in arguments.only:
        results["start"] = start(arguments.repeat)
    write_json(arguments.json, "benchmarks.operators", results)


def peers(faces: list[Photograph], repeat: int) -> dict[str, Any]:
    """Time every peer on every image, one thread."""
    found, absent = all_peers.found()
    boxes = [one.boxes for one in faces]
    sides = {name: all_peers.side(peer, [one.pixels for one in faces], boxes) for name, peer in found.items()}
    planar = [torch.from_numpy(one.pixels).permute(2, 0, 1).contiguous() for one in faces]
    sigmas = [float(0.1 * max(map(formula.longer_side, rows))) for rows in boxes]
    floats = [image[None].float() / 255 for image in planar]
    masks = [filtered(mask_of(*each[:2]), each[2]) for each in zip(planar, boxes, sigmas, strict=True)]

    def fastblur_planar() -> None:
        for image, rows in zip(planar, boxes, strict=True):
            fastblur.blur(image, [rows], "ilsvrc")

    def kornia_given() -> None:
        for value, s, mask in zip(floats, sigmas, masks, strict=True):
            torch.lerp(value, filtered(value, s), mask)

    sides |= {"fastblur planar": fastblur_planar, "kornia, float and mask given": kornia_given}
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
        "peers": {name: all_peers.described(peer) for name, peer in found.items()},
        "absent": absent,
    }


def error(faces: list[Photograph], backend: str) -> dict[str, Any]:
    """Compare a kernel with float64 on every image, both recipes."""
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


def start(repeat: int) -> dict[str, Any]:
    """Time imports and the first call in fresh processes."""

    def fresh(code: str, **environment: str) -> float:
        program = f"import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"
        return float(checked([sys.executable, "-c", program], **environment))

    imports = {"fastblur": "import fastblur; fastblur.blur", "torch, kornia": "import torch, kornia"}
    seconds = medians(values_in_turns({name: lambda code=code: fresh(code) for name, code in imports.items()}, repeat))
    ratio = seconds["fastblur"] / seconds["torch, kornia"]
    both = f"{seconds['fastblur']:.2f} s, torch and kornia {seconds['torch, kornia']:.2f} s"
    print(f"start: import fastblur {both}: {ratio:.2f}")
    call = "import fastblur, torch; start = time.perf_counter(); "
    call += "fastblur.blur(torch.zeros(1, 3, 64, 64, dtype=torch.uint8), [[[9, 9, 40, 40]]])"
    with tempfile.TemporaryDirectory() as cache:
        compiled, cached = (fresh(call, NUMBA_CACHE_DIR=cache) for _ in range(2))
    print(f"start: first call {compiled:.1f} s compiled, {cached:.2f} s from the disk cache")
    return {"import_seconds": seconds, "ratio": ratio, "first_call_seconds": {"compiled": compiled, "cached": cached}}


if __name__ == "__main__":
    main()

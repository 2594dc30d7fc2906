"""blur on ImageNet images with faces: time against what people use today, error against float64, cost, threads.

    python -m benchmarks.operators [--data DIR] [--repeat N] [--json FILE] [--only NAME ...] [--backend B] [--images N]

- peers: one thread, each image alone, from decoded pixels to blurred pixels, the "ilsvrc" recipe, all sides in turns.
  `Pillow recipe` is the ImageNet team's script written anew from the paper (Yang et al., ICML 2022): rectangles drawn
  on a mask, mask and image through ImageFilter.GaussianBlur, Image.composite. `OpenCV per region` blurs each region's
  support and blends it under a Gaussian-filtered rectangle. `kornia full frame` converts to float, filters image and
  drawn mask with gaussian_blur2d, taps ending at three deviations, lerps and converts back. `kornia, float and mask
  given` leaves out the conversions and the mask.
- error: against the float64 formula of tests/formula.py, over the support, uint8. With TRITON_INTERPRET=1 in the
  environment, `--only error --backend cuda` holds the CUDA kernel against it on the CPU; slowly, so take `--images 20`.
- sigma: time for each support pixel, one thread; a region of fixed size with growing strength, and faces that grow.
- threads: one batch of 64 images on 1, 2, ... threads; at least 20 repeats, best and median.
- start: `import fastblur; fastblur.blur` (the names are imported when first used, so the bare import takes no time)
  against `import torch, kornia` in fresh processes; the first call without and with the disk
  cache of compiled code.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from kornia.filters import gaussian_blur2d
from PIL import Image

import fastblur
from benchmarks.measure import DATA, ROOT, cpus, in_turns, medians, write_json
from benchmarks.pillow_recipe import pillow_recipe
from tests import formula


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "imagenet-sample", help="images and face_annotations.json")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", nargs="+", choices=["peers", "error", "sigma", "threads", "start"], metavar="NAME")
    parser.add_argument("--backend", default="cpu", help="of the error: cpu or cuda")
    parser.add_argument("--images", type=int, help="take the first N images with faces")
    arguments = parser.parse_args()
    faces = load(arguments.data)[: arguments.images]
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "peers": lambda: peers(faces, arguments.repeat),
        "error": lambda: error(faces, arguments.backend),
        "sigma": lambda: sigma(arguments.repeat),
        "threads": lambda: threads(faces, max(20, arguments.repeat)),
        "start": lambda: start(arguments.repeat),
    }
    results = {name: measure() for name, measure in measures.items() if name in (arguments.only or measures)}
    write_json(arguments.json, "benchmarks.operators", results)


def load(data: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the (H, W, 3) uint8 pixels and (n, 4) boxes of every image that has any."""
    entries = json.loads((data / "face_annotations.json").read_text())
    return [
        (
            np.asarray(Image.open(data / entry["url"]).convert("RGB")).copy(),
            np.array([[b["x0"], b["y0"], b["x1"], b["y1"]] for b in entry["bboxes"]]),
        )
        for entry in entries
        if entry["bboxes"]
    ]


def opencv_per_region(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Blur each region on its own crop, feathered by a Gaussian-filtered rectangle."""
    out = image.copy()
    height, width = image.shape[:2]
    scale = max(max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes)
    deviation = 0.1 * scale
    for x0, y0, x1, y1 in boxes:
        grow = 0.1 * max(x1 - x0, y1 - y0)
        reach = 3 * deviation
        left, top = max(0, int(x0 - grow - reach)), max(0, int(y0 - grow - reach))
        right, bottom = min(width, int(x1 + grow + reach) + 1), min(height, int(y1 + grow + reach) + 1)
        crop = out[top:bottom, left:right]
        mask = np.zeros(crop.shape[:2], np.float32)
        corners = (int(x0 - grow) - left, int(y0 - grow) - top), (int(x1 + grow) - left, int(y1 + grow) - top)
        cv2.rectangle(mask, *corners, 1.0, cv2.FILLED)
        mask = cv2.GaussianBlur(mask, (0, 0), deviation)[..., None]
        blurred = cv2.GaussianBlur(crop, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)
        out[top:bottom, left:right] = (crop + mask * (blurred.astype(np.float32) - crop) + 0.5).astype(np.uint8)
    return out


def kornia_blur(value: torch.Tensor, deviation: float) -> torch.Tensor:
    """Filter the whole (1, C, H, W) image."""
    size = 2 * max(1, round(3 * deviation)) + 1
    return gaussian_blur2d(value, (size, size), (deviation, deviation), "replicate")


def kornia_mask(image: torch.Tensor, boxes: np.ndarray, deviation: float) -> torch.Tensor:
    """Draw the boxes, grown as the recipe says, and filter them."""
    mask = torch.zeros(1, 1, *image.shape[-2:])
    for x0, y0, x1, y1 in boxes:
        grow = 0.1 * max(x1 - x0, y1 - y0)
        mask[..., max(0, round(y0 - grow)) : round(y1 + grow), max(0, round(x0 - grow)) : round(x1 + grow)] = 1
    return kornia_blur(mask, deviation)


def peers(faces: list[tuple[np.ndarray, np.ndarray]], repeat: int) -> dict[str, Any]:
    """Time every peer on every image, one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    views = [torch.from_numpy(pixels).permute(2, 0, 1) for pixels, _ in faces]
    planar = [view.contiguous() for view in views]
    own = [view.clone() for view in views]
    regions = [fastblur.Regions.from_boxes([boxes]) for _, boxes in faces]
    pillow = [Image.fromarray(pixels) for pixels, _ in faces]
    sigmas = [float(0.1 * max(formula.longer_side(box) for box in boxes)) for _, boxes in faces]
    floats = [image[None].float() / 255 for image in planar]
    masks = [kornia_mask(image, boxes, s) for image, (_, boxes), s in zip(planar, faces, sigmas, strict=True)]

    def kornia_full_frame() -> None:
        for image, (_, boxes), s in zip(planar, faces, sigmas, strict=True):
            value = image[None].float() / 255
            blurred = torch.lerp(value, kornia_blur(value, s), kornia_mask(image, boxes, s))
            blurred.mul(255).round_().to(torch.uint8)

    def kornia_given() -> None:
        for value, mask, s in zip(floats, masks, sigmas, strict=True):
            torch.lerp(value, kornia_blur(value, s), mask)

    def every(work: Callable[[int], Any]) -> Callable[[], None]:
        def side() -> None:
            for i in range(len(faces)):
                work(i)  # the result is dropped, so that the next one finds its memory warm

        return side

    sides: dict[str, Callable[[], Any]] = {
        "fastblur": every(lambda i: fastblur.blur(views[i], regions[i], "ilsvrc")),
        "fastblur in place": every(lambda i: fastblur.blur(own[i], regions[i], "ilsvrc", out=own[i])),
        "fastblur planar": every(lambda i: fastblur.blur(planar[i], regions[i], "ilsvrc")),
        "Pillow recipe": every(lambda i: pillow_recipe(pillow[i], faces[i][1])),
        "OpenCV per region": every(lambda i: opencv_per_region(*faces[i])),
        "kornia full frame": kornia_full_frame,
        "kornia, float and mask given": kornia_given,
    }
    median = medians(in_turns(sides, repeat))
    milliseconds = {name: 1000 * taken / len(faces) for name, taken in median.items()}
    print(f"peers: {len(faces)} images, one thread, recipe ilsvrc, median of {repeat}")
    for name, taken in milliseconds.items():
        print(f"  {name:28} {taken:8.3f} ms an image  {taken / milliseconds['fastblur']:7.1f} x fastblur")
    ratios = {name: taken / milliseconds["fastblur"] for name, taken in milliseconds.items()}
    return {"images": len(faces), "milliseconds": milliseconds, "ratio": ratios}


def error(faces: list[tuple[np.ndarray, np.ndarray]], backend: str) -> dict[str, Any]:
    """Hold a kernel against float64 on every image, both recipes."""
    results = {}
    for recipe, parameters in formula.RECIPES.items():
        worst, total, count, elsewhere = 0.0, 0.0, 0, 0
        for pixels, boxes in faces:
            image = np.ascontiguousarray(pixels.transpose(2, 0, 1))
            exact, support = formula.blur(image.astype(np.float64), boxes, **parameters)
            ours = fastblur.blur(torch.from_numpy(image), [boxes], recipe, backend=backend).numpy()
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


def threads(faces: list[tuple[np.ndarray, np.ndarray]], repeat: int) -> dict[str, Any]:
    """Time a batch of 64 images on 1 to all threads."""
    images = [torch.from_numpy(pixels).permute(2, 0, 1).clone() for pixels, _ in faces[:64]]
    images = [image.clone(memory_format=torch.preserve_format) for image in images]
    regions = fastblur.Regions.from_boxes([boxes for _, boxes in faces[:64]])
    out = [torch.empty_like(image) for image in images]
    results: dict[str, Any] = {}
    for title, target in (("in place", images), ("into given tensors", out)):

        def on(count: int, target: list[torch.Tensor] = target) -> None:
            torch.set_num_threads(count)
            fastblur.blur(images, regions, "ilsvrc", out=target)

        taken = in_turns({str(n): lambda n=n: on(n) for n in range(1, cpus() + 1)}, repeat)
        speedup = {n: statistics.median(taken["1"]) / statistics.median(values) for n, values in taken.items()}
        best = {n: min(taken["1"]) / min(values) for n, values in taken.items()}
        results[title] = {"milliseconds": {n: 1000 * v for n, v in medians(taken).items()}, "speedup": speedup}
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

"""Faces hidden in JPEG files block by block, beside decoding, hiding and encoding: time, error, bytes, what changes.

    python -m benchmarks.jpeg_blocks [--data DIR] [--repeat N] [--json FILE] [--only NAME ...] [--picture FILE]

Both routes on one thread, in turns, all files by one and then by the other, as a run would; processor time of the
thread, since other work on the machine would else count; of each file the median of all turns. Ratios are decode +
hide + encode over rewriting.

- faces: the files with faces, the recipes "default" and "ilsvrc", and the other methods: ratio of the mean times, of
  the median file, and how many files went block by block.
- large: photographs of 12 megapixels with faces of 200 px, made from the same files, 4:4:4 and 4:2:0.
- error: mean error in the support of the decoded file against float64 (tests/formula.py), pixels outside the support
  that change, and bytes over the source's.
- detector: what comes after the search: hide + encode of pixels that are decoded already, and rewriting.
- blocks: blocks that must not change and pixels outside changed MCUs, and those of them that do.
- synthetic: the same for files of every kind that is taken, sampling, tables and restart intervals, all methods.
- threads: files a second on 1, 2, ... threads.
- start: what the first call takes in a fresh process, compiled code from the disk cache, for both routes.

With --picture only a picture is made: a photograph, and what either route changes in it, a hundred times amplified.
"""

import argparse
import collections
import io
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common.command import write_json
from benchmarks.common.measure import DATA, ROOT
from benchmarks.common.workloads import Photograph, load
from fastblur.codecs import decode, encode
from fastblur.codecs.jpeg_blocks import Refused, Rewritten, hide, read_layout
from fastblur.kernels.cpu.schedule import hide_in_arrays
from fastblur.kernels.parameters import KernelParameters
from fastblur.pipeline.execution.concurrency import default_workers
from fastblur.recipes import RECIPES
from tests import formula
from tests.codecs.jpeg_blocks import files
from tests.codecs.jpeg_blocks.oracle import kept

MAX_PIXELS = 1 << 28
LEVELS = {"L": [0.0], "RGB": [0.0] * 3, "CMYK": [255.0, 255.0, 255.0, 0.0]}
METHODS = {
    "default": KernelParameters.for_blur(RECIPES["default"]),
    "ilsvrc": KernelParameters.for_blur(RECIPES["ilsvrc"]),
    "pixelate": KernelParameters.for_pixelate(8, 0.1, "box"),
    "fill": KernelParameters.for_fill(0.1, 0.0, "box"),
}
AMPLIFIED = 100


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--json", type=Path)
    names = ["faces", "large", "error", "detector", "blocks", "synthetic", "threads", "start"]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME")
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    if arguments.picture:
        draw(arguments.picture)
        return
    workload = load(arguments.data)
    faces = workload.with_faces
    print(f"workload: {workload.source}, {len(faces)} files with faces")
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "faces": lambda: {name: ratio(faces, name, arguments.repeat) for name in METHODS},
        "large": lambda: {name: ratio(large(faces, name), "default", arguments.repeat) for name in ("444", "420")},
        "error": lambda: {name: error(faces, name) for name in formula.RECIPES},
        "detector": lambda: {name: detector(faces, name, arguments.repeat) for name in ("default", "ilsvrc")},
        "blocks": lambda: {name: blocks(faces, name) for name in METHODS},
        "synthetic": lambda: {"all": synthetic()},
        "threads": lambda: threads(faces),
        "start": lambda: start(faces[0]),
    }
    results = {}
    for name, measure in measures.items():
        if name in (arguments.only or measures):
            results[name] = measure()
            print(name)
            for key, value in results[name].items():
                print(f"  {key}: {value}")
    write_json(arguments.json, "benchmarks.jpeg_blocks", {"workload": workload.source, **results})


def rewritten(one: Photograph, method: str) -> Rewritten:
    """Hide the faces block by block."""
    return hide(one.jpeg, read_layout(one.jpeg, MAX_PIXELS), one.boxes.astype(np.float32), METHODS[method], LEVELS)


def encoded(one: Photograph, method: str) -> bytes:
    """Decode, hide the faces and encode."""
    picture = decode(one.jpeg, max_pixels=MAX_PIXELS)
    color = np.array(LEVELS[picture.color], np.float32) if method == "fill" else np.empty(0, np.float32)
    hide_in_arrays([picture.pixels], [one.boxes.astype(np.float32)], METHODS[method], color)
    return encode(picture, picture.pixels)


def ratio(photographs: list[Photograph], method: str, repeat: int) -> dict[str, Any]:
    """Time both routes."""
    taken = []
    refused: dict[str, int] = {}
    for one in photographs:
        try:
            rewritten(one, method)
            taken.append(one)
        except Refused as reason:
            refused[str(reason)] = refused.get(str(reason), 0) + 1
    seconds = np.empty((repeat + 1, len(taken), 2))
    for turn in range(repeat + 1):
        for side, route in enumerate((encoded, rewritten)):
            for i, one in enumerate(taken):
                begin = time.thread_time()
                route(one, method)
                seconds[turn, i, side] = time.thread_time() - begin
    medians = np.median(seconds[1:], axis=0)
    return {
        "files": len(taken),
        "refused": refused,
        "decode_hide_encode_ms": round(1000 * float(medians[:, 0].mean()), 3),
        "rewrite_ms": round(1000 * float(medians[:, 1].mean()), 3),
        "ratio_of_means": round(float(medians[:, 0].sum() / medians[:, 1].sum()), 2),
        "median_ratio": round(statistics.median((medians[:, 0] / medians[:, 1]).tolist()), 2),
    }


def large(faces: list[Photograph], sampling: str, count: int = 4) -> list[Photograph]:
    """Return photographs of 4000 x 3000 pixels, each filled with one file at a size where its face has 200 px."""
    found = []
    for one in faces[:count]:
        box = one.boxes[0]
        scale = 200 / float(max(box[2] - box[0], box[3] - box[1]))
        height, width = one.pixels.shape[:2]
        size = max(8, round(width * scale)), max(8, round(height * scale))
        tile = np.asarray(Image.fromarray(one.pixels).resize(size, Image.Resampling.BICUBIC))
        whole = np.tile(tile, (-(-3000 // tile.shape[0]), -(-4000 // tile.shape[1]), 1))[:3000, :4000]
        file = io.BytesIO()
        options = {"quality": 90, "subsampling": {"444": 0, "420": 2}[sampling], "optimize": True}
        Image.fromarray(whole).save(file, "JPEG", **options)
        found.append(Photograph(one.name, file.getvalue(), box[None] * scale))
    return found


def error(faces: list[Photograph], recipe: str) -> dict[str, Any]:
    """Return errors, changes and sizes of both routes."""
    rows = []
    for one in faces:
        results = rewritten(one, recipe).data, encoded(one, recipe)
        before = decode(one.jpeg, max_pixels=MAX_PIXELS).pixels
        exact, support = formula.blur(
            before.transpose(2, 0, 1).astype(np.float64), one.boxes, **formula.RECIPES[recipe]
        )
        row: list[float] = []
        for result in results:
            after = decode(result, max_pixels=MAX_PIXELS).pixels
            row.append(float(np.abs(after - exact.transpose(1, 2, 0))[support].mean()))
            row.append(float((after != before).any(2)[~support].mean()))
            row.append(len(result) / len(one.jpeg))
        rows.append(row)
    means = np.mean(rows, axis=0)
    names = ("error", "changed_outside", "bytes")
    sides = {
        side: {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}
        for side, values in (("rewritten", means[:3]), ("encoded", means[3:]))
    }
    return {**sides, "error_ratio": round(float(means[0] / means[3]), 3)}


def blocks(faces: list[Photograph], method: str) -> dict[str, Any]:
    """Count what must not change, by the formula's own support, jpeglib's coefficients and libjpeg-turbo's pixels."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for one in faces:
            result = rewritten(one, method)
            height, width = decode(one.jpeg, max_pixels=MAX_PIXELS).pixels.shape[:2]
            found = kept(one.jpeg, result.data, (height, width), one.boxes, method, Path(folder))
            counts.update(found._asdict())
            counts.update({name: getattr(result, name) for name in ("new_codes", "splits", "left_out")})
    return dict(counts)


def synthetic() -> dict[str, Any]:
    """Count as `blocks` does in files made for it, at three qualities, with boxes inside and over borders."""
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed, (quality, (_, arguments)) in enumerate(product((35, 80, 97), files.kinds())):
            data = files.jpeg(**arguments, quality=quality, seed=seed)
            rng = np.random.default_rng(seed)
            low = rng.uniform(-15, (70, 50), (2, 2))
            boxes = np.concatenate((low, low + rng.uniform(8, 40, (2, 2))), axis=1)
            for method in files.METHODS:
                found = kept(data, files.rewritten(data, boxes, method).data, (61, 83), boxes, method, Path(folder))
                counts.update({"files": 1, **found._asdict()})
    return dict(counts)


def detector(faces: list[Photograph], method: str, repeat: int) -> dict[str, Any]:
    """Time what follows a detector: hide and encode pixels that are decoded, or rewrite the file; a pass each."""
    seconds = np.empty((repeat + 1, len(faces), 2))
    for turn in range(repeat + 1):
        pictures = [decode(one.jpeg, max_pixels=MAX_PIXELS) for one in faces]
        for i, (one, picture) in enumerate(zip(faces, pictures, strict=True)):
            begin = time.thread_time()
            hide_in_arrays([picture.pixels], [one.boxes.astype(np.float32)], METHODS[method], np.empty(0, np.float32))
            encode(picture, picture.pixels)
            seconds[turn, i, 0] = time.thread_time() - begin
        for i, one in enumerate(faces):
            begin = time.thread_time()
            rewritten(one, method)
            seconds[turn, i, 1] = time.thread_time() - begin
    before, after = np.median(seconds[1:], axis=0).mean(0)
    return {
        "hide_encode_ms": round(1000 * float(before), 3),
        "rewrite_ms": round(1000 * float(after), 3),
        "after_over_before": round(float(after / before), 3),
    }


def threads(faces: list[Photograph]) -> dict[str, Any]:
    """Return files a second of both routes, best of three."""
    work = faces * 4
    found: dict[str, Any] = {}
    for count in sorted({1, 2, default_workers()}):
        for name, route in (("rewritten", rewritten), ("encoded", encoded)):
            best = 0.0
            with ThreadPoolExecutor(count) as pool:
                for _ in range(3):
                    begin = time.perf_counter()
                    list(pool.map(lambda one, route=route: route(one, "default"), work))
                    best = max(best, len(work) / (time.perf_counter() - begin))
            found[f"{name}, {count} threads"] = round(best)
    return found


def start(one: Photograph, repeat: int = 5) -> dict[str, Any]:
    """Return the seconds of a process's first call and of its imports, for both routes."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "one.jpg")
        path.write_bytes(one.jpeg)
        for name in ("rewritten", "encoded"):
            code = (
                "import time, numpy as np; begin = time.perf_counter(); from benchmarks import jpeg_blocks as b; "
                "from benchmarks.common.workloads import Photograph; imported = time.perf_counter(); "
                f"one = Photograph('', open({str(path)!r}, 'rb').read(), np.array({one.boxes.tolist()})); "
                f"b.{name}(one, 'default'); print(time.perf_counter() - imported)"
            )
            seconds = [
                float(subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout)
                for _ in range(repeat + 1)
            ]
            found[name] = round(statistics.median(seconds[1:]), 3)
    return found


def draw(path: Path) -> None:
    """Write a photograph with its face hidden, and what each route changes of it, side by side."""
    from skimage import data

    file = io.BytesIO()
    Image.fromarray(data.astronaut()).save(file, "JPEG", quality=90, subsampling=0)
    one = Photograph("astronaut", file.getvalue(), np.array([[168.0, 62, 274, 204]]))
    before = decode(one.jpeg).pixels.astype(int)
    hidden = rewritten(one, "default").data
    panels = [decode(hidden).pixels]
    for result in (hidden, encoded(one, "default")):
        change = np.abs(decode(result).pixels.astype(int) - before)
        panels.append(np.clip(AMPLIFIED * change, 0, 255).astype(np.uint8))
    Image.fromarray(np.concatenate(panels, axis=1)).resize((1152, 384), Image.Resampling.LANCZOS).save(path, quality=85)


if __name__ == "__main__":
    main()

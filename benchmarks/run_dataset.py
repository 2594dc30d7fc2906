"""`fastblur run` on data sets: whole processes next to peers, memory, start, resume, Ray.

    python -m benchmarks.run_dataset [--only NAME ...] [--data DIR] [--scratch DIR] [--workers N] [--repeat N]
                                     [--json FILE]

Sources are copies of the images in DATA; every output goes to a new folder of SCRATCH (/dev/shm leaves the disk out).

- boxes: 2,000 images, boxes given. `fastblur run --boxes` as a process, and what its summary says without the start,
  next to the sides of common/baselines.py: the floors `decode and encode` every image and `what must be done`, with as
  many processes, and the `Pillow script`, which is one.
- detect: 500 images. `fastblur run` as a process next to that of deface 1.5 (its own threshold and all processors).
- memory: the largest sum of the resident memory of all processes of the command (pages shared count in parts), at 2,000
  and 20,000 images.
- start: from the start of the command to the first image written, in a tree of 100,000 files; resume: the same command
  again when all of it is done.
- ray: images a second between the first and the last shard, so without the start: two workers of one core each over
  a local run of one worker (pip install 'fastblur[ray]').
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.common.baselines import checked, deface, make_tree, run_arguments, seconds, seconds_of_run
from benchmarks.common.command import parser, scratch_folder, write_json
from benchmarks.common.measure import ROOT, medians, peak_memory, seconds_of, values_in_turns
from benchmarks.common.workloads import Photograph, load


def main() -> None:
    measures = {"boxes": boxes, "detect": detect, "memory": memory, "start": start, "ray": ray}
    arguments = parser(__doc__, repeat=5, only=measures, workers=True, scratch=True).parse_args()
    workload = load(arguments.data)
    results: dict[str, Any] = {}
    for name in arguments.only:
        with scratch_folder(arguments) as folder:
            results[name] = measures[name](folder, workload.photographs, arguments)
    write_json(arguments.json, "benchmarks.run_dataset", {"workload": workload.source, **results})


def tree(folder: Path, photographs: list[Photograph], images: int) -> None:
    """Make folder/images of so many images, as many of them with faces as among the photographs."""
    make_tree(folder, islice(cycle(photographs), images), 250)


def boxes(folder: Path, photographs: list[Photograph], arguments: argparse.Namespace) -> dict[str, Any]:
    tree(folder, photographs, 2000)
    within: dict[str, list[float]] = {}

    def fastblur() -> float:
        taken, summary = seconds_of_run(folder, "--workers", arguments.workers)
        within.setdefault("fastblur run", []).append(summary["seconds"])
        return taken

    def other(name: str, side: str, processes: int) -> Callable[[], float]:
        return lambda: seconds_of(lambda: within.setdefault(name, []).append(seconds(side, folder, 2000, processes)))

    kinds = {"decode and encode": ("every", arguments.workers), "what must be done": ("needed", arguments.workers)}
    kinds |= {"Pillow script": ("pillow", 1)}
    sides = {"fastblur run": fastblur, **{name: other(name, *kind) for name, kind in kinds.items()}}
    taken = medians(values_in_turns(sides, arguments.repeat))
    alone = {name: statistics.median(values[1:]) for name, values in within.items()}
    print(f"boxes: 2000 images, {arguments.workers} workers, median of {arguments.repeat}")
    print(f"  {'':20} {'whole process':>14} {'':>12} {'without start':>14}")
    for name in taken:
        print(
            f"  {name:20} {2000 / taken[name]:8.0f} image/s {taken[name] / taken['fastblur run']:6.2f} x fastblur "
            f"{2000 / alone[name]:8.0f} image/s {alone[name] / alone['fastblur run']:6.2f} x fastblur"
        )
    return {"images": 2000, "seconds_whole_process": taken, "seconds_without_start": alone}


def detect(folder: Path, photographs: list[Photograph], arguments: argparse.Namespace) -> dict[str, Any]:
    tree(folder, photographs, 500)
    sides = {
        "fastblur run": lambda: seconds_of_run(folder, "--workers", arguments.workers, boxes=False)[0],
        "deface": lambda: deface(list(islice(cycle(photographs), 500)), folder),
    }
    taken = medians(values_in_turns(sides, max(1, arguments.repeat // 2)))
    ratio = taken["deface"] / taken["fastblur run"]
    rates = ", ".join(f"{name} {500 / value:.1f} images a second" for name, value in taken.items())
    print(f"detect: 500 images, whole processes: {rates}: {ratio:.2f} x")
    return {"images": 500, "seconds": taken, "ratio": ratio}


def memory(folder: Path, photographs: list[Photograph], arguments: argparse.Namespace) -> dict[str, Any]:
    peaks = {}
    for images in (2000, 20000):
        shutil.rmtree(folder / "images", ignore_errors=True)
        tree(folder, photographs, images)
        with subprocess.Popen(run_arguments(folder), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            peaks[str(images)] = peak_memory(process, 0.05) / 2**20
        shutil.rmtree(folder / "out")
    ratio = peaks["20000"] / peaks["2000"]
    print(f"memory: {peaks['2000']:.0f} MiB at 2,000 images, {peaks['20000']:.0f} MiB at 20,000: {ratio:.2f}")
    return {"mebibytes": peaks, "ratio": ratio}


def start(folder: Path, photographs: list[Photograph], arguments: argparse.Namespace) -> dict[str, Any]:
    from PIL import Image

    Image.new("RGB", (48, 32), "gray").save(folder / "one.jpg")
    listed = []
    for i in range(100_000):
        path = folder / "images" / f"{i // 1000:03}" / f"{i:06}.jpg"
        if i % 1000 == 0:
            path.parent.mkdir(parents=True)
        os.link(folder / "one.jpg", path)
        listed.append({"url": f"{i // 1000:03}/{i:06}.jpg", "bboxes": []})
    (folder / "boxes.json").write_text(json.dumps(listed))
    first: list[float] = []

    def watch(begin: float) -> None:
        while not first:
            if any((folder / "out").glob("*/*.jpg")):
                first.append(time.perf_counter() - begin)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch, args=(time.perf_counter(),), daemon=True)
    watcher.start()
    whole, *again = (seconds_of(lambda: checked(run_arguments(folder))) for _ in range(1 + arguments.repeat))
    watcher.join()
    resume = statistics.median(again)
    print(f"start: 100,000 files: first image after {first[0]:.1f} s, all after {whole:.1f} s, resume {resume:.1f} s")
    return {"first_image_seconds": first[0], "whole_seconds": whole, "resume_seconds": resume}


def ray(folder: Path, photographs: list[Photograph], arguments: argparse.Namespace) -> dict[str, Any]:
    from fastblur.pipeline import run

    tree(folder, photographs, 20_000)

    def rate(**options: Any) -> float:
        seen: list[tuple[float, int]] = []

        def show(tally: Any, _total: int | None) -> None:
            if not seen or seen[-1][1] != tally.images:
                seen.append((time.perf_counter(), tally.images))

        run(folder / "images", folder / "out", boxes=folder / "boxes.json", progress=show, **options)
        shutil.rmtree(folder / "out")
        (first, none), (last, all_images) = next(entry for entry in seen if entry[1]), seen[-1]
        return (all_images - none) / (last - first)

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    rates = {"one local worker": rate(workers=1), "two Ray workers": rate(engine="ray", workers=2)}
    ratio = rates["two Ray workers"] / rates["one local worker"]
    each = ", ".join(f"{name} {value:.0f} images a second" for name, value in rates.items())
    print(f"ray: 20,000 images: {each}: {ratio:.2f} x")
    return {"images_a_second": rates, "ratio": ratio}


if __name__ == "__main__":
    main()

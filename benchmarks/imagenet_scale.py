"""The work of the ImageNet team, for real: 1.5 million images, 17 % of which show a face.

    python -m benchmarks.imagenet_scale --mode operator|boxes|detect [--images 1500000] [--budget SECONDS]
                                        [--workers N] [--scratch DIR] [--data DIR] [--json FILE]

- operator: decoded images in memory, ragged batches of 256 as they come, blurred in place with the "ilsvrc" recipe;
  only those with faces have anything done to them. Floor: the pixels of all supports read and written once, at the
  bandwidth that copying memory reaches with as many threads. Peer: the Pillow recipe on as many threads.
- boxes: the command `fastblur run --boxes --recipe ilsvrc` on a folder tree, from JPEG files to JPEG files. Floor: what
  must be done (common/baselines.py), in as many processes. Peer: the Pillow script in one process, as it was; the
  result file also has it divided between as many processes, and the floor of decoding and encoding every image.
- detect: the command `fastblur run --recipe ilsvrc` with its default detector on the same tree. Floor: as in boxes.
  Peer: the deface command on 100 photographs.

Floors and peers are measured on a part, half of it before the run and half after it. The tree has 2,000 different
files, the rest are links to them; the files written are counted, their sizes added, and removed by another process
while the run goes on. SCRATCH is /dev/shm where it exists: the disk is left out, on all sides.

`--budget` stops after so many seconds; then, and only then, the time for all images is extrapolated, with the 95 %
interval that follows from how much ten or more parts of the run differ; with fewer the exit status is 2.
"""

import argparse
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

import fastblur
from benchmarks.common.baselines import deface, image_name, make_tree, run_arguments, seconds
from benchmarks.common.command import parser, scratch_folder, write_json
from benchmarks.common.measure import ROOT, copy_bandwidth, peak_memory, resident_memory, seconds_on_threads
from benchmarks.common.workloads import Workload, load, support_pixels

BATCH = 256
MIN_PARTS, MAX_PARTS = 10, 20  # of a run; the interval and the rates over time are made of them
RECIPE = "ilsvrc"


class BudgetTooShort(Exception):
    """The budget ended before the run had enough parts to extrapolate from."""


@dataclass
class Run:
    """What was measured of a run."""

    done: list[tuple[float, int]]  # seconds since the begin, images done by then
    batches: list[float]  # seconds of each batch
    batch_images: int
    peak_memory: int  # bytes
    bytes_read: int
    bytes_written: int
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Baseline:
    """A floor or a peer, measured on a part in two halves."""

    what: str
    images: int  # of a half
    measure: Callable[[], float]  # returns seconds of a half
    halves: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Images a second of both halves together."""
        return len(self.halves) * self.images / sum(self.halves)


Measured = tuple[Run, dict[str, Baseline]]


def main() -> None:
    options = parser(__doc__, workers=True, scratch=True)
    options.add_argument("--mode", choices=["operator", "boxes", "detect"], required=True)
    options.add_argument("--images", type=int, default=1_500_000)
    options.add_argument("--budget", type=float, default=math.inf, help="seconds after which to stop")
    arguments = options.parse_args()
    if arguments.images < 1 or arguments.workers < 1:
        options.error("images and workers are expected to be at least 1")
    workload = load(arguments.data)
    print(f"workload: {workload.source}, streamed with ILSVRC's share of images with faces")
    try:
        run, baselines = (operator if arguments.mode == "operator" else command)(workload, arguments)
        result = result_record(arguments, run, baselines)
    except BudgetTooShort as error:
        options.exit(2, f"{error}\n")
    print_record(result)
    write_json(arguments.json, "benchmarks.imagenet_scale", {"workload": workload.source, **result})


def operator(workload: Workload, arguments: argparse.Namespace) -> Measured:
    """Stream decoded images through `blur`."""
    import torch

    from benchmarks.peers import fastblur_copy, pillow_recipe

    stream = list(workload.stream(4 * BATCH))
    images = [fastblur_copy.image(one.pixels) for one in stream]  # 500 MB and more: no cache holds them
    part = max(1000, min(20_000, arguments.images // 10))
    pillow = [pillow_recipe.image(one.pixels) for one in stream]
    support = {one.name: support_pixels(one.boxes, *one.pixels.shape[:2], RECIPE) for one in stream}
    touched = 2 * 3 * sum(support[one.name] for one in stream) / len(stream)  # bytes read and written an image
    torch.set_num_threads(arguments.workers)

    def hide(i: int) -> None:
        if len(stream[i % len(stream)].boxes):
            pillow_recipe.hide(pillow[i % len(stream)], stream[i % len(stream)].boxes)

    def batches() -> Iterator[int]:
        for first in range(0, arguments.images, BATCH):
            place, count = first % len(stream), min(BATCH, arguments.images - first)
            boxes = [one.boxes for one in stream[place : place + count]]
            target = images[place : place + count]
            fastblur.blur(target, fastblur.Regions.from_boxes(boxes), RECIPE, out=target)
            yield count

    def measure() -> Run:
        next(batches())  # compiled code is loaded
        done, taken = [(0.0, 0)], []
        begin = last = time.perf_counter()
        for count in batches():
            now = time.perf_counter()
            taken.append(now - last)
            done.append((now - begin, done[-1][1] + count))
            last = now
            if now - begin > arguments.budget:
                break
        half = int(touched * done[-1][1] / 2)
        return Run(done, taken, BATCH, resident_memory(os.getpid()), half, half)

    return measure_with_baselines(measure, {
        "floor": Baseline("support read and written at copy bandwidth", part,
                          lambda: part * touched / copy_bandwidth(arguments.workers)),
        "peer": Baseline(f"Pillow recipe, {arguments.workers} threads", part,
                         lambda: seconds_on_threads(hide, range(part), arguments.workers)),
    })  # fmt: skip


def command(workload: Workload, arguments: argparse.Namespace) -> Measured:
    """Run the command on a tree of files."""
    with scratch_folder(arguments) as folder:
        print(f"making a tree of {arguments.images} files")
        make_tree(folder, workload.stream(arguments.images))
        baselines = command_baselines(workload, folder, arguments)
        return measure_with_baselines(lambda: run_command(folder, arguments), baselines)


def command_baselines(workload: Workload, folder: Path, arguments: argparse.Namespace) -> dict[str, Baseline]:
    """Return what the command is compared with."""
    part, workers = min(20_000, arguments.images), arguments.workers

    def side(what: str, name: str, images: int, processes: int) -> Baseline:
        what = f"{what}, {processes} process{'es' if processes > 1 else ''}"
        return Baseline(what, images, lambda: seconds(name, folder, images, processes))

    baselines = {"floor": side("what must be done", "needed", part, workers)}
    if arguments.mode == "boxes":
        baselines["peer"] = side("Pillow script", "pillow", max(1, part // 4), 1)
        baselines["peer_divided"] = side("Pillow script", "pillow", part, workers)
        baselines["every"] = side("decode and encode every image", "every", part, workers)
    else:
        some = list(islice(workload.stream(100), arguments.images))
        baselines["peer"] = Baseline("deface command", len(some), lambda: deface(some, folder))
    return baselines


def run_command(folder: Path, arguments: argparse.Namespace) -> Run:
    """Run `fastblur run`, watching its memory, its journal and its output."""
    run = run_arguments(folder, "--recipe", RECIPE, "--workers", arguments.workers, boxes=arguments.mode == "boxes")
    ended, summary_file, out = folder / "ended", folder / "summary.json", folder / "out"
    remover = [sys.executable, "-m", "benchmarks.common.remove_outputs", str(out), str(ended)]
    with subprocess.Popen(remover, cwd=ROOT, stdout=subprocess.PIPE, text=True) as removing:
        begin, began = time.perf_counter(), time.time()
        with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            peak = peak_memory(process, 1, arguments.budget)
        whole = time.perf_counter() - begin
        ended.touch()
        written = json.loads(removing.communicate()[0])
    summary = json.loads(summary_file.read_text()) if summary_file.exists() else {"images": 0}
    if not summary["images"] and whole > arguments.budget and process.returncode in (143, -signal.SIGTERM):
        raise BudgetTooShort(f"no image was written in {arguments.budget:g} s, expected a longer --budget")
    if process.returncode not in (0, 143):
        raise SystemExit(f"fastblur run ended with {process.returncode}")
    if summary["failed"] or summary["images"] != written["files"]:
        raise SystemExit(f"{written['files']} files were written, expected {summary['images']}: {summary}")
    journal = sorted(
        (entry.stat().st_mtime, json.loads(entry.read_bytes().split(b"\n", 1)[0])["images"])
        for entry in (out / ".fastblur" / "journal").iterdir()
    )
    shutil.rmtree(out)
    done, images = [(max(0.0, whole - summary["seconds"]), 0)], 0  # its start is in the time, not in the rates
    for at, count in journal:
        images += count
        done.append((at - began, images))
    done[-1] = (whole, summary["images"])
    every = 16 if len(done) > 160 else 1  # shards, which several workers finish at about the same time
    times = [at for at, _ in done[::every]]
    sizes = [(folder / "images" / image_name(i)).stat().st_size for i in range(summary["images"])]
    more = {"without_start_seconds": summary["seconds"], "stages": summary["stages"], "regions": summary["regions"]}
    taken = [after - before for before, after in pairwise(times)]
    return Run(done, taken, every * 256, peak, sum(sizes), written["bytes"], more)


def measure_with_baselines(measure: Callable[[], Run], baselines: dict[str, Baseline]) -> Measured:
    """Measure a half of every baseline, the run, and the other halves."""
    for one in baselines.values():
        one.halves.append(one.measure())
        print(f"{one.what}: {one.rate:,.0f} images a second, before", flush=True)
    run = measure()
    for one in baselines.values():
        one.halves.append(one.measure())
    return run, baselines


def result_record(arguments: argparse.Namespace, run: Run, baselines: dict[str, Baseline]) -> dict[str, Any]:
    """Return the content of the result file; raise BudgetTooShort where too little was done to extrapolate from."""
    whole, count = run.done[-1]
    rates = over_time(run.done)
    record: dict[str, Any] = {
        "mode": arguments.mode,
        "recipe": RECIPE,
        "images": arguments.images,
        "measured_images": count,
        "seconds": whole,
        "images_per_second": count / whole,
        "images_per_second_over_time": rates,
        "batch_images": run.batch_images,
        "batch_seconds": {"p50": float(np.percentile(run.batches, 50)), "p99": float(np.percentile(run.batches, 99))},
        "peak_memory_bytes": run.peak_memory,
        "bytes_read": run.bytes_read,
        "bytes_written": run.bytes_written,
        "workers": arguments.workers,
    }
    for name, one in baselines.items():
        record[f"{name}_images_per_second"] = one.rate
        record[name] = {"what": one.what, "measured_images": 2 * one.images, "seconds": one.halves}
    if count < arguments.images:
        if len(rates) < MIN_PARTS:
            raise BudgetTooShort(
                f"{count:,} images were done in {arguments.budget:g} s, {len(rates)} of the {MIN_PARTS} parts that an "
                "extrapolation needs; expected a longer --budget"
            )
        start = run.done[0][0]
        record["extrapolated_seconds"] = start + arguments.images / statistics.mean(rates)
        record["extrapolated_interval"] = [start + arguments.images / rate for rate in reversed(interval(rates))]
    return record | run.more


def print_record(record: dict[str, Any]) -> None:
    """Print the content of the result file."""
    images, rate = record["images"], record["images_per_second"]
    print(f"{record['mode']}: {record['measured_images']:,} images in {record['seconds']:,.1f} s, "
          f"{rate:,.0f} a second, {record['workers']} workers")  # fmt: skip
    if "extrapolated_seconds" in record:
        hours, low, high = (h / 3600 for h in (record["extrapolated_seconds"], *record["extrapolated_interval"]))
        print(f"  EXTRAPOLATED to {images:,} images: {hours:.2f} h (95 % interval {low:.2f} to {high:.2f} h)")
    for name in (key.removesuffix("_images_per_second") for key in record if key.endswith("_images_per_second")):
        other, of = record[f"{name}_images_per_second"], record[name]
        print(f"  {of['what']}: {other:,.0f} images a second (on {of['measured_images']:,}), so "
              f"{images / other:,.0f} s for all; fastblur {rate / other:.2f} x")  # fmt: skip
    print(f"  rate over time: {', '.join(f'{value:,.0f}' for value in record['images_per_second_over_time'])}")
    p50, p99 = (1000 * record["batch_seconds"][key] for key in ("p50", "p99"))
    print(f"  {record['batch_images']} images take {p50:,.1f} ms (p50), {p99:,.1f} ms (p99)")
    print(f"  memory {record['peak_memory_bytes'] / 2**20:,.0f} MiB, read {record['bytes_read'] / 1e9:,.1f} GB, "
          f"written {record['bytes_written'] / 1e9:,.1f} GB")  # fmt: skip


def over_time(done: list[tuple[float, int]]) -> list[float]:
    """Return the images a second of up to `MAX_PARTS` parts that follow each other."""
    parts = min(MAX_PARTS, len(done) - 1)
    marks = [done[round(i * (len(done) - 1) / parts)] for i in range(parts + 1)] if parts else []
    return [(images - before) / (at - since) for (since, before), (at, images) in pairwise(marks) if at > since]


def interval(rates: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of two or more rates."""
    from scipy.stats import t

    mean, spread = statistics.mean(rates), statistics.stdev(rates) / math.sqrt(len(rates))
    reach = float(t.ppf(0.975, len(rates) - 1)) * spread
    return max(mean - reach, 1e-9), mean + reach


if __name__ == "__main__":
    main()

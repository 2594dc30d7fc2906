"""The work of the ImageNet team, for real: 1.5 million images, 17 % of which show a face.

    python -m benchmarks.imagenet_scale --mode operator|boxes|detect [--images 1500000] [--budget SECONDS]
                                        [--workers N] [--scratch DIR] [--data DIR] [--json FILE]

- operator: decoded images in memory, ragged batches of 256 as they come, blurred in place with the "ilsvrc" recipe;
  only those with faces have anything done to them. Floor: the pixels of all supports read and written once, at the
  bandwidth that copying memory reaches with as many threads. Peer: the Pillow recipe on as many threads.
- boxes: the command `fastblur run --boxes --recipe ilsvrc` on a folder tree, from JPEG files to JPEG files. Floor: what
  must be done (common/baselines.py), in as many processes. Peer: the Pillow script, one process as it was; the
  result file also has it divided between as many processes, and the floor of decoding and encoding every image.
- detect: the command `fastblur run --recipe ilsvrc` with its default detector on the same tree. Floor: as in boxes.
  Peer: the deface command on 100 photographs.

Floors and peers are measured on a part, half of it before and half of it after, and said to be. The tree has 2,000
different files, the rest are links to them; the files written are counted, their sizes added and removed by another
process while the run goes on, since 160 GB would fit in no memory. SCRATCH is /dev/shm where there is one: the disk is
left out, on all sides.

`--budget` stops after so many seconds; then, and only then, the time for all images is extrapolated, with the 95 %
interval that follows from how much ten or more parts of the run differ.
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
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

import fastblur
from benchmarks.common.baselines import deface, plant, seconds
from benchmarks.common.measure import DATA, ROOT, copy_bandwidth, cpus, resident, write_json
from benchmarks.common.workloads import Photograph, Workload, load
from fastblur.pipeline.progress import shown
from fastblur.pipeline.summary import Tally

BATCH = 256
PARTS = 20  # of which the interval and the rates over time are made
RECIPE = "ilsvrc"


@dataclass
class Run:
    """What was measured: when how many images were done, seconds of a batch, bytes, memory."""

    done: list[tuple[float, int]]
    batches: list[float]
    batch_images: int
    peak_memory: int
    bytes_read: int
    bytes_written: int
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Beside:
    """Images a second of a floor or a peer, measured on a part in two halves."""

    what: str
    images: int
    halves: list[float]

    @property
    def rate(self) -> float:
        """Of both halves together."""
        return len(self.halves) * self.images / sum(self.halves)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=["operator", "boxes", "detect"], required=True)
    parser.add_argument("--images", type=int, default=1_500_000)
    parser.add_argument("--budget", type=float, help="seconds after which to stop")
    parser.add_argument("--workers", type=int, default=cpus(), help="threads of the operator, processes of the command")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with imagenet-sample")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.images < 1 or arguments.workers < 1:
        parser.error("images and workers are expected to be at least 1")
    workload = load(arguments.data)
    print(f"workload: {workload.source}, streamed with ILSVRC's share of images with faces")
    if arguments.mode == "operator":
        result = operator(workload, arguments)
    else:
        with tempfile.TemporaryDirectory(prefix="fastblur-benchmark-", dir=arguments.scratch) as folder:
            result = command(workload, Path(folder), arguments)
    write_json(arguments.json, "benchmarks.imagenet_scale", {"workload": workload.source, **result})


def operator(workload: Workload, arguments: argparse.Namespace) -> dict[str, Any]:
    """Stream decoded images through `blur`."""
    import torch

    from benchmarks.peers import fastblur_copy, pillow_recipe

    stream = list(workload.stream(4 * BATCH))
    images = [fastblur_copy.image(one.pixels) for one in stream]  # 500 MB and more: no cache holds them
    part = max(1000, min(20_000, arguments.images // 10))
    pillow = [pillow_recipe.image(one.pixels) for one in stream]

    def filtered(i: int) -> None:
        if len(stream[i % len(stream)].boxes):
            pillow_recipe.hide(pillow[i % len(stream)], stream[i % len(stream)].boxes)

    def peer() -> float:
        with ThreadPoolExecutor(arguments.workers) as pool:
            begin = time.perf_counter()
            list(pool.map(filtered, range(part), chunksize=16))
            return time.perf_counter() - begin

    support = {one.name: support_bytes(one) for one in stream}
    touched = sum(support[one.name] for one in stream) / len(stream)  # bytes an image

    def floor() -> float:
        return part * touched / copy_bandwidth(arguments.workers)

    beside = {
        "floor": Beside("support read and written at copy bandwidth", part, []),
        "peer": Beside(f"Pillow recipe, {arguments.workers} threads", part, []),
    }
    sides: dict[str, Callable[[], float]] = {"floor": floor, "peer": peer}
    torch.set_num_threads(arguments.workers)

    def batches() -> Iterator[int]:
        for first in range(0, arguments.images, BATCH):
            place, count = first % len(stream), min(BATCH, arguments.images - first)
            rows = [one.boxes for one in stream[place : place + count]]
            target = images[place : place + count]
            fastblur.blur(target, fastblur.Regions.from_boxes(rows), RECIPE, out=target)
            yield count

    def measured() -> Run:
        next(batches())  # compiled code is loaded
        done, taken, tally = [(0.0, 0)], [], Tally()
        with shown() as show:
            begin = last = time.perf_counter()
            for count in batches():
                now = time.perf_counter()
                taken.append(now - last)
                tally.add({"images": count})
                show(tally, arguments.images)
                done.append((now - begin, tally.images))
                last = time.perf_counter()
                if arguments.budget is not None and last - begin > arguments.budget:
                    break
        half = int(touched * tally.images / 2)
        return Run(done, taken, BATCH, resident(os.getpid()), half, half)

    return told(arguments, *around(sides, beside, measured))


def support_bytes(one: Photograph) -> int:
    """Return how many bytes of a photograph's support must be read and written, by the formula's masks."""
    from tests import formula

    recipe = formula.RECIPES[RECIPE]
    height, width = one.pixels.shape[:2]
    covered = np.zeros((height, width), bool)
    longest = max((formula.longer_side(box) for box in one.boxes), default=0.0)
    for box in one.boxes:
        deviation = recipe["feather"] * longest
        covered |= formula.soft_mask(box, height, width, margin=recipe["margin"], deviation=deviation, shape="box") > 0
    return 2 * 3 * int(covered.sum())


def command(workload: Workload, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the command on a tree of files."""
    print(f"making a tree of {arguments.images} files")
    photographs = list(islice(workload.stream(10_000), arguments.images))
    plant(folder, workload.stream(arguments.images))
    part, workers = min(20_000, arguments.images), arguments.workers
    beside = {"floor": Beside(f"what must be done, {workers} processes", part, [])}
    sides: dict[str, Callable[[], float]] = {"floor": lambda: seconds("needed", folder, part, workers)}
    if arguments.mode == "boxes":
        beside["peer"] = Beside("Pillow script, 1 process", part // 4, [])
        sides["peer"] = lambda: seconds("pillow", folder, part // 4, 1)
        beside["peer_divided"] = Beside(f"Pillow script, {workers} processes", part, [])
        sides["peer_divided"] = lambda: seconds("pillow", folder, part, workers)
        beside["every"] = Beside(f"decode and encode every image, {workers} processes", part, [])
        sides["every"] = lambda: seconds("every", folder, part, workers)
    else:
        some = photographs[: min(100, len(photographs))]
        beside["peer"] = Beside("deface command", len(some), [])
        sides["peer"] = lambda: deface(some, folder)
    return told(arguments, *around(sides, beside, lambda: commanded(folder, arguments)))


def commanded(folder: Path, arguments: argparse.Namespace) -> Run:
    """Run `fastblur run`, watching its memory, its journal and its output."""
    run = [sys.executable, "-m", "fastblur", "run", folder / "images", folder / "out", "--recipe", RECIPE]
    run += ["--workers", arguments.workers, "--json", folder / "summary.json"]
    run += ["--boxes", folder / "boxes.json"] if arguments.mode == "boxes" else []
    ended = folder / "ended"
    remover = [sys.executable, "-c", REMOVER, folder / "out", ended]
    peak = 0
    with subprocess.Popen([str(part) for part in remover], stdout=subprocess.PIPE, text=True) as removing:
        begin, began = time.perf_counter(), time.time()
        with subprocess.Popen([str(part) for part in run], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            stopped = arguments.budget is None
            while process.poll() is None:
                peak = max(peak, resident(process.pid))
                if not stopped and time.perf_counter() - begin > arguments.budget:
                    process.send_signal(signal.SIGTERM)  # it finishes the images in hand
                    stopped = True
                with suppress(subprocess.TimeoutExpired):
                    process.wait(1)
        whole = time.perf_counter() - begin
        ended.touch()
        written = json.loads(removing.communicate()[0])
    if process.returncode not in (0, 143):
        raise SystemExit(f"fastblur run ended with {process.returncode}")
    summary = json.loads((folder / "summary.json").read_text())
    if summary["failed"] or summary["images"] != written["files"]:
        raise SystemExit(f"{written['files']} files were written, expected {summary['images']}: {summary}")
    journal = sorted(
        (entry.stat().st_mtime, json.loads(entry.read_bytes().split(b"\n", 1)[0])["images"])
        for entry in (folder / "out" / ".fastblur" / "journal").iterdir()
    )
    shutil.rmtree(folder / "out")
    done, images = [(max(0.0, whole - summary["seconds"]), 0)], 0  # its start is in the time, not in the rates
    for at, count in journal:
        images += count
        done.append((at - began, images))
    done[-1] = (whole, summary["images"])
    every = 16 if len(done) > 160 else 1  # shards, which several workers finish at about the same time
    times = [at for at, _ in done[::every]]
    sizes = [(folder / "images" / name).stat().st_size for name in names(folder, summary["images"])]
    more = {"without_start_seconds": summary["seconds"], "stages": summary["stages"], "regions": summary["regions"]}
    taken = [after - before for before, after in pairwise(times)]
    return Run(done, taken, every * 256, peak, sum(sizes), written["bytes"], more)


REMOVER = """
import json, os, sys, time
files = size = 0
ended = False
while not ended:
    ended = os.path.exists(sys.argv[2])
    for folder in os.scandir(sys.argv[1]) if os.path.isdir(sys.argv[1]) else ():
        if folder.name != ".fastblur":
            for file in os.scandir(folder):
                files, size = files + 1, size + file.stat().st_size
                os.unlink(file)
    time.sleep(0.5)
print(json.dumps({"files": files, "bytes": size}))
"""


def names(folder: Path, count: int) -> Iterator[str]:
    """Yield the names of the first images of the tree."""
    for i in range(count):
        yield f"n{i // 1000:05}/{i:07}.JPEG"


def around(
    sides: dict[str, Callable[[], float]], beside: dict[str, Beside], measured: Callable[[], Run]
) -> tuple[Run, dict[str, Beside]]:
    """Measure a half of every side, the run, and the other half."""
    for name, side in sides.items():
        beside[name].halves.append(side())
        print(f"{beside[name].what}: {beside[name].rate:,.0f} images a second, before", flush=True)
    run = measured()
    for name, side in sides.items():
        beside[name].halves.append(side())
    return run, beside


def told(arguments: argparse.Namespace, run: Run, beside: dict[str, Beside]) -> dict[str, Any]:
    """Print the table and return the content of the result file."""
    whole, count = run.done[-1]
    rates = over_time(run.done)
    rate = count / whole
    result: dict[str, Any] = {
        "mode": arguments.mode,
        "recipe": RECIPE,
        "images": arguments.images,
        "measured_images": count,
        "seconds": whole,
        "images_per_second": rate,
        "images_per_second_over_time": rates,
        "batch_images": run.batch_images,
        "batch_seconds": {"p50": float(np.percentile(run.batches, 50)), "p99": float(np.percentile(run.batches, 99))},
        "peak_memory_bytes": run.peak_memory,
        "bytes_read": run.bytes_read,
        "bytes_written": run.bytes_written,
        "workers": arguments.workers,
    }
    for name, one in beside.items():
        result[f"{name}_images_per_second"] = one.rate
        result[name] = {"what": one.what, "measured_images": 2 * one.images, "seconds": one.halves}
    result |= run.more
    print(f"{arguments.mode}: {count:,} images in {whole:,.1f} s, {rate:,.0f} a second, {arguments.workers} workers")
    if count < arguments.images:
        start = run.done[0][0]
        low, high = (start + arguments.images / bound for bound in reversed(interval(rates)))
        result["extrapolated_seconds"] = start + arguments.images / statistics.mean(rates)
        result["extrapolated_interval"] = [low, high]
        print(
            f"  EXTRAPOLATED to {arguments.images:,} images: {result['extrapolated_seconds'] / 3600:.2f} h "
            f"(95 % interval {low / 3600:.2f} to {high / 3600:.2f} h)"
        )
    for one in beside.values():
        all_of_it = f"so {arguments.images / one.rate:,.0f} s for all; fastblur {rate / one.rate:.2f} x"
        print(f"  {one.what}: {one.rate:,.0f} images a second (on {2 * one.images:,}), {all_of_it}")
    print(f"  rate over time: {', '.join(f'{value:,.0f}' for value in rates)}")
    p50, p99 = (1000 * result["batch_seconds"][key] for key in ("p50", "p99"))
    print(f"  {run.batch_images} images take {p50:,.1f} ms (p50), {p99:,.1f} ms (p99)")
    print(
        f"  memory {run.peak_memory / 2**20:,.0f} MiB, read {run.bytes_read / 1e9:,.1f} GB, "
        f"written {run.bytes_written / 1e9:,.1f} GB"
    )
    return result


def over_time(done: list[tuple[float, int]]) -> list[float]:
    """Return the images a second of up to `PARTS` parts that follow each other."""
    marks = [done[round(i * (len(done) - 1) / PARTS)] for i in range(PARTS + 1)] if len(done) > PARTS else done
    return [(images - before) / (at - since) for (since, before), (at, images) in pairwise(marks) if at > since]


def interval(rates: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean of these rates."""
    if len(rates) < 2:
        return 0.0, math.inf
    from scipy.stats import t

    mean, spread = statistics.mean(rates), statistics.stdev(rates) / math.sqrt(len(rates))
    reach = float(t.ppf(0.975, len(rates) - 1)) * spread
    return max(mean - reach, 1e-9), mean + reach


if __name__ == "__main__":
    main()

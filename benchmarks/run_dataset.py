"""`fastblur run` on data sets: whole processes beside peers, memory, start, resume, Ray.

    python -m benchmarks.run_dataset [--only NAME ...] [--data DIR] [--scratch DIR] [--workers N] [--repeat N]
                                     [--json FILE]

Sources are copies of the images in DATA; every output goes to a new folder of SCRATCH (/dev/shm leaves the disk out).

- boxes: 2,000 images, boxes given. `fastblur run --boxes` as a process, and what its summary says without the start,
  beside two floors, each a process too, with as many threads: `decode and encode` does so with every image, from and to
  memory but for the first read; `what must be done` decodes and encodes the images with faces and reads and writes the
  others. `Pillow script` is one process that does what the ImageNet team's did.
- detect: 500 images. `fastblur run` as a process beside the command of deface 1.5 (Gaussian blur, its own threshold and
  its default use of all processors).
- memory: the largest sum of the resident memory of all processes of the command (pages shared count in parts), at 2,000
  and 20,000 images.
- start: from the start of the command to the first image written, in a tree of 100,000 files; resume: the same command
  again when all of it is done.
- ray: images a second between the first and the last shard, so without the start: two workers of one core each over
  a local run of one worker (pip install 'fastblur[ray]').
"""

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measure import DATA, ROOT, cpus, write_json

FASTBLUR = [sys.executable, "-m", "fastblur", "run"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measures = {"boxes": boxes, "detect": detect, "memory": memory, "start": start, "ray": ray}
    parser.add_argument("--only", nargs="+", choices=list(measures), metavar="NAME", default=list(measures))
    parser.add_argument("--data", type=Path, default=DATA / "imagenet-sample", help="images and face_annotations.json")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--workers", type=int, default=cpus())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", choices=["every", "needed", "pillow"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peer:
        peer(arguments.peer, arguments.scratch, arguments.workers)
        return
    results: dict[str, Any] = {}
    for name in arguments.only:
        with tempfile.TemporaryDirectory(prefix="fastblur-benchmark-", dir=arguments.scratch) as folder:
            results[name] = measures[name](Path(folder), arguments)
    write_json(arguments.json, "benchmarks.run_dataset", results)


def tree(folder: Path, data: Path, images: int) -> None:
    """Make folder/images of so many copies of the images in `data`, and folder/boxes.json."""
    entries = json.loads((data / "face_annotations.json").read_text())
    listed = []
    for i in range(images):
        entry = entries[i % len(entries)]
        url = f"{i // len(entries):04}/{entry['url']}"
        target = folder / "images" / url
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(data / entry["url"], target)
        listed.append({**entry, "url": url})
    (folder / "boxes.json").write_text(json.dumps(listed))


def seconds(command: list[Any], folder: Path) -> float:
    """Return how long a command takes, writing to folder/out, which is removed."""
    begin = time.perf_counter()
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - begin
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    shutil.rmtree(folder / "out", ignore_errors=True)
    return taken


def in_turns(sides: dict[str, Callable[[], float]], repeat: int) -> dict[str, float]:
    """Return the median of what each side tells, after a first turn that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeat + 1):
        for name, side in sides.items():
            value = side()
            if turn:
                taken[name].append(value)
    return {name: statistics.median(values) for name, values in taken.items()}


def boxes(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    tree(folder, arguments.data, 2000)
    run = [*FASTBLUR, folder / "images", folder / "out", "--boxes", folder / "boxes.json"]
    run += ["--workers", arguments.workers, "--json", folder / "summary.json"]
    within: list[float] = []

    def fastblur() -> float:
        taken = seconds(run, folder)
        within.append(json.loads((folder / "summary.json").read_text())["seconds"])
        return taken

    def other(kind: str) -> Callable[[], float]:
        command = [sys.executable, "-m", "benchmarks.run_dataset", "--peer", kind, "--scratch", folder]
        return lambda: seconds([*command, "--workers", arguments.workers], folder)

    sides = {"fastblur run": fastblur, "decode and encode": other("every"), "what must be done": other("needed")}
    taken = in_turns({**sides, "Pillow script": other("pillow")}, arguments.repeat)
    run_within = statistics.median(within[1:])
    alone = {name: json.loads((folder / f"{kind}.json").read_text()) for name, kind in PEERS.items()}
    print(f"boxes: 2000 images, {arguments.workers} workers, median of {arguments.repeat}")
    print(f"  {'':20} {'whole process':>14} {'':>12} {'without start':>14}")
    for name, whole in taken.items():
        inside = run_within if name == "fastblur run" else alone[name]
        print(
            f"  {name:20} {2000 / whole:8.0f} image/s {whole / taken['fastblur run']:6.2f} x fastblur "
            f"{2000 / inside:8.0f} image/s {inside / run_within:6.2f} x fastblur"
        )
    return {
        "images": 2000,
        "seconds_whole_process": taken,
        "seconds_without_start": {"fastblur run": run_within, **alone},
    }


PEERS = {"decode and encode": "every", "what must be done": "needed", "Pillow script": "pillow"}


def peer(kind: str, folder: Path, workers: int) -> None:
    """Do what a side of `boxes` does, in this process, and leave the seconds without the start in folder/KIND.json."""
    entries = json.loads((folder / "boxes.json").read_text())
    work = {"every": _every, "needed": _needed, "pillow": _pillow}[kind](folder)
    begin = time.perf_counter()
    if kind == "pillow":
        for entry in entries:
            work(entry)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(work, entries))
    (folder / f"{kind}.json").write_text(json.dumps(time.perf_counter() - begin))


def _every(folder: Path) -> Callable[[dict[str, Any]], None]:
    from fastblur.codecs import decode, encode

    def work(entry: dict[str, Any]) -> None:
        picture = decode((folder / "images" / entry["url"]).read_bytes())
        encode(picture, picture.pixels)

    return work


def _needed(folder: Path) -> Callable[[dict[str, Any]], None]:
    from fastblur.codecs import decode, encode

    def work(entry: dict[str, Any]) -> None:
        content = (folder / "images" / entry["url"]).read_bytes()
        if entry["bboxes"]:
            picture = decode(content)
            content = encode(picture, picture.pixels)
        target = folder / "out" / entry["url"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)

    return work


def _pillow(folder: Path) -> Callable[[dict[str, Any]], None]:
    import numpy as np
    from PIL import Image

    from benchmarks.pillow_recipe import pillow_recipe

    def work(entry: dict[str, Any]) -> None:
        source, target = folder / "images" / entry["url"], folder / "out" / entry["url"]
        target.parent.mkdir(parents=True, exist_ok=True)
        if not entry["bboxes"]:
            shutil.copyfile(source, target)
            return
        image = Image.open(source)
        rows = np.array([[box["x0"], box["y0"], box["x1"], box["y1"]] for box in entry["bboxes"]])
        file = io.BytesIO()
        pillow_recipe(image.convert("RGB"), rows).save(file, "JPEG", quality=95)
        target.write_bytes(file.getvalue())

    return work


def detect(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    tree(folder, arguments.data, 500)
    images = sorted((folder / "images").rglob("*.JPEG"))
    # deface writes beside its input, so it gets a folder of its own each time.
    flat = folder / "flat"

    def deface() -> float:
        shutil.rmtree(flat, ignore_errors=True)
        flat.mkdir()
        for i, image in enumerate(images):
            shutil.copyfile(image, flat / f"{i:05}.jpg")
        taken = seconds(["deface", *sorted(flat.iterdir()), "--backend", "onnxrt"], folder)
        if len(list(flat.glob("*_anonymized*"))) != len(images):
            raise SystemExit("deface did not write all images")
        return taken

    run = [*FASTBLUR, folder / "images", folder / "out", "--workers", arguments.workers]
    taken = in_turns({"fastblur run": lambda: seconds(run, folder), "deface": deface}, max(1, arguments.repeat // 2))
    ratio = taken["deface"] / taken["fastblur run"]
    rates = ", ".join(f"{name} {500 / value:.1f} images a second" for name, value in taken.items())
    print(f"detect: 500 images, whole processes: {rates}: {ratio:.2f} x")
    return {"images": 500, "seconds": taken, "ratio": ratio}


def memory(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    peaks = {}
    for images in (2000, 20000):
        shutil.rmtree(folder / "images", ignore_errors=True)
        tree(folder, arguments.data, images)
        command = [*FASTBLUR, folder / "images", folder / "out", "--boxes", folder / "boxes.json"]
        with subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL) as process:
            peak = 0
            while process.poll() is None:
                peak = max(peak, resident(process.pid))
                time.sleep(0.05)
        shutil.rmtree(folder / "out")
        peaks[str(images)] = peak / 2**20
    ratio = peaks["20000"] / peaks["2000"]
    print(f"memory: {peaks['2000']:.0f} MiB at 2,000 images, {peaks['20000']:.0f} MiB at 20,000: {ratio:.2f}")
    return {"mebibytes": peaks, "ratio": ratio}


def resident(pid: int) -> int:
    """Return the resident memory of a process and all below it, in bytes; what they share counts once."""
    total = 0
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total = next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(resident(int(child)) for child in (task / "children").read_text().split())
    except (OSError, StopIteration):
        pass
    return total


def start(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
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
    command = [*FASTBLUR, folder / "images", folder / "out", "--boxes", folder / "boxes.json"]
    first: list[float] = []

    def watch(begin: float) -> None:
        while not first:
            if any((folder / "out").glob("*/*.jpg")):
                first.append(time.perf_counter() - begin)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch, args=(time.perf_counter(),))
    watcher.start()
    begin = time.perf_counter()
    subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begin
    watcher.join()
    again = []
    for _ in range(arguments.repeat):
        begin = time.perf_counter()
        subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        again.append(time.perf_counter() - begin)
    resume = statistics.median(again)
    print(f"start: 100,000 files: first image after {first[0]:.1f} s, all after {whole:.1f} s, resume {resume:.1f} s")
    return {"first_image_seconds": first[0], "whole_seconds": whole, "resume_seconds": resume}


def ray(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    from fastblur.pipeline import run

    tree(folder, arguments.data, 20_000)

    def rate(**options: Any) -> float:
        told: list[tuple[float, int]] = []

        def show(tally: Any, _total: int | None) -> None:
            if not told or told[-1][1] != tally.images:
                told.append((time.perf_counter(), tally.images))

        run(folder / "images", folder / "out", boxes=folder / "boxes.json", progress=show, **options)
        shutil.rmtree(folder / "out")
        (first, none), (last, all_images) = next(entry for entry in told if entry[1]), told[-1]
        return (all_images - none) / (last - first)

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    rates = {"one local worker": rate(workers=1), "two Ray workers": rate(engine="ray", workers=2)}
    ratio = rates["two Ray workers"] / rates["one local worker"]
    told = ", ".join(f"{name} {value:.0f} images a second" for name, value in rates.items())
    print(f"ray: 20,000 images: {told}: {ratio:.2f} x")
    return {"images_a_second": rates, "ratio": ratio}


if __name__ == "__main__":
    main()

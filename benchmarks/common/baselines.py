"""Whole jobs from files to files: the trees that they work on, and the sides that fastblur is held against.

Every side but the deface command works on FOLDER/images with the boxes of FOLDER/boxes.json and runs as a process of
its own, `python -m benchmarks.common.baselines SIDE FOLDER IMAGES PROCESSES`, which prints the seconds without start:

- `every`: decode and encode every image, from its file to memory.
- `needed`: what must be done: decode and encode the images with faces, read and write the files of all.
- `pillow`: the ImageNet team's script, one image after the other: decode, the Pillow recipe, encode at quality 95;
  files of images without faces are copied.

Each is divided between so many processes, image by image, with no queue, journal or check between: a floor. Decoding
and encoding are those of fastblur's codecs (libjpeg-turbo), for `pillow` those of Pillow.
"""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.common.measure import ROOT
from benchmarks.common.workloads import Photograph

DISTINCT = 2000  # files that differ: more than the processor's caches hold


def plant(folder: Path, photographs: Iterable[Photograph], a_folder: int = 1000) -> int:
    """Make folder/images of these photographs, so many a folder, and folder/boxes.json; return how many.

    The first `DISTINCT` of them are files of their own, the later ones links to those with the same content.
    """
    first: dict[str, list[Path]] = {}
    total = 0
    with open(folder / "boxes.json", "w") as boxes:
        for i, one in enumerate(photographs):
            if i % a_folder == 0:
                (folder / "images" / f"n{i // a_folder:05}").mkdir(parents=True)
            name = f"n{i // a_folder:05}/{i:07}.JPEG"
            alike, path = first.setdefault(one.name, []), folder / "images" / name
            if i < DISTINCT or not alike:
                path.write_bytes(one.jpeg)
                alike.append(path)
            else:
                os.link(alike[i % len(alike)], path)
            boxes.write(("[" if i == 0 else ",\n") + json.dumps({"url": name, **one.entry}))
            total += 1
        boxes.write("]\n")
    return total


def seconds(side: str, folder: Path, images: int, processes: int) -> float:
    """Return how long a side works on the first `images` of `folder`."""
    command = [sys.executable, "-m", "benchmarks.common.baselines", side, str(folder), str(images), str(processes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    return float(done.stdout)


def deface(photographs: list[Photograph], folder: Path) -> float:
    """Return the seconds of the deface command (its own threshold and blur, all processors) on these photographs."""
    flat = folder / "flat"
    flat.mkdir()
    for i, one in enumerate(photographs):
        (flat / f"{i:05}.jpg").write_bytes(one.jpeg)
    files = sorted(flat.iterdir())
    begin = time.perf_counter()
    subprocess.run(["deface", *files, "--backend", "onnxrt"], check=True, capture_output=True)
    taken = time.perf_counter() - begin
    written = len(list(flat.glob("*_anonymized*")))
    shutil.rmtree(flat)
    if written != len(files):
        raise SystemExit(f"deface wrote {written} of {len(files)} images")
    return taken


def main() -> None:
    side, folder, images, processes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    entries = []
    with open(folder / "boxes.json") as lines:  # an entry a line, as `plant` writes them
        for line in lines:
            if len(entries) == images:
                break
            entries.append(json.loads(line.strip().strip("[],")))
    out = folder / "out"
    for name in {os.path.dirname(entry["url"]) for entry in entries}:
        (out / name).mkdir(parents=True)
    work = {"every": every, "needed": needed, "pillow": pillow}[side]
    context = multiprocessing.get_context("fork")
    ready, go = context.Barrier(processes + 1), context.Barrier(processes + 1)

    def part(number: int) -> None:
        do = work(folder / "images", out)
        ready.wait()
        go.wait()
        for entry in entries[number::processes]:
            do(entry)

    workers = [context.Process(target=part, args=(number,)) for number in range(processes)]
    for worker in workers:
        worker.start()
    ready.wait()
    begin = time.perf_counter()
    go.wait()
    for worker in workers:
        worker.join()
    taken = time.perf_counter() - begin
    shutil.rmtree(out)
    if any(worker.exitcode for worker in workers):
        raise SystemExit(f"a process of {side} failed")
    print(taken)


def every(images: Path, out: Path) -> Callable[[dict[str, Any]], None]:
    from fastblur.codecs import decode, encode

    def do(entry: dict[str, Any]) -> None:
        picture = decode((images / entry["url"]).read_bytes())
        encode(picture, picture.pixels)

    return do


def needed(images: Path, out: Path) -> Callable[[dict[str, Any]], None]:
    from fastblur.codecs import decode, encode

    def do(entry: dict[str, Any]) -> None:
        content = (images / entry["url"]).read_bytes()
        if entry["bboxes"]:
            picture = decode(content)
            content = encode(picture, picture.pixels)
        (out / entry["url"]).write_bytes(content)

    return do


def pillow(images: Path, out: Path) -> Callable[[dict[str, Any]], None]:
    from PIL import Image

    from benchmarks.common.workloads import rows
    from benchmarks.peers.pillow_recipe import hide

    def do(entry: dict[str, Any]) -> None:
        source, target = images / entry["url"], out / entry["url"]
        if entry["bboxes"]:
            hide(Image.open(source).convert("RGB"), rows(entry["bboxes"])).save(target, "JPEG", quality=95)
        else:
            shutil.copyfile(source, target)

    return do


if __name__ == "__main__":
    main()

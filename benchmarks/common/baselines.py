"""Whole jobs from files to files: the trees that they work on, the command, and what it is compared with.

Every side but the deface command works on FOLDER/images with the boxes of FOLDER/boxes.json:

- `every`: decode and encode every image, from its file to memory.
- `needed`: what must be done: decode and encode the images with faces, read and write the files of all.
- `needed_from_memory`: the same, but the files of images with faces are in memory already, and the results stay there.
- `pillow`: the ImageNet team's script, one image after the other: decode, the Pillow recipe, encode at quality 95;
  files of images without faces are copied.

`seconds` divides a side between processes, image by image, with no queue, journal or check: a floor. They run as
`python -m benchmarks.common.baselines SIDE FOLDER IMAGES PROCESSES`, which prints the seconds without the start.
Decoding and encoding are those of fastblur's codecs (libjpeg-turbo), for `pillow` those of Pillow.
"""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.common.measure import ROOT, seconds_of
from benchmarks.common.workloads import Photograph, box_array
from fastblur.codecs import decode, encode

DISTINCT = 2000  # files that differ: more than the processor's caches hold

Entry = dict[str, Any]  # "url": the name below FOLDER/images; "bboxes": a list of {"x0", "y0", "x1", "y1"}


def make_tree(folder: Path, photographs: Iterable[Photograph], images_per_folder: int = 1000) -> None:
    """Make folder/images of these photographs, and folder/boxes.json.

    The first `DISTINCT` of them are files of their own, the later ones links to those with the same content.
    """
    first: dict[str, list[Path]] = {}
    with open(folder / "boxes.json", "w") as boxes:
        for i, one in enumerate(photographs):
            name = image_name(i, images_per_folder)
            path = folder / "images" / name
            if i % images_per_folder == 0:
                path.parent.mkdir(parents=True)
            copies = first.setdefault(one.name, [])
            if i < DISTINCT or not copies:
                path.write_bytes(one.jpeg)
                copies.append(path)
            else:
                os.link(copies[i % len(copies)], path)
            boxes.write(("[" if i == 0 else ",\n") + json.dumps({"url": name, **one.entry}))
        boxes.write("]\n")


def image_name(i: int, images_per_folder: int = 1000) -> str:
    """Return the name of the tree's i-th image."""
    return f"n{i // images_per_folder:05}/{i:07}.JPEG"


def read_entries(folder: Path, images: int | None = None) -> list[Entry]:
    """Return the first entries of folder/boxes.json, which `make_tree` wrote one a line."""
    with open(folder / "boxes.json") as lines:
        return [json.loads(line.strip().strip("[],")) for line in islice(lines, images)]


def run_arguments(folder: Path, *options: object, boxes: bool = True) -> list[str]:
    """Return the command `fastblur run` from folder/images to folder/out, with its summary in folder/summary.json."""
    command = [sys.executable, "-m", "fastblur", "run", folder / "images", folder / "out"]
    command += ["--json", folder / "summary.json", *(["--boxes", folder / "boxes.json"] if boxes else []), *options]
    return [str(part) for part in command]


def seconds_of_run(
    folder: Path, *options: object, boxes: bool = True, tree: Path = ROOT
) -> tuple[float, dict[str, Any]]:
    """Return how long `fastblur run` of a checkout takes as a process, and its summary; what it wrote is removed."""
    command = run_arguments(folder, *options, boxes=boxes)
    taken = seconds_of(lambda: checked(command, tree))
    shutil.rmtree(folder / "out")
    return taken, json.loads((folder / "summary.json").read_text())


def seconds(side: str, folder: Path, images: int, processes: int) -> float:
    """Return how long a side works on the first `images` of `folder`."""
    command = [sys.executable, "-m", "benchmarks.common.baselines", side, str(folder), str(images), str(processes)]
    return float(checked(command))


def checked(command: list[str], tree: Path = ROOT, **variables: str) -> str:
    """Run a command of a checkout and return what it prints; SystemExit with what it says where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(tree), **variables}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def deface(photographs: list[Photograph], folder: Path) -> float:
    """Return the seconds of the deface command (its own threshold and blur, all processors) on these photographs."""
    flat = folder / "flat"
    flat.mkdir()
    for i, one in enumerate(photographs):
        (flat / f"{i:05}.jpg").write_bytes(one.jpeg)
    files = sorted(str(path) for path in flat.iterdir())
    taken = seconds_of(lambda: checked(["deface", *files, "--backend", "onnxrt"]))
    written = len(list(flat.glob("*_anonymized*")))
    shutil.rmtree(flat)
    if written != len(files):
        raise SystemExit(f"deface wrote {written} of {len(files)} images")
    return taken


def make_folders(out: Path, entries: list[Entry]) -> None:
    for name in {os.path.dirname(entry["url"]) for entry in entries}:
        (out / name).mkdir(parents=True)


def main() -> None:
    side, folder, images, processes = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    entries, out = read_entries(folder, images), folder / "out"
    make_folders(out, entries)
    do = SIDES[side](folder / "images", out, entries)
    parts.extend((do, entries[i::processes]) for i in range(processes))
    with multiprocessing.get_context("fork").Pool(processes) as pool:  # the workers have `parts`
        pool.map(abs, range(processes), chunksize=1)  # they have started
        print(seconds_of(lambda: pool.map(do_part, range(processes), chunksize=1)))
    shutil.rmtree(out)


parts: list[tuple[Callable[[Entry], object], list[Entry]]] = []


def do_part(number: int) -> None:
    do, entries = parts[number]
    for entry in entries:
        do(entry)


def every(images: Path, out: Path, entries: list[Entry]) -> Callable[[Entry], object]:
    return lambda entry: encoded((images / entry["url"]).read_bytes())


def needed(images: Path, out: Path, entries: list[Entry]) -> Callable[[Entry], object]:
    def do(entry: Entry) -> None:
        content = (images / entry["url"]).read_bytes()
        (out / entry["url"]).write_bytes(encoded(content) if entry["bboxes"] else content)

    return do


def needed_from_memory(images: Path, out: Path, entries: list[Entry]) -> Callable[[Entry], object]:
    memory = {entry["url"]: (images / entry["url"]).read_bytes() for entry in entries if entry["bboxes"]}
    other = needed(images, out, entries)
    return lambda entry: encoded(memory[entry["url"]]) if entry["bboxes"] else other(entry)


def pillow(images: Path, out: Path, entries: list[Entry]) -> Callable[[Entry], object]:
    from PIL import Image

    from benchmarks.peers.pillow_recipe import hide

    def do(entry: Entry) -> None:
        source, target = images / entry["url"], out / entry["url"]
        if entry["bboxes"]:
            hide(Image.open(source).convert("RGB"), box_array(entry["bboxes"])).save(target, "JPEG", quality=95)
        else:
            shutil.copyfile(source, target)

    return do


def encoded(content: bytes) -> bytes:
    """Decode a file and encode it as fastblur does: with its own tables and subsampling."""
    picture = decode(content)
    return encode(picture, picture.pixels)


SIDES = {"every": every, "needed": needed, "needed_from_memory": needed_from_memory, "pillow": pillow}


if __name__ == "__main__":
    main()

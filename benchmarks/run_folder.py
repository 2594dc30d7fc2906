"""`fastblur run --boxes` on a folder of ImageNet images against decoding and encoding alone, with as many threads.

    python -m benchmarks.run_folder [--data DIR] [--workers N] [--repeat N] [--scratch DIR] [--json FILE]

Both sides run in this process, in turns, on the same files, after a first round that is not counted; the figures are
medians. Start-up is left out on both sides: reading the box file, compiling the operator, starting Python.

- run: `fastblur.pipeline.run` with the boxes and the default recipe into an empty folder; the time from the first image
  listed to the last one written, as its summary gives it. It lists the tree, reads every image, decodes, blurs, encodes
  and writes those with regions, copies the others; every write goes to a temporary file that is then
  renamed. Bringing all files to the disk at the end is not in the time, nor in the floor's.
- floor: the same number of threads that take file names from a ready list. An image with regions, its bytes already in
  memory, is decoded and encoded by the same codecs with the same tables, and the result dropped; any other image is
  read and written with one plain call each, nothing renamed.
- floor with files: the same, but images with regions are also read and written plainly.

The second table has only the images with regions.
"""

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.common.measure import DATA, cpus, write_json
from fastblur.annotations.readers import read_ilsvrc
from fastblur.codecs import decode, encode
from fastblur.pipeline import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=DATA / "imagenet-sample", help="folder with the images and face_annotations.json"
    )
    parser.add_argument("--workers", type=int, default=cpus())
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--scratch", type=Path, help="where both sides write; /dev/shm leaves the disk out")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    boxes = arguments.data / "face_annotations.json"
    with_regions = {key: len(found) > 0 for key, found in read_ilsvrc(boxes)}
    faces = {key: True for key, has in with_regions.items() if has}
    with tempfile.TemporaryDirectory(prefix="fastblur-benchmark-", dir=arguments.scratch) as name:
        scratch = Path(name)
        for key in faces:  # a tree of its own for the second table
            copy = scratch / "faces" / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(arguments.data / key, copy)
        tables = {
            "all images": compare(arguments.data, with_regions, boxes, scratch, arguments.workers, arguments.repeat),
            "images with regions": compare(
                scratch / "faces", faces, boxes, scratch, arguments.workers, arguments.repeat
            ),
        }
    for title, table in tables.items():
        print(f"{title}: {table['images']} images, {arguments.workers} threads, median of {arguments.repeat}")
        for side in ("run", "floor", "floor with files"):
            print(f"  {side:17} {table['images_a_second'][side]:8.1f} images a second")
        for side, ratio in table["ratio"].items():
            print(f"  run over {side:17} {ratio:5.2f}")
    results = {"workers": arguments.workers, "repeat": arguments.repeat, "tables": tables}
    write_json(arguments.json, "benchmarks.run_folder", results)


def compare(data: Path, images: dict[str, bool], boxes: Path, scratch: Path, workers: int, repeat: int) -> dict:
    """Time the run over `data` and both floors, in turns; `images` says of each key whether it has regions."""
    memory = {key: (data / key).read_bytes() for key, has in images.items() if has}

    def time_run(out: Path) -> float:
        summary = run(data, out, boxes=boxes, workers=workers, device="cpu")
        if summary.images != len(images) or summary.failed or summary.with_regions != len(memory):
            raise SystemExit(f"the run did not do what is measured: {summary}")
        return summary.seconds

    def alone(key: str, target: Path) -> None:
        if key in memory:
            picture = decode(memory[key])
            encode(picture, picture.pixels)
        else:
            target.write_bytes((data / key).read_bytes())

    def with_files(key: str, target: Path) -> None:
        content = (data / key).read_bytes()
        if key in memory:
            picture = decode(content)
            content = encode(picture, picture.pixels)
        target.write_bytes(content)

    sides: dict[str, Callable[[Path], float]] = {
        "run": time_run,
        "floor": lambda out: time_floor(alone, list(images), out, workers),
        "floor with files": lambda out: time_floor(with_files, list(images), out, workers),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(repeat + 1):
        for side, measure in sides.items():
            out = scratch / "out"
            taken = measure(out)
            shutil.rmtree(out)
            if turn:
                seconds[side].append(taken)
    median = {side: statistics.median(taken) for side, taken in seconds.items()}
    return {
        "images": len(images),
        "with_regions": len(memory),
        "images_a_second": {side: len(images) / taken for side, taken in median.items()},
        "ratio": {side: median[side] / median["run"] for side in ("floor", "floor with files")},
        "seconds": seconds,
    }


def time_floor(work: Callable[[str, Path], None], keys: list[str], out: Path, workers: int) -> float:
    """Return the seconds that `workers` threads take to do `work` on all keys; folders are made beforehand."""
    targets = [out / key for key in keys]
    for folder in {target.parent for target in targets}:
        folder.mkdir(parents=True)
    left = iter(zip(keys, targets, strict=True))
    lock = threading.Lock()

    def worker() -> None:
        while True:
            with lock:
                taken = next(left, None)
            if taken is None:
                return
            work(*taken)

    threads = [threading.Thread(target=worker) for _ in range(workers)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

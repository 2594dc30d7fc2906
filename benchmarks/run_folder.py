"""`fastblur run --boxes` on a small folder against decoding and encoding alone, with as many threads.

    python -m benchmarks.run_folder [--data DIR] [--workers N] [--repeat N] [--scratch DIR] [--json FILE]

All sides run in this process, in turns, on the same files, after a first turn that is not counted; the figures are
medians. The start is left out everywhere: reading the box file, compiling the operator, starting Python.

- run: `fastblur.pipeline.run` with the boxes and the default recipe into an empty folder; the time from the first image
  listed to the last one written, as its summary gives it. It lists the tree, reads every image, decodes, blurs, encodes
  and writes those with regions, copies the others; every write goes to a temporary file that is then renamed.
- floor: `needed_from_memory` of common/baselines.py on as many threads.
- floor with files: `needed`.

The second table has only the images with regions.
"""

import argparse
import shutil
from collections.abc import Callable
from typing import Any

from benchmarks.common import baselines
from benchmarks.common.command import parser, scratch_folder, write_json
from benchmarks.common.measure import medians, seconds_on_threads, values_in_turns
from benchmarks.common.workloads import Photograph, load
from fastblur.pipeline import run


def main() -> None:
    arguments = parser(__doc__, repeat=15, workers=True, scratch=True).parse_args()
    workload = load(arguments.data)
    tables = {
        "all images": compare(workload.photographs, arguments),
        "images with regions": compare(workload.with_faces, arguments),
    }
    for title, table in tables.items():
        print(f"{title}: {table['images']} images, {arguments.workers} threads, median of {arguments.repeat}")
        for side, rate in table["images_a_second"].items():
            print(f"  {side:17} {rate:8.1f} images a second")
        for side, ratio in table["ratio"].items():
            print(f"  run over {side:17} {ratio:5.2f}")
    results = {"workers": arguments.workers, "repeat": arguments.repeat, "tables": tables}
    write_json(arguments.json, "benchmarks.run_folder", {"workload": workload.source, **results})


def compare(photographs: list[Photograph], arguments: argparse.Namespace) -> dict[str, Any]:
    """Time the run and both floors on a tree of these photographs."""
    with_regions = sum(len(one.boxes) > 0 for one in photographs)
    with scratch_folder(arguments) as folder:
        baselines.make_tree(folder, photographs)
        images, out, entries = folder / "images", folder / "out", baselines.read_entries(folder)

        def time_run() -> float:
            boxes = folder / "boxes.json"
            summary = run(images, out, boxes=boxes, workers=arguments.workers, device="cpu", engine="threads")
            shutil.rmtree(out)
            if summary.images != len(entries) or summary.failed or summary.with_regions != with_regions:
                raise SystemExit(f"the run did not do what is measured: {summary}")
            return summary.seconds

        def floor(side: str) -> Callable[[], float]:
            do = baselines.SIDES[side](images, out, entries)

            def taken() -> float:
                baselines.make_folders(out, entries)
                seconds = seconds_on_threads(do, entries, arguments.workers)
                shutil.rmtree(out)
                return seconds

            return taken

        sides = {"run": time_run, "floor": floor("needed_from_memory"), "floor with files": floor("needed")}
        seconds = values_in_turns(sides, arguments.repeat)
    median = medians(seconds)
    return {
        "images": len(entries),
        "with_regions": with_regions,
        "images_a_second": {side: len(entries) / taken for side, taken in median.items()},
        "ratio": {side: median[side] / median["run"] for side in ("floor", "floor with files")},
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()

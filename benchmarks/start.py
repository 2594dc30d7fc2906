"""How long the whole command takes for ten images, over what Python takes to import torch.

    python -m benchmarks.start [--data DIR] [--repeat N] [--json FILE] [--only NAME ...] [--scratch DIR]

All sides are processes, in turns, on the same ten files, after a first turn that is not counted and compiles what is
not yet on the disk; the figures are medians.

- torch: `python -c "import torch"`.
- boxes: `fastblur run` with a box in every second image.
- detector: `fastblur run` with the default detector.

`wall` is the time from start to end; `processor` is user and system time, which other processes disturb less.
"""

import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.common.baselines import make_tree
from benchmarks.common.command import parser, scratch_folder, write_json
from benchmarks.common.measure import ROOT, medians, values_in_turns
from benchmarks.common.workloads import load

IMAGES = 10


def main() -> None:
    arguments = parser(__doc__, repeat=11, only=("boxes", "detector"), scratch=True).parse_args()
    with scratch_folder(arguments) as folder:
        make_tree(folder, load(arguments.data).photographs[:IMAGES])
        run = [sys.executable, "-m", "fastblur", "run", str(folder / "images"), str(folder / "out"), "--device", "cpu"]
        commands = {
            "torch": [sys.executable, "-c", "import torch"],
            "boxes": [*run, "--boxes", str(folder / "boxes.json")],
            "detector": run,
        }
        walls: dict[str, list[float]] = {"torch": [], **{name: [] for name in arguments.only}}
        sides = {name: lambda name=name: processor_seconds(commands[name], folder, walls[name]) for name in walls}
        processor = values_in_turns(sides, arguments.repeat)
    wall = {name: taken[1:] for name, taken in walls.items()}
    ratios = {}
    for name in arguments.only:
        ratios[name] = {
            kind: medians(taken)[name] / medians(taken)["torch"]
            for kind, taken in (("wall", wall), ("processor", processor))
        }
        print(f"{name:9} {ratios[name]['wall']:5.2f} x import torch, processor time {ratios[name]['processor']:5.2f} x")
    seconds = {"wall": wall, "processor": processor}
    write_json(arguments.json, "benchmarks.start", {"images": IMAGES, "ratio": ratios, "seconds": seconds})


def processor_seconds(command: list[str], folder: Path, walls: list[float]) -> float:
    """Return the user and system time of a command and its children, and note how long it took."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    walls.append(time.perf_counter() - begin)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()

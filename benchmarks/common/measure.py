"""Time and memory: sides measured in turns, the bandwidth of copying, the memory of processes."""

import math
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("FASTBLUR_TEST_DATA", ROOT.parent / "shared"))


def seconds_of(work: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def values_in_turns(sides: Mapping[str, Callable[[], float]], repeat: int) -> dict[str, list[float]]:
    """Call every side once a turn and return its values, without those of a first turn, which only warms up."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeat + 1):
        for name, side in sides.items():
            value = side()
            if turn:
                values[name].append(value)
    return values


def in_turns(sides: Mapping[str, Callable[[], Any]], repeat: int) -> dict[str, list[float]]:
    """Time every side once a turn and return its seconds, without those of a first turn, which only warms up."""
    return values_in_turns({name: lambda side=side: seconds_of(side) for name, side in sides.items()}, repeat)


def medians(values: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the median of each side's values."""
    return {name: statistics.median(taken) for name, taken in values.items()}


def seconds_on_threads(work: Callable[[Any], Any], items: Iterable[Any], threads: int) -> float:
    """Return how long so many threads take for all items, each thread taking the next one when it is free."""
    with ThreadPoolExecutor(threads) as pool:
        return seconds_of(lambda: list(pool.map(work, items)))


def copy_bandwidth(threads: int, size: int = 1 << 28, repeat: int = 5) -> float:
    """Return the bytes a second, read and written, that so many threads copy in memory; the best of `repeat`."""
    sources = [np.ones(size // threads, np.uint8) for _ in range(threads)]
    targets = [np.zeros_like(source) for source in sources]
    best = math.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeat + 1):
            best = min(best, seconds_of(lambda: list(pool.map(np.copyto, targets, sources))))
    return 2 * threads * (size // threads) / best


def resident_memory(pid: int) -> int:
    """Return the resident memory of a process and all its descendants, in bytes; pages that they share count once."""
    total = 0
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total = next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(resident_memory(int(child)) for child in (task / "children").read_text().split())
    except (OSError, StopIteration):
        pass
    return total


def peak_memory(process: subprocess.Popen[Any], period: float, budget: float = math.inf) -> int:
    """Wait for a process, looking every `period` seconds; return the largest resident memory seen, in bytes.

    After `budget` seconds the process gets SIGTERM, once: `fastblur run` then finishes the images that it works on.
    """
    begin, peak = time.perf_counter(), 0
    while process.poll() is None:
        peak = max(peak, resident_memory(process.pid))
        if time.perf_counter() - begin > budget:
            process.send_signal(signal.SIGTERM)
            budget = math.inf
        with suppress(subprocess.TimeoutExpired):
            process.wait(period)
    return peak

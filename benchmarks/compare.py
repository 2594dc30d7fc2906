"""What got slower from one result file to another, beyond their noise.

    python -m benchmarks.compare OLD.json NEW.json [OLD.json NEW.json ...] [--tolerance 0.05]

Takes result files of benchmarks.operators, benchmarks.scaling and benchmarks.suites, and what pytest writes with
--benchmark-json. Several pairs, measured in turns (old, new, old, new), make the noise between runs part of it. For
each measurement in both files the ratio of the medians is taken, divided by how much the peers got slower: they did not
change, so that is the machine. Its noise is the 99 % interval of that ratio when the turns are drawn again and again
with replacement (bootstrap), the pairs among them. A measurement is slower when the whole interval lies above
1 + tolerance. Exit status: 0, 1 if anything got slower, 2 for files that do not fit.
"""

import argparse
import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np

Samples = dict[str, list[np.ndarray]]  # measurement -> the seconds of each turn, pair by pair
DRAWS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--tolerance", type=float, default=0.05, help="part of the old time that is no regression")
    arguments = parser.parse_args()
    if len(arguments.files) % 2:
        parser.error("an odd number of files, expected pairs of OLD NEW")
    try:
        old, new = ({} for _ in range(2))
        for i, path in enumerate(arguments.files):
            for name, values in samples(json.loads(path.read_text())).items():
                (new if i % 2 else old).setdefault(name, []).append(values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"{path} is no result file that can be compared ({error})")
    both = [name for name in old if name in new and len(old[name]) == len(new[name])]
    if not both:
        parser.error("the files have no measurement in common")
    drift = machine_drift(old, new, both)
    print(f"{len(both)} measurements in both; the peers take {drift:.2f} x as long, by which the ratios are divided")
    slower = 0
    for name in both:
        ratio, low, high = ratio_and_interval(old[name], new[name], drift)
        if low > 1 + arguments.tolerance:
            slower += 1
            print(f"SLOWER  {name}: {ratio:.2f} x ({low:.2f} to {high:.2f})")
        elif high < 1 - arguments.tolerance:
            print(f"faster  {name}: {ratio:.2f} x ({low:.2f} to {high:.2f})")
    print(f"{slower} got slower by more than {arguments.tolerance:.0%} beyond the noise")
    raise SystemExit(1 if slower else 0)


def samples(result: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return the turns of every measurement of a result file."""
    found: dict[str, Any] = {}
    if "benchmarks" in result:
        for one in result["benchmarks"]:
            stats = one.get("stats", one)
            found[one["name"]] = stats.get("data") or quartiles(stats["median"], stats["iqr"], stats["rounds"])
    else:
        for part, values in result.items():
            if isinstance(values, dict) and "turns" in values:
                for name, turns in values["turns"].items():
                    points = turns.items() if isinstance(turns, dict) else [("", turns)]
                    found |= {f"{part}: {name} {point}".strip(): taken for point, taken in points}
    if not found:
        raise ValueError("it has no turns")
    return {name: np.asarray(taken, np.float64) for name, taken in found.items()}


def quartiles(median: float, iqr: float, rounds: int) -> list[float]:
    """Return stand-ins for the turns of which only median, interquartile range and number are known."""
    count = max(3, min(rounds, 99)) | 1
    normal = statistics.NormalDist(median, max(iqr, 1e-12) / 1.349)
    return [max(normal.inv_cdf((i + 0.5) / count), 1e-12) for i in range(count)]


def machine_drift(old: Samples, new: Samples, both: list[str]) -> float:
    """Return how many times as long the peers take in the new files: the median over them; 1 without peers."""
    logs = [math.log(float(np.median(ratios(old[name], new[name])))) for name in both if "fastblur" not in name]
    return math.exp(statistics.median(logs)) if logs else 1.0


def ratios(old: list[np.ndarray], new: list[np.ndarray]) -> np.ndarray:
    """Return the ratio of the medians of each pair."""
    return np.array([np.median(b) / np.median(a) for a, b in zip(old, new, strict=True)])


def ratio_and_interval(old: list[np.ndarray], new: list[np.ndarray], drift: float) -> tuple[float, float, float]:
    """Return the ratio new over old without the machine's drift, and its 99 % interval."""
    rng = np.random.default_rng(0)
    drawn = np.empty(DRAWS)
    for i in range(DRAWS):
        pairs = rng.integers(0, len(old), len(old))
        again = [[rng.choice(side[p], len(side[p])) for p in pairs] for side in (old, new)]
        drawn[i] = np.median(ratios(*again))
    low, high = np.percentile(drawn, [0.5, 99.5]) / drift
    return float(np.median(ratios(old, new)) / drift), float(low), float(high)


if __name__ == "__main__":
    main()

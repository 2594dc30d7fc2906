"""The newest result file of each kind, and how its figures are written."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]
MODES = ("operator", "boxes", "detect")  # of imagenet_scale


def newest(folder: Path) -> dict[str, Result]:
    """Return the newest result of each kind, by kind: the command's module, and its mode where it has one."""
    found: dict[str, Result] = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        kind = kind_of(result)
        if kind not in found or date_of(result) > date_of(found[kind]):
            found[kind] = result
    return found


def kind_of(result: Result) -> str:
    """Return what is measured: "operators", "imagenet_scale boxes", "suites", "gpu"."""
    if "benchmarks" in result:  # also what pytest-benchmark writes itself
        return "suites"
    module = next(part for part in result["command"].split() if part.startswith("benchmarks."))
    return " ".join([module.removeprefix("benchmarks."), *([result["mode"]] if "mode" in result else [])])


def date_of(result: Result) -> str:
    return str(result.get("date") or result["datetime"])


def at_scale(results: dict[str, Result]) -> dict[str, Result]:
    """Return the results of imagenet_scale by mode."""
    return {mode: results[kind] for mode in MODES if (kind := f"imagenet_scale {mode}") in results}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def clock(seconds: float) -> str:
    """Return seconds as people say them."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 3600:.1f} h"


def over(result: Result, side: str) -> float:
    """Return how many times the images a second of a floor or peer of imagenet_scale a result has."""
    return result["images_per_second"] / result[f"{side}_images_per_second"]

"""What it costs that near misses are kept."""

import argparse
import json
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.audit.data import known_faces, make_tree
from fastblur.detectors import Detector
from fastblur.pipeline import run
from fastblur.regions import Regions


def _without(self: Detector, images: Any) -> tuple[Regions, Regions]:
    return self(images), Regions.from_boxes([[] for _ in images])


def kept(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    files, _ = known_faces(arguments.data)
    files = {name: path for name, path in files.items() if name.startswith("train/")}
    source = make_tree(folder / "src", files)
    times: dict[str, list[float]] = {"with": [], "without": []}
    processor: dict[str, list[float]] = {"with": [], "without": []}
    sizes: dict[str, int] = {}
    misses = before = 0
    for turn in range(arguments.repeat + 1):
        for side in ("with", "without") if turn % 2 else ("without", "with"):
            out, start = folder / "out", time.process_time()
            if side == "without":
                with patch.object(Detector, "with_near_misses", _without):
                    summary = run(source, out, workers=arguments.workers, engine="threads", device="cpu")
            else:
                summary = run(source, out, workers=arguments.workers, engine="threads", device="cpu")
            if turn:  # the first one is not counted
                times[side].append(summary.seconds)
                processor[side].append(time.process_time() - start)
            texts = [path.read_text() for path in (out / ".fastblur" / "journal").iterdir()]
            sizes[side] = sum(map(len, texts))
            if side == "with":
                misses = sum(text.count('"near"') for text in texts)
                before = sum(map(_as_before, texts))
            shutil.rmtree(out)
    ratios = {
        name: [one / other for one, other in zip(taken["with"], taken["without"], strict=True)]
        for name, taken in (("time", times), ("processor", processor))
    }
    return {
        "images, of these with near misses": [len(files), misses],
        "bytes of the journal, with and without": [sizes["with"], sizes["without"]],
        "journal's size, with over without": round(sizes["with"] / sizes["without"], 3),
        "over without, as it was before there were any": round(sizes["with"] / before, 3),
        "seconds, with and without (median)": [round(median(times[side]), 2) for side in ("with", "without")],
        "run's time, with over without (median of pairs)": round(median(ratios["time"]), 3),
        "its processor time (median of pairs)": round(median(ratios["processor"]), 3),
        "pairs": len(times["with"]),
    }


def _as_before(text: str) -> int:
    """Return the bytes of a journal as it was before near misses: without them, spaces after , and :, and float64."""
    size = 0
    for line in map(json.loads, text.splitlines()):
        line.pop("near", None)
        for name in ("boxes", "scores"):
            if name in line:
                line[name] = np.array(line[name], np.float32).tolist()
        size += len(json.dumps(line)) + 1
    return size

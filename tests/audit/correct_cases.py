"""Judgements of the runs in `run_cases`, and what a fresh run makes of them."""

import json
from pathlib import Path
from typing import Any

from fastblur.pipeline import run
from tests.audit.run_cases import BOXES, Box, journal_names, make_run, outputs, write_boxes

CHANGED: dict[str, list[Box]] = {
    "a/2.jpg": [*BOXES["a/2.jpg"], (5, 5, 40, 44)],  # one more
    "a/3.jpg": [(60, 20, 100, 80)],  # the first one
    "b/4.jpg": [BOXES["b/4.jpg"][1]],  # one fewer
    "b/6.webp": [],  # none any more
}
SIZE = {"width": 160, "height": 120}


def shards(out: Path) -> dict[str, str]:
    """Return the shard of each image in the journal."""
    found = {}
    for path in (out / ".fastblur/journal").iterdir():
        head, *lines = map(json.loads, path.read_text().splitlines())
        found |= {line["path"]: head["shard"] for line in lines}
    return found


def write_judgements(path: Path, out: Path, boxes: dict[str, list[Box]]) -> Path:
    """Write what the page saves, for images as the journal calls them."""
    where = shards(out)
    lines = [
        {"image": name, "shard": where[name], **SIZE, "coordinates": "stored", "sampled": True, "verdict": "face",
         "boxes": rows, "add": [], "remove": []}
        for name, rows in boxes.items()
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def judged(tmp_path: Path, kind: str, **options: Any) -> tuple[Path, Path, Path]:
    """Make a run and judgements of it; return source, output and judgements."""
    source, out = make_run(tmp_path, kind, **options)
    names = journal_names(kind)
    changed = {names[name]: rows for name, rows in CHANGED.items()} | {names["a/1.png"]: BOXES["a/1.png"]}
    return source, out, write_judgements(tmp_path / "judgements.jsonl", out, changed)


def fresh(tmp_path: Path, kind: str, source: Path, **options: Any) -> dict[str, bytes]:
    """Return the images of a fresh run with the corrected boxes."""
    names = journal_names(kind)
    boxes = write_boxes(tmp_path / "corrected.jsonl", {names[name]: rows for name, rows in (BOXES | CHANGED).items()})
    run(source, tmp_path / "fresh", boxes=boxes, engine="threads", **options)
    return outputs(tmp_path / "fresh", kind)

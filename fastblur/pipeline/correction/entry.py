"""The entry of a shard in the journal, rewritten after some of its images were done again with other boxes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastblur.codecs.written_by import written_by
from fastblur.pipeline.correction.plan import Todo
from fastblur.pipeline.execution.journal import count, journal_line
from fastblur.pipeline.execution.journal_lines import to_text
from fastblur.pipeline.images.task import ImageTask, Outcome
from fastblur.pipeline.shards.folder import FolderShard

Line = dict[str, Any]


def rewritten_entry(todo: Todo, done: Sequence[ImageTask], digest: str, left: Mapping[str, str]) -> bytes:
    """Return the content of a shard's file in the journal.

    Args:
        todo: the shard, as the journal had it.
        done: its images whose lines change.
        digest: sha256 of the judgements that asked for it.
        left: of images that failed and left the output, the sha256 of what was there, by their names.
    """
    before = todo.entry.corrected[:-1] if todo.entry.corrected[-1:] == (digest,) else todo.entry.corrected
    head: Line = {
        "shard": todo.entry.shard,
        **_counts(todo, done),
        "broken": todo.entry.broken,
        "written_by": _written_by(todo, done),
        "corrected": [*before, digest],
    }
    changed = {one.item.name: one for one in done}
    lines = [
        {**_line(line, changed[line["path"]], line["path"] in todo.judged, left), "corrected": digest}
        if line["path"] in changed
        else line
        for line in todo.lines
    ]
    return "".join(map(to_text, (head, *lines))).encode("ascii")


def _line(line: Line, one: ImageTask, is_judged: bool, left: Mapping[str, str]) -> Line:
    """Return an image's line: boxes keep their scores, those that people gave have none.

    An image that nobody judged fails with another one of its sample or row, and keeps its boxes for when that is tried
    again. One that left the output keeps its boxes too, and the hash of what they gave: the source must give it again.
    """
    new: Line = json.loads(journal_line(one))
    if is_judged and new.get("boxes"):
        known = dict(zip(map(tuple, line.get("boxes", ())), line.get("scores") or (), strict=False))
        new["scores"] = [known.get(tuple(box)) for box in new["boxes"]]
    elif one.outcome is Outcome.FAILED and line["path"] in left:
        new |= {"boxes": line.get("boxes", []), "output": left[line["path"]]}
    elif one.outcome is Outcome.FAILED and "output" in line:  # and fails again
        new |= {name: line[name] for name in ("boxes", "output")}
    elif not is_judged:
        new |= {name: line[name] for name in ("boxes", "scores") if name in line}
    return {**new, "near": line["near"]} if "near" in line else new


def _counts(todo: Todo, done: Sequence[ImageTask]) -> dict[str, int]:
    """Return the shard's counts: those of the changed images as they were out, as they are in."""
    before = {line["path"]: line for line in todo.lines}
    counts = dict(todo.entry.counts)
    for one in done:
        for name, number in _count_before(before[one.item.name]).items():
            counts[name] -= number
    for name, number in count(done).items():
        counts[name] += number
    return counts


def _count_before(line: Line) -> dict[str, int]:
    """Return the counts that an image's line in the journal stands for."""
    if line["fate"] != Outcome.HIDDEN:
        without = {"without_previews": 1} if line["fate"] == Outcome.COPIED and "reason" in line else {}
        return {"images": 1, line["fate"]: 1, **without}
    counts = {"images": 1, "with_regions": 1, "regions": len(line["boxes"])}
    counts["degenerate_regions"] = line.get("degenerate", 0)
    return counts | ({f"jpeg_{line['jpeg']}": 1} if "jpeg" in line else {})


def _written_by(todo: Todo, done: Sequence[ImageTask]) -> str:
    """Return what wrote all images of a shard, "" where some are left that something else wrote."""
    if not done or todo.entry.written_by == written_by():
        return todo.entry.written_by
    return "" if isinstance(todo.shard, FolderShard) else written_by()

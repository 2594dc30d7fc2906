"""Lines of a journal read again: only what a run writes is taken."""

import json
from typing import Any

from fastblur.boxes import MAX_COORDINATE
from fastblur.pipeline.images.near_misses import from_journal
from fastblur.pipeline.images.task import Outcome

WRITTEN = {Outcome.HIDDEN.value, Outcome.COPIED.value, Outcome.UNSEARCHED.value}
"""Fates of images that are in the output."""

FATES = {outcome.value for outcome in Outcome}


def parse_line(text: str) -> dict[str, Any]:
    """Return what a line of the journal says of an image; raises ValueError where it is not one that a run writes.

    Example:
        >>> from fastblur.pipeline.execution.journal_lines import parse_line
        >>> parse_line('{"path": "a.jpg", "fate": "copied", "boxes": []}')["fate"]
        'copied'
    """
    try:
        line: dict[str, Any] = json.loads(text)
        if _makes_sense(line):
            return line
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError("the line is not what a run writes, expected an image's outcome")


def is_name(name: str) -> bool:
    """Return whether a name can be that of a file in the output."""
    leads_out = name.startswith("/") or (".." in name and ".." in name.split("/"))
    return name != "" and "\0" not in name and not leads_out


def _makes_sense(line: dict[str, Any]) -> bool:
    """Return whether a line is one that a run writes; raises KeyError or TypeError where it is not even like one."""
    fate = line["fate"]
    if fate not in FATES or not isinstance(line["path"], str) or not isinstance(line.get("reason", ""), str):
        return False
    if line.get("jpeg", "blocks") not in ("blocks", "encoded") or (fate in WRITTEN and not is_name(line["path"])):
        return False
    boxes, scores = line.get("boxes", []), line.get("scores")
    if fate == "hidden":
        if not boxes or not all(map(_has_area, boxes)) or (scores is not None and len(scores) != len(boxes)):
            return False
    elif not all(map(_is_box, boxes)) or (fate == "failed" and "reason" not in line):
        return False
    if fate != "hidden" and fate in WRITTEN and any(map(_has_area, boxes)):  # a region would be hidden
        return False
    if scores and not all(score is None or 0 <= score <= 1 for score in scores):
        return False
    return "near" not in line or all(_has_area(box) and 0 <= score <= 1 for box, score in from_journal(line["near"]))


def _has_area(box: Any) -> bool:
    x0, y0, x1, y1 = box
    return bool(-MAX_COORDINATE <= x0 < x1 <= MAX_COORDINATE and -MAX_COORDINATE <= y0 < y1 <= MAX_COORDINATE)


def _is_box(box: Any) -> bool:
    return len(box) == 4 and all(-MAX_COORDINATE <= value <= MAX_COORDINATE for value in box)

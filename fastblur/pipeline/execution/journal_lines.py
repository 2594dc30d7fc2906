"""Lines of a journal read again: only what a run writes is taken."""

import json
from typing import Any

from fastblur.boxes import MAX_COORDINATE
from fastblur.codecs.refused import RefusedKind
from fastblur.options import choices
from fastblur.pipeline.images.near_misses import MOST, from_journal
from fastblur.pipeline.images.task import Outcome
from fastblur.pipeline.summary import COUNTS

WRITTEN = {Outcome.HIDDEN.value, Outcome.COPIED.value, Outcome.UNSEARCHED.value}
"""Fates of images that are in the output."""

FATES = {outcome.value for outcome in Outcome}
HEAD_KEYS = {"shard", *COUNTS, "broken", "written_by", "corrected"}
KEYS = {"path", "fate", "reason", "boxes", "scores", "near", "degenerate", "jpeg", "corrected", "output"}
WAYS = ("blocks", *choices(RefusedKind))  # of a hidden JPEG
MOST_REASON = 1000  # characters
MOST_COUNT = 1 << 48
_ENCODER = json.JSONEncoder(separators=(",", ":"))  # one for all: `json.dumps` makes one a call


def short_reason(reason: str) -> str:
    """Return a reason as the journal keeps it: an exception of a package may hold as much as it likes.

    Example:
        >>> from fastblur.pipeline.execution.journal_lines import short_reason
        >>> short_reason("it is cut short")
        'it is cut short'
    """
    return reason if len(reason) <= MOST_REASON else f"{reason[: MOST_REASON - 2]}.."


def to_text(line: dict[str, Any]) -> str:
    """Return the text of a line, with its end; any other text of the same content is not what a run writes."""
    return f"{_ENCODER.encode(line)}\n"


def parse_head(text: str) -> dict[str, Any]:
    """Return what the first line of a shard's file says; raises ValueError where it is not one that a run writes."""
    try:
        head: dict[str, Any] = json.loads(text)
        if _is_head(head) and to_text(head) == f"{text}\n":
            return head
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError("the line is not what a run writes, expected a shard and its counts")


def parse_line(text: str) -> dict[str, Any]:
    """Return what a line of the journal says of an image; raises ValueError where it is not one that a run writes.

    Example:
        >>> from fastblur.pipeline.execution.journal_lines import parse_line
        >>> parse_line('{"path":"a.jpg","fate":"copied","boxes":[]}')["fate"]
        'copied'
    """
    try:
        line: dict[str, Any] = json.loads(text)
        if _makes_sense(line) and to_text(line) == f"{text}\n":  # nothing between or behind what it says
            return line
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError("the line is not what a run writes, expected an image's outcome")


def is_name(name: str) -> bool:
    """Return whether a name can be that of a file in the output."""
    leads_out = name.startswith("/") or (".." in name and ".." in name.split("/"))
    return name != "" and "\0" not in name and not leads_out


def is_sha256(text: str) -> bool:
    """Return whether a text is a sha256, in hexadecimal digits."""
    return _is_hex(text, 64)


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and all(letter in "0123456789abcdef" for letter in text)


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number < MOST_COUNT


def _is_head(head: dict[str, Any]) -> bool:
    """Return whether a first line is one that a run writes; raises as `_makes_sense`."""
    if not (isinstance(head["shard"], str) and isinstance(head["broken"], str) and head.keys() <= HEAD_KEYS):
        return False
    if not all(_is_count(head[name]) for name in COUNTS):
        return False
    if not all(map(is_sha256, head.get("corrected", ()))) or len(head["broken"]) > MOST_REASON:
        return False
    return head.get("written_by", "") == "" or _is_hex(head["written_by"], 16)


def _makes_sense(line: dict[str, Any]) -> bool:
    """Return whether a line is one that a run writes; raises KeyError or TypeError where it is not even like one."""
    fate = line["fate"]
    if fate not in FATES or not isinstance(line["path"], str) or not line.keys() <= KEYS:
        return False
    if len(line.get("reason", "")) > MOST_REASON or not isinstance(line.get("reason", ""), str):
        return False
    if (
        line.get("jpeg", "blocks") not in WAYS
        or not _is_count(line.get("degenerate", 0))
        or (fate in WRITTEN and not is_name(line["path"]))
    ):
        return False
    if "output" in line and not (fate == "failed" and is_sha256(line["output"])):
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
    near = from_journal(line.get("near", ()))
    return len(near) <= MOST and all(_has_area(box) and 0 <= score <= 1 for box, score in near)


def _has_area(box: Any) -> bool:
    x0, y0, x1, y1 = box
    return bool(-MAX_COORDINATE <= x0 < x1 <= MAX_COORDINATE and -MAX_COORDINATE <= y0 < y1 <= MAX_COORDINATE)


def _is_box(box: Any) -> bool:
    return len(box) == 4 and all(-MAX_COORDINATE <= value <= MAX_COORDINATE for value in box)

"""Judgements: what people said of images in the page of `fastblur audit`, one line of JSON an image."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastblur.annotations.json_stream import object_head, object_of
from fastblur.annotations.rows import brief, checked_key, checked_rows, checked_size
from fastblur.boxes import Boxes, Size
from fastblur.errors import UsageError


@dataclass(frozen=True, eq=False)
class Judgement:
    """What somebody said of an image.

    Attributes:
        image: its name, as the journal of the run has it.
        shard: its shard's name.
        boxes: all that are to be hidden, (n, 4) float32 xyxy px of the stored picture.
        size: width and height of the stored picture, or None.
    """

    image: str
    shard: str
    boxes: Boxes
    size: Size | None


def read_judgements(path: str | Path) -> Iterator[Judgement]:
    """Yield every line of a file that the page of `fastblur audit` has saved.

    A line is {"image": "a/x.jpg", "shard": "a", "width": 500, "height": 375, "coordinates": "stored", "boxes": [[x0,
    y0, x1, y1], ..], ..}; the boxes are all that the image shall have. Empty lines are passed.

    Raises OSError for a file that cannot be read, ValueError for a line of another form.
    """
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"line {number} of judgements file {path}"
            try:
                entry: Any = json.loads(line, object_pairs_hook=object_of)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{where} is not JSON ({str(error)[:80]}), expected what the page saves") from None
            if not isinstance(entry, dict) or not {"image", "shard", "boxes"} <= entry.keys():
                raise UsageError(f'{where} is {brief(entry)}, expected {{"image": .., "shard": .., "boxes": [..]}}')
            if entry.get("coordinates") != "stored":
                raise UsageError(f"{where} has the coordinates {brief(entry.get('coordinates'))}, expected 'stored'")
            if not isinstance(entry["shard"], str):
                raise UsageError(f"{where} has the shard {brief(entry['shard'])}, expected its name")
            boxes = checked_rows(entry["boxes"], where)
            without_area = boxes[(boxes[:, 2:] <= boxes[:, :2]).any(1)]
            if len(without_area):
                raise UsageError(f"{where} has the box {without_area[0].tolist()}, expected x0 < x1 and y0 < y1")
            if entry.get("verdict") not in ("face", "no face", None):
                raise UsageError(f"{where} has the verdict {brief(entry['verdict'])}, expected 'face' or 'no face'")
            there = set(map(tuple, boxes.tolist()))
            for box in map(tuple, checked_rows(entry.get("add", []), where).tolist()):
                if box not in there:
                    raise UsageError(f"{where} adds the box {list(box)}, expected it among its boxes")
            size = checked_size(entry, where)
            if size is not None and len(outside := boxes[((boxes[:, :2] >= size) | (boxes[:, 2:] <= 0)).any(1)]):
                sides = " x ".join(map(str, size))
                raise UsageError(f"{where} has the box {outside[0].tolist()}, expected boxes within {sides} pixels")
            yield Judgement(checked_key(entry["image"], where), entry["shard"], boxes, size)


def is_judgements(path: str | Path) -> bool:
    """Return whether a file has lines as the page of `fastblur audit` saves them, by how it begins."""
    head = object_head(path)
    return head.lstrip().startswith(b"{") and b'"image"' in head[:64]

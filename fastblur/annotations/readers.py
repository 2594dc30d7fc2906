"""Box files of others, read as an iterator of (key, boxes)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastblur.annotations.json_stream import object_head, object_of, stream
from fastblur.annotations.rows import as_boxes, brief, checked_key, checked_rows, checked_size, is_row
from fastblur.boxes import Boxes, Size
from fastblur.errors import UsageError

FORMS = "the ILSVRC face annotations or COCO (.json), or what fastblur detect or the page of the audit wrote (.jsonl)"
_CORNERS = ("x0", "y0", "x1", "y1")


def read_ilsvrc(path: str | Path) -> Iterator[tuple[str, Boxes]]:
    """Yield (key, boxes) for every entry of an ILSVRC face annotation file.

    The file is a list of {"url": "train/n01440764/x.JPEG", "bboxes": [{"x0": .., "y0": .., "x1": .., "y1": ..}]}, as
    published by Yang et al., "A Study of Face Obfuscation in ImageNet", ICML 2022 (arXiv:2103.06191). It is read as a
    stream.

    Returns:
        The key as it stands in the file, a relative path with "/" between folders, and (n, 4) float32 boxes, xyxy in
        pixels of the image as it is stored (before any EXIF rotation); n may be 0. Degenerate boxes are passed on.

    Raises OSError for a file that cannot be read, ValueError for one of another form, with a key that is absolute or
    contains "..", or with a coordinate that is not a finite number.
    """
    if object_head(path).startswith(b"{"):
        raise UsageError(f"boxes file {path} holds an object, expected a list of entries")
    for number, (_, entry) in enumerate(stream(path, FORMS)):
        where = f"entry {number} of boxes file {path}"
        if not isinstance(entry, dict) or not {"url", "bboxes"} <= entry.keys():
            raise UsageError(f'{where} is {brief(entry)}, expected {{"url": .., "bboxes": [..]}}')
        yield checked_key(entry["url"], where), _checked_boxes(entry["bboxes"], where)


def read_detections(path: str | Path) -> Iterator[tuple[str, Boxes | None, Size | None]]:
    """Yield (key, boxes, size) for every line of a file that `fastblur detect` has written.

    A line is {"path": "a/x.jpg", "width": 500, "height": 375, "boxes": [[x0, y0, x1, y1], ..], "coordinates": "stored",
    ..}, where size and coordinates may be left out, or {"path": .., "error": ".."} for an image that could not be
    searched. Boxes are of the picture as it is stored. Empty lines are passed.

    Returns:
        The path, relative with "/" between folders; (n, 4) float32 boxes, xyxy in pixels of the image as it is stored,
        None for an image that could not be searched; and the image's size if the line states it.

    Raises OSError for a file that cannot be read, ValueError for a line of another form.
    """
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            where = f"line {number} of boxes file {path}"
            try:
                entry = json.loads(line, object_pairs_hook=object_of)
            except (ValueError, RecursionError) as error:
                raise UsageError(
                    f"{where} is not JSON ({str(error)[:80]}), expected the lines that fastblur detect writes"
                ) from None
            if not isinstance(entry, dict) or "path" not in entry or not {"boxes", "error"} & entry.keys():
                raise UsageError(f'{where} is {brief(entry)}, expected {{"path": .., "boxes": [..]}}')
            if entry.get("coordinates", "stored") != "stored":
                raise UsageError(f"{where} has the coordinates {brief(entry['coordinates'])}, expected 'stored'")
            key = checked_key(entry["path"], where)
            boxes = None if "error" in entry else checked_rows(entry["boxes"], where)
            yield key, boxes, checked_size(entry, where)


def _checked_boxes(boxes: Any, where: str) -> Boxes:
    if not isinstance(boxes, list):
        raise UsageError(f"{where} has the bboxes {brief(boxes)}, expected a list")
    rows = []
    for box in boxes:
        if not isinstance(box, dict) or not box.keys() >= set(_CORNERS):
            raise UsageError(f"{where} has the box {brief(box)}, expected x0, y0, x1 and y1")
        row = [box[corner] for corner in _CORNERS]
        if not is_row(row):
            raise UsageError(f"{where} has the box {brief(row)}, expected four finite numbers")
        rows.append(row)
    return as_boxes(rows)


def is_detections(path: str | Path) -> bool:
    """Return whether a file has lines as `fastblur detect` writes them, by its name or by how it begins."""
    return Path(path).suffix.lower() == ".jsonl" or re.match(rb'\{\s*"path"\s*:', object_head(path)) is not None

"""Box files of others, read as an iterator of (key, boxes)."""

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastblur.annotations.json_stream import entries, object_of
from fastblur.annotations.rows import NO_BOXES, as_boxes, brief, checked_rows, is_row
from fastblur.boxes import Boxes, Size
from fastblur.errors import UsageError

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
    if is_coco(path):
        raise UsageError(f"boxes file {path} holds an object, expected a list of entries")
    for number, (_, entry) in enumerate(_stream(path, "the ILSVRC face annotations")):
        where = f"entry {number} of boxes file {path}"
        if not isinstance(entry, dict) or not {"url", "bboxes"} <= entry.keys():
            raise UsageError(f'{where} is {brief(entry)}, expected {{"url": .., "bboxes": [..]}}')
        yield _checked_key(entry["url"], where), _checked_boxes(entry["bboxes"], where)


def read_coco(path: str | Path) -> Iterator[tuple[str, Boxes, Size | None]]:
    """Yield (key, boxes, size) for every image of a COCO annotation file, whatever the annotations' categories.

    The file is {"images": [{"id": 7, "file_name": "a/x.jpg", ..}, ..], "annotations": [{"image_id": 7, "bbox": [x, y,
    width, height], ..}, ..], ..}; it is read as a stream, because polygons make it large.

    Returns:
        The file name, a relative path; (n, 4) float32 boxes, xyxy in pixels of the image as it is stored, n may be 0,
        degenerate boxes are passed on; and the image's size if the file states it.

    Raises OSError for a file that cannot be read, ValueError for one of another form, for an annotation of an image
    that is not listed, for a file without any annotation (COCO lists the images of its test sets so: that does not
    say that they show nothing), and as `read_ilsvrc` for keys and coordinates.
    """
    keys: dict[Any, tuple[str, Size | None]] = {}
    rows: dict[Any, array[float]] = {}
    numbers = {"images": 0, "annotations": 0}
    for name, entry in _stream(path, "COCO annotations"):
        if not isinstance(name, str) or name not in numbers:
            continue
        where = f"entry {numbers[name]} of {name!r} in boxes file {path}"
        numbers[name] += 1
        if name == "images":
            if not isinstance(entry, dict) or not {"id", "file_name"} <= entry.keys():
                raise UsageError(f'{where} is {brief(entry)}, expected {{"id": .., "file_name": ..}}')
            if not isinstance(entry["id"], (int, str)) or entry["id"] in keys:
                raise UsageError(f"{where} has the id {brief(entry['id'])}, expected a number of its own")
            keys[entry["id"]] = _checked_key(entry["file_name"], where), _size(entry, where)
        else:
            if not isinstance(entry, dict) or not {"image_id", "bbox"} <= entry.keys():
                raise UsageError(f'{where} is {brief(entry)}, expected {{"image_id": .., "bbox": [..]}}')
            box = entry["bbox"]
            if not is_row(box):
                raise UsageError(f"{where} has the bbox {brief(box)}, expected x, y, width and height")
            if not isinstance(entry["image_id"], (int, str)):
                raise UsageError(f"{where} has the image_id {brief(entry['image_id'])}, expected an image's id")
            x, y, width, height = box
            if width < 0 or height < 0:
                raise UsageError(f"{where} has the bbox {brief(box)}, expected a width and height of 0 or more")
            rows.setdefault(entry["image_id"], array("f")).extend((x, y, x + width, y + height))
    if not keys:
        raise UsageError(f'boxes file {path} lists no images, expected {{"images": [..], "annotations": [..]}}')
    if not numbers["annotations"]:
        raise UsageError(f"boxes file {path} lists images but no annotations, expected those of all its images")
    for image in rows.keys() - keys.keys():
        raise UsageError(f"boxes file {path} has annotations of the image {image!r}, expected it among the images")
    for image in list(keys):  # what has been yielded is not kept
        (key, size), row = keys.pop(image), rows.pop(image, None)
        yield key, NO_BOXES if row is None else np.array(row, np.float32).reshape(-1, 4), size


def is_coco(path: str | Path) -> bool:
    """Return whether a JSON file begins as an object, as COCO's do, and not as a list, as ILSVRC's do."""
    with open(path, "rb") as file:
        return file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def _stream(path: str | Path, expected: str) -> Iterator[tuple[str | None, Any]]:
    number = 0
    try:
        for entry in entries(path):
            yield entry
            number += 1
    except ValueError as error:  # UnicodeDecodeError among them
        raise UsageError(
            f"boxes file {path} is not JSON or of another form at entry {number} ({error}), expected {expected}"
        ) from None


def read_detections(path: str | Path) -> Iterator[tuple[str, Boxes | None, Size | None]]:
    """Yield (key, boxes, size) for every line of a file that `fastblur detect` has written.

    A line is {"path": "a/x.jpg", "width": 500, "height": 375, "boxes": [[x0, y0, x1, y1], ..], ..}, where the size may
    be left out, or {"path": .., "error": ".."} for an image that could not be searched.

    Returns:
        The path, relative with "/" between folders; (n, 4) float32 boxes, xyxy in pixels of the image as it is stored,
        None for an image that could not be searched; and the image's size if the line states it.

    Raises OSError for a file that cannot be read, ValueError for a line of another form.
    """
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"line {number} of boxes file {path}"
            try:
                entry = json.loads(line, object_pairs_hook=object_of)
            except (ValueError, RecursionError) as error:
                raise UsageError(
                    f"{where} is not JSON ({str(error)[:80]}), expected the lines that fastblur detect writes"
                ) from None
            if not isinstance(entry, dict) or "path" not in entry or not {"boxes", "error"} & entry.keys():
                raise UsageError(f'{where} is {brief(entry)}, expected {{"path": .., "boxes": [..]}}')
            key = _checked_key(entry["path"], where)
            boxes = None if "error" in entry else checked_rows(entry["boxes"], where)
            yield key, boxes, _size(entry, where)


def _size(entry: dict[str, Any], where: str) -> Size | None:
    width, height = entry.get("width"), entry.get("height")
    if width is None or height is None:
        return None
    for side in (width, height):
        if not isinstance(side, int) or isinstance(side, bool) or not 0 < side < 2**31:
            raise UsageError(f"{where} has the width {brief(width)} and height {brief(height)}, expected pixels")
    return width, height


def _checked_key(key: Any, where: str) -> str:
    if not isinstance(key, str) or not key:
        raise UsageError(f"{where} has the path {brief(key)}, expected a relative path")
    if key.startswith(("/", "\\")) or key[1:2] == ":" or ".." in key.replace("\\", "/").split("/"):
        raise UsageError(f'{where} has the path {brief(key)}, expected a relative path without ".."')
    return key


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

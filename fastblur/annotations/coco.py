"""COCO annotation files: images and annotations in two lists, joined by the images' ids."""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastblur.annotations.json_stream import object_head, stream
from fastblur.annotations.rows import NO_BOXES, brief, checked_key, checked_size, is_row
from fastblur.boxes import Boxes, Size
from fastblur.errors import UsageError


def read_coco(path: str | Path, categories: tuple[str, ...] = ()) -> Iterator[tuple[str, Boxes, Size | None]]:
    """Yield (key, boxes, size) for every image of a COCO annotation file.

    The file is {"images": [{"id": 7, "file_name": "a/x.jpg", ..}, ..], "annotations": [{"image_id": 7, "bbox": [x, y,
    width, height], ..}, ..], ..}; it is read as a stream, because polygons make it large.

    Args:
        path: the file.
        categories: names or ids of those whose boxes are given, as "face"; none for all.

    Returns:
        The file name, a relative path; (n, 4) float32 boxes, xyxy in pixels of the image as it is stored, n may be 0,
        degenerate boxes are passed on; and the image's size if the file states it.

    Raises OSError for a file that cannot be read, ValueError for one of another form, for an annotation of an image
    that is not listed, for a file without any annotation (COCO lists the images of its test sets so: that does not
    say that they show nothing), for a category that it does not have, and as `read_ilsvrc` for keys and coordinates.
    """
    file = _CocoFile(path, bool(categories))
    for name, entry in stream(path, "COCO annotations"):
        if name == "images":
            file.add_image(entry)
        elif name == "annotations":
            file.add_annotation(entry)
        elif name == "categories" and categories:
            file.add_category(entry)
    file.check()
    wanted = file.category_ids(categories)
    for image in list(file.keys):  # what has been yielded is not kept
        (key, size), rows, kinds = file.keys.pop(image), file.rows.pop(image, None), file.kinds.pop(image, None)
        boxes = NO_BOXES if rows is None else np.array(rows, np.float32).reshape(-1, 4)
        if kinds is not None:
            boxes = boxes[[kind in wanted for kind in kinds]]
        yield key, boxes, size


class _CocoFile:
    """What has been read of a file.

    Attributes:
        keys: key and size of each image, by its id.
        rows: boxes of each image that has some, xyxy, by its id.
        kinds: the category of each of these boxes, where categories are asked for.
        names: the categories' names, by their ids.
    """

    def __init__(self, path: str | Path, by_category: bool) -> None:
        self.keys: dict[Any, tuple[str, Size | None]] = {}
        self.rows: dict[Any, array[float]] = {}
        self.kinds: dict[Any, list[Any]] = {}
        self.names: dict[Any, str] = {}
        self._path, self._by_category = path, by_category
        self._images = self._annotations = 0

    def add_image(self, entry: Any) -> None:
        """Add an entry of the list of images."""
        where = f"entry {self._images} of 'images' in boxes file {self._path}"
        self._images += 1
        if not isinstance(entry, dict) or not {"id", "file_name"} <= entry.keys():
            raise UsageError(f'{where} is {brief(entry)}, expected {{"id": .., "file_name": ..}}')
        image = _identity(entry["id"], f"{where} has the id")
        if image in self.keys:
            raise UsageError(f"{where} has the id {brief(entry['id'])}, expected a number of its own")
        self.keys[image] = checked_key(entry["file_name"], where), checked_size(entry, where)

    def add_annotation(self, entry: Any) -> None:
        """Add an entry of the list of annotations."""
        where = f"entry {self._annotations} of 'annotations' in boxes file {self._path}"
        self._annotations += 1
        if not isinstance(entry, dict) or not {"image_id", "bbox"} <= entry.keys():
            raise UsageError(f'{where} is {brief(entry)}, expected {{"image_id": .., "bbox": [..]}}')
        box = entry["bbox"]
        if not is_row(box):
            raise UsageError(f"{where} has the bbox {brief(box)}, expected x, y, width and height")
        image = _identity(entry["image_id"], f"{where} has the image_id")
        x, y, width, height = box
        if width < 0 or height < 0:
            raise UsageError(f"{where} has the bbox {brief(box)}, expected a width and height of 0 or more")
        self.rows.setdefault(image, array("f")).extend((x, y, x + width, y + height))
        if self._by_category:
            if "category_id" not in entry:
                raise UsageError(f'{where} is {brief(entry)}, expected a "category_id", which was asked for')
            kind = _identity(entry["category_id"], f"{where} has the category_id")
            self.kinds.setdefault(image, []).append(kind)

    def add_category(self, entry: Any) -> None:
        """Add an entry of the list of categories."""
        if not isinstance(entry, dict) or not {"id", "name"} <= entry.keys() or not isinstance(entry["name"], str):
            raise UsageError(
                f'a category in boxes file {self._path} is {brief(entry)}, expected {{"id": .., "name": ..}}'
            )
        self.names[_identity(entry["id"], f"a category in boxes file {self._path} has the id")] = entry["name"]

    def check(self) -> None:
        """Raise UsageError for a file that lacks something."""
        path = self._path
        if not self.keys:
            raise UsageError(
                f'boxes file {path} lists no images, expected {{"images": [..], "annotations": [..]}} as COCO does'
            )
        if not self._annotations:
            raise UsageError(f"boxes file {path} lists images but no annotations, expected those of all its images")
        for image in self.rows.keys() - self.keys.keys():
            raise UsageError(f"boxes file {path} has annotations of the image {image!r}, expected it among the images")

    def category_ids(self, categories: tuple[str, ...]) -> set[Any]:
        """Return the ids of categories that are given by name or id; raises UsageError for one that is not there."""
        found: set[Any] = set()
        for category in categories:
            ids = {number for number, name in self.names.items() if category in (name, str(number))}
            if not ids:
                known = ", ".join(repr(name) for name in self.names.values()) or "none"
                raise UsageError(f"boxes file {self._path} has no category {category!r}, expected one of {known}")
            found |= ids
        return found


def is_coco(path: str | Path) -> bool:
    """Return whether a JSON file begins as an object, as COCO's do, and not as a list, as ILSVRC's do."""
    return object_head(path).startswith(b"{")


def _identity(value: Any, where: str) -> int | str:
    """Return an id; whole numbers may be written as 7.0. Raises UsageError."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise UsageError(f"{where} {brief(value)}, expected a whole number or a text")
    return value

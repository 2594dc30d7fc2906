"""Boxes of an annotation file, found by an image's place below the source."""

import posixpath
import threading
from pathlib import Path

import numpy as np

from fastblur.annotations import Boxes, read_detections, read_ilsvrc


class BoxFile:
    """The boxes of a file, looked up for the images below `root`.

    The file's keys are paths relative to `root` or to one of its parents, the same one for all images: below the folder
    `train`, `n01440764/x.JPEG` is looked up as itself, as `train/n01440764/x.JPEG` and so on up.

    A name that ends in .jsonl is read as what `fastblur detect` writes, any other as ILSVRC face annotations.

    Raises OSError and ValueError as the readers do, and ValueError for a key that comes twice.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self._table: dict[str, Boxes | None] = {}
        for key, boxes in read_detections(path) if path.suffix.lower() == ".jsonl" else read_ilsvrc(path):
            key = posixpath.normpath(key)
            if key in self._table:
                raise ValueError(f"boxes file {path} names {key!r} twice, expected one entry an image")
            self._table[key] = boxes
        names = [part for part in root.parts if part != root.anchor]
        self._prefixes = ["".join(f"{name}/" for name in names[start:]) for start in range(len(names), -1, -1)]
        self._used: str | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of images that the file names."""
        return len(self._table)

    def find(self, name: str) -> Boxes | None:
        """Return the boxes of the image `name` below the root, (n, 4) float32; None where the file does not name it.

        Raises ValueError where the file names it in two ways, or in another way than the images found before: then
        nobody knows whose boxes these are; and where the file says that the image could not be searched.
        """
        found = [prefix for prefix in self._prefixes if prefix + name in self._table]
        if not found:
            return None
        if len(found) > 1:
            keys = " and ".join(repr(prefix + name) for prefix in found)
            raise ValueError(f"the boxes file names both {keys}, expected one of them")
        with self._lock:
            if self._used is None:
                self._used = found[0]
        if found[0] != self._used:
            raise ValueError(
                f"the boxes file names {found[0] + name!r}, but earlier images begin with {self._used!r} there, "
                "expected all paths from the same folder"
            )
        boxes = self._table[found[0] + name]
        if boxes is None:
            raise ValueError("the boxes file says that this image could not be searched")
        return boxes


def hiding_boxes(boxes: Boxes, height: int, width: int) -> Boxes:
    """Return those of an image's boxes, (n, 4) xyxy in pixels, that have an area.

    Raises ValueError where a box lies wholly outside the image or none has an area: then file and image do not match.
    """
    hiding = []
    for x0, y0, x1, y1 in boxes.tolist():  # a few boxes: quicker than any array
        hiding.append(x1 > x0 and y1 > y0)
        if hiding[-1] and (x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height):
            raise ValueError(f"the box {[x0, y0, x1, y1]} lies outside the image of {width} x {height} pixels")
    if hiding and not any(hiding):
        raise ValueError(f"no box has an area, the first is {boxes[0].tolist()}")
    return boxes if all(hiding) else boxes[np.array(hiding)]


def relative_boxes(boxes: Boxes, height: int, width: int) -> Boxes:
    """TEMP."""
    return boxes * np.array([width, height, width, height], np.float32)

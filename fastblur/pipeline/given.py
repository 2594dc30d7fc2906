"""Boxes that are given for images, in a file."""

from dataclasses import replace

import numpy as np

from fastblur.annotations import Boxes
from fastblur.pipeline.boxes import BoxFile
from fastblur.pipeline.hand import Failure, step
from fastblur.pipeline.shards import Item

UNLISTED = ("fail", "copy", "detect")
NO_BOXES: Boxes = np.zeros((0, 4), np.float32)


def with_boxes(item: Item, box_file: BoxFile | None, unlisted: str) -> Item:
    """Return the image with its boxes from the file, or with what is wrong about them; as it is without a file.

    Args:
        item: an image.
        box_file: the boxes given, or None.
        unlisted: what becomes of an image that the file does not name: "fail", "copy" or "detect".
    """
    if box_file is None or item.problem is not None:
        return item
    try:
        boxes = step("boxes", box_file.find, item.name)
        if boxes is None and item.key is not None:
            boxes = step("boxes", box_file.find, item.key)
    except Failure as failure:
        return replace(item, problem=str(failure))
    if boxes is None and unlisted == "detect":
        return item
    if boxes is None and unlisted == "copy":
        boxes = NO_BOXES
    if boxes is None:
        return replace(item, problem="boxes: the boxes file does not name this image")
    return replace(item, boxes=boxes)

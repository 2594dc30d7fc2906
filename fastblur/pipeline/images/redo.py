"""Images done again with boxes that are known."""

from collections.abc import Sequence

import numpy as np

from fastblur.annotations.rows import as_boxes
from fastblur.boxes import Size
from fastblur.pipeline.images.hiding import HidingStages
from fastblur.pipeline.images.task import ImageTask
from fastblur.pipeline.shards.interfaces import Item


def with_boxes(item: Item, boxes: Sequence[Sequence[float]], size: Size | None = None) -> Item:
    """Return an image with boxes of the stored picture, (n, 4) xyxy px, whatever boxes it came with.

    Args:
        item: the image.
        boxes: to hide.
        size: width and height of the picture that they are of, if known.
    """
    return Item(
        item.name, item.path, item.problem, item.data, item.key, as_boxes(boxes), False, "stored", size, item.unsearched
    )


def redo(stages: HidingStages, items: Sequence[Item]) -> list[ImageTask]:
    """Take images with boxes through the stages of a run in this thread, and return what became of them."""
    images = [ImageTask(item) for item in items]
    for stage in stages.stages(1, "cpu"):
        stage.work(images)
    return images


def same_boxes(
    boxes: Sequence[Sequence[float]],  # (n, 4) xyxy px
    others: Sequence[Sequence[float]],  # (m, 4) xyxy px
) -> bool:
    """Return whether these are the same boxes to the last bit of float32, in whatever order."""
    mine, theirs = (sorted(np.asarray(rows, np.float32).reshape(-1, 4).tolist()) for rows in (boxes, others))
    return bool(mine == theirs)

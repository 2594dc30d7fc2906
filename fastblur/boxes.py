"""Boxes as NumPy arrays, and the one check of their coordinates; without torch, which takes a second to load."""

import numpy as np

Boxes = np.ndarray
"""An image's boxes: (n, 4) float32, xyxy in pixels."""

Size = tuple[int, int]
"""An image's width and height in pixels."""

MAX_COORDINATE = 1 << 24  # pixels; float32 holds every whole number up to here


def within_limit(
    boxes: np.ndarray,  # (..., 4) xyxy px
    limit: float = MAX_COORDINATE,
) -> np.ndarray:  # (...) bool
    """Return which rows have only coordinates up to `limit` pixels from 0; false for one with NaN or infinity."""
    kept: np.ndarray = (np.abs(boxes) <= limit).all(-1)
    return kept


def check_boxes(
    boxes: np.ndarray,  # (B, N, 4) float32 xyxy px
    counts: np.ndarray,  # (B,) int64, how many rows of an image are boxes; the others are not looked at
) -> None:
    """Raise ValueError for the first box of a padded batch that is not four finite numbers up to `MAX_COORDINATE`."""
    if (np.abs(boxes) <= MAX_COORDINATE).all():  # NaN fails too
        return
    wrong = ~within_limit(boxes) & (np.arange(boxes.shape[1]) < counts[:, None])
    for image, row in np.argwhere(wrong):
        raise ValueError(
            f"image {image} has a region {boxes[image, row].tolist()}, "
            f"expected finite coordinates up to {MAX_COORDINATE} px"
        )

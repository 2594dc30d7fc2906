"""Boxes as NumPy arrays, and the checks of their coordinates; without torch, which takes a second to load."""

import numpy as np

Boxes = np.ndarray
"""An image's boxes: (n, 4) float32, xyxy in pixels."""

Size = tuple[int, int]
"""An image's width and height in pixels."""

MAX_COORDINATE = 1 << 24  # pixels; float32 holds every whole number up to here
WITHIN_A_PIXEL = 1.5  # px; boxes relative to the image's sides, 0..1, end before it, also where they reach out of it
BEFORE_A_PIXEL = 1 - WITHIN_A_PIXEL  # px; and begin after it
SMALLEST_FACE = 8  # px; an image that is smaller shows none, whatever its boxes are


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
    """Raise ValueError for the first box of a padded batch that is not two corners, the upper left one first.

    Their coordinates are finite numbers up to `MAX_COORDINATE`.
    """
    near = within_limit(boxes)  # false for NaN
    forward = (boxes[..., 2:] >= boxes[..., :2]).all(-1)
    right = near & forward
    if right.all():
        return
    for image, row in np.argwhere(~right & (np.arange(boxes.shape[1]) < counts[:, None])):
        found = f"image {image} has a region {boxes[image, row].tolist()}"
        if not near[image, row]:
            raise ValueError(f"{found}, expected finite coordinates up to {MAX_COORDINATE} px")
        raise ValueError(
            f"{found}, expected x0 <= x1 and y0 <= y1; Regions.from_boxes(boxes, format='xywh') takes boxes with a "
            "width and height"
        )


def check_pixels(
    boxes: np.ndarray,  # (B, N, 4) float32 xyxy px
    counts: np.ndarray,  # (B,) int64
    sides: np.ndarray | None = None,  # (B,) the shorter side of each image in pixels, where it is known
) -> None:
    """Raise ValueError for an image all of whose boxes lie within 0..1 or little more, as those relative to its sides.

    Boxes without an area are not looked at, and neither are images too small for a face.
    """
    small = ((boxes >= BEFORE_A_PIXEL) & (boxes <= WITHIN_A_PIXEL)).all(-1)
    if not small.any():
        return
    there = (np.arange(boxes.shape[1]) < counts[:, None]) & (boxes[..., 2:] > boxes[..., :2]).all(-1)
    relative = (there & small).any(1) & ~(there & ~small).any(1)
    if sides is not None:
        relative &= sides >= SMALLEST_FACE
    for image in np.flatnonzero(relative):
        row = boxes[image][there[image]][0].tolist()
        raise ValueError(
            f"image {image} has a region {row}, as if in parts of the image, expected pixels; "
            "Regions.from_boxes(boxes, format='xyxyn', size=(height, width)) takes parts"
        )

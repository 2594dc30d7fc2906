"""What peers on (H, W, 3) uint8 arrays share; no peer itself."""

from collections.abc import Iterator

import numpy as np


def image(pixels: np.ndarray) -> np.ndarray:
    return pixels


def pixels(image: np.ndarray) -> np.ndarray:
    return image


def one_thread(count: int) -> None:
    """Do nothing: the library's filters use one thread."""


def longest_side(boxes: np.ndarray) -> float:  # (n, 4) xyxy px
    return float((boxes[:, 2:] - boxes[:, :2]).max())


def rectangles(boxes: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of each box grown by the margin of "ilsvrc", in whole pixels."""
    for x0, y0, x1, y1 in boxes:
        grow = 0.1 * max(x1 - x0, y1 - y0)
        yield (slice(max(0, round(y0 - grow)), max(0, round(y1 + grow))),
               slice(max(0, round(x0 - grow)), max(0, round(x1 + grow))))  # fmt: skip


def supports(image: np.ndarray, boxes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the crop of each region's support, a view, and its float32 mask: 1 in the grown box, 0 elsewhere."""
    reach = round(0.3 * longest_side(boxes))  # three deviations of the feather
    for rows, columns in rectangles(boxes):
        top, left = max(0, rows.start - reach), max(0, columns.start - reach)
        crop = image[top : rows.stop + reach + 1, left : columns.stop + reach + 1]
        mask = np.zeros(crop.shape[:2], np.float32)
        mask[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = 1
        yield crop, mask

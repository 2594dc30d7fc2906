"""The table of images that the loops work on: addresses, sizes and strides, a row an image."""

from collections.abc import Sequence

import numpy as np

IMAGE = np.dtype(
    [(name, np.int64) for name in ("source", "target", "height", "width", "planes", "channels")]
    + [(name, np.int64) for name in ("source_plane", "source_row", "target_plane", "target_row", "mask", "mask_row")]
)
"""One image: the addresses of what is read and written; its sizes, `channels` being elements a pixel within a plane;
elements from plane to plane and from row to row; the address of its mask, and elements from row to row of that."""

ImageRow = tuple[int, ...]
"""The values of one IMAGE."""


def image_row(
    source: int,
    target: int,
    shape: Sequence[int],  # (C, H, W)
    source_strides: Sequence[int],  # of C, H, W, in elements
    target_strides: Sequence[int],
) -> ImageRow | None:
    """Return an image's row from its addresses and strides; None where the loops cannot follow the strides.

    They can where the elements of a row of pixels are contiguous, in planes or channels last, in source and target
    alike.
    """
    read, written = _planes(shape, source_strides), _planes(shape, target_strides)
    if read is None or written is None or read[:2] != written[:2]:
        return None
    return (source, target, *shape[1:], *read, *written[2:], 0, 0)


def _planes(
    shape: Sequence[int],  # (C, H, W)
    strides: Sequence[int],  # of C, H, W, in elements
) -> tuple[int, int, int, int] | None:
    """Return planes, elements a pixel, plane stride and row stride."""
    channels, _, width = shape
    plane, row, column = strides
    if column == 1 or (width == 1 and channels == 1):
        return channels, 1, plane, row
    if plane == 1 and column == channels:
        return 1, channels, 0, row
    return None

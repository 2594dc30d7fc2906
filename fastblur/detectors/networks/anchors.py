"""Anchors: the boxes from which a network's offsets are counted, and how offsets become boxes."""

import functools
from typing import TypeAlias

import torch
from torch import Tensor

Levels: TypeAlias = tuple[tuple[int, tuple[int, ...]], ...]
"""Of each level: its stride, and the sides of a cell's square anchors, in pixels."""

VARIANCES = (0.1, 0.2)  # by which centres (landmarks too) and sides were divided in training, as in SSD


def make_anchors(levels: Levels, height: int, width: int, device: torch.device) -> Tensor:
    """Return the anchors of a (height, width) input, (A, 3) float32: centre x, centre y and side in pixels; cached.

    They are in the order of the heads' rows: level by level, row by row, and each cell's in the order of their sides.
    The tensor is shared between calls and must not be written to.
    """
    if torch.compiler.is_compiling():  # a traced graph makes its own
        return _all_levels(levels, height, width, device)
    return _cached(levels, height, width, device)


@functools.lru_cache(maxsize=64)
def _cached(levels: Levels, height: int, width: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a cached inference tensor would be refused where a gradient is asked for
        # This copy waits, so that threads with other streams find the anchors there.
        return _all_levels(levels, height, width, torch.device("cpu")).to(device)


def _all_levels(levels: Levels, height: int, width: int, device: torch.device) -> Tensor:  # (A, 3)
    tables = []
    for stride, sides in levels:
        rows, columns = -(-height // stride), -(-width // stride)
        table = torch.empty((rows, columns, len(sides), 3), dtype=torch.float32, device=device)
        table[..., 0] = ((torch.arange(columns, device=device) + 0.5) * stride)[:, None]
        table[..., 1] = ((torch.arange(rows, device=device) + 0.5) * stride)[:, None, None]
        for i, side in enumerate(sides):
            table[..., i, 2] = side
        tables.append(table.reshape(-1, 3))
    return torch.cat(tables)


def gather_rows(
    rows: Tensor,  # (B, A, ...)
    index: Tensor | None,  # (B, K) int64
) -> Tensor:  # (B, K, ...)
    """Return the rows of each image that `index` names; all rows for None."""
    if index is None:
        return rows
    wide = index.reshape(*index.shape, *[1] * (rows.ndim - 2)).expand(*index.shape, *rows.shape[2:])
    return rows.gather(1, wide)


def gather_anchors(
    anchors: Tensor,  # (A, 3), the same for all images
    index: Tensor | None,  # (B, K) int64
) -> Tensor:  # (B, K, 3), or (A, 3) for None
    """Return the anchors that `index` names; all of them for None."""
    return anchors if index is None else gather_rows(anchors.expand(len(index), -1, -1), index)


def decode_boxes(
    offsets: Tensor,  # (B, A, 4): centre x and y, log width and height
    anchors: Tensor,  # (B, A, 3) or (A, 3): centre x, centre y, side; px
) -> Tensor:  # (B, A, 4) xyxy px
    """Return the boxes that the offsets give from the anchors.

    The encoding is that of SSD (Liu et al., ECCV 2016, section 2.2) with its variances.
    """
    centre = anchors[..., :2] + offsets[..., :2] * (VARIANCES[0] * anchors[..., 2:])
    half = torch.exp(offsets[..., 2:] * VARIANCES[1]) * (anchors[..., 2:] / 2)
    return torch.cat((centre - half, centre + half), dim=-1)


def decode_landmarks(
    offsets: Tensor,  # (B, A, 10): x and y of five points
    anchors: Tensor,  # (B, A, 3) or (A, 3): centre x, centre y, side; px
) -> Tensor:  # (B, A, 5, 2) xy px
    """Return the landmarks that the offsets give from the anchors' centres."""
    points = offsets.reshape(*offsets.shape[:2], 5, 2)
    return anchors[..., None, :2] + points * (VARIANCES[0] * anchors[..., None, 2:])

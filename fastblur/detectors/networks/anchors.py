"""Anchors: the boxes from which a network's offsets are counted, and how offsets become boxes."""

import functools
from typing import TypeAlias

import torch
from torch import Tensor

Levels: TypeAlias = tuple[
    tuple[int, tuple[int, ...]], ...
]  # of each level: stride, sides of a cell's square anchors (pixels)

VARIANCES = (0.1, 0.2)  # by which centres (landmarks too) and sides were divided in training, as in SSD


def anchors(levels: Levels, height: int, width: int, device: torch.device) -> Tensor:
    """Return the anchors of a (height, width) input, (A, 3) float32: centre x, centre y and side in pixels; cached.

    They stand in the order of the heads' rows: level by level, row by row, and each cell's in the order of their sides.
    The tensor is shared between calls and must not be written to.
    """
    if torch.compiler.is_compiling():  # a graph that is traced makes its own
        return _made(levels, height, width, device)
    return _cached(levels, height, width, device)


@functools.lru_cache(maxsize=64)
def _cached(levels: Levels, height: int, width: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a cached inference tensor would be refused where a gradient is asked for
        # This copy waits, so that threads with other streams find the anchors there.
        return _made(levels, height, width, torch.device("cpu")).to(device)


def _made(levels: Levels, height: int, width: int, device: torch.device) -> Tensor:
    tables = []
    for stride, sides in levels:
        rows, columns = -(-height // stride), -(-width // stride)
        table = torch.empty((rows, columns, len(sides), 3), device=device)
        table[..., 0] = ((torch.arange(columns, device=device) + 0.5) * stride)[:, None]
        table[..., 1] = ((torch.arange(rows, device=device) + 0.5) * stride)[:, None, None]
        for i, side in enumerate(sides):
            table[..., i, 2] = side
        tables.append(table.reshape(-1, 3))
    return torch.cat(tables)


def chosen(rows: Tensor, best: Tensor | None) -> Tensor:
    """Return the rows of (B, A, n), or of (A, n) for all images, that `best` (B, K) names; all rows for None."""
    if best is None:
        return rows
    wide = rows if rows.ndim == 3 else rows.expand(len(best), -1, -1)
    return wide.gather(1, best[..., None].expand(-1, -1, rows.shape[-1]))


def decode_boxes(offsets: Tensor, table: Tensor) -> Tensor:
    """Return the boxes (B, A, 4) xyxy in pixels that `offsets` (B, A, 4) of centre and log side give from the anchors.

    The encoding is that of SSD (Liu et al., ECCV 2016, section 2.2) with its variances.
    """
    centre = table[..., :2] + offsets[..., :2] * (VARIANCES[0] * table[..., 2:])
    half = torch.exp(offsets[..., 2:] * VARIANCES[1]) * (table[..., 2:] / 2)
    return torch.cat((centre - half, centre + half), dim=-1)


def decode_landmarks(offsets: Tensor, table: Tensor) -> Tensor:
    """Return the landmarks (B, A, 5, 2) xy in pixels that `offsets` (B, A, 10) give from the anchors' centres."""
    points = offsets.reshape(*offsets.shape[:2], 5, 2)
    return table[..., None, :2] + points * (VARIANCES[0] * table[..., None, 2:])

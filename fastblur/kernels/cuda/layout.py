"""Where the pixels of a batch lie, as the programs are told: strides of a batch, or a table of a ragged list."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastblur.kernels.cuda.image import (
    ADDRESS,
    COVER,
    COVER_LINE,
    COVER_STEP,
    DEPTH,
    HEIGHT,
    LINE,
    PLANE,
    STEP,
    TABLE,
    WIDTH,
)


@dataclass(frozen=True)
class Layout:
    """A batch: `size` images of at most `channels` x `height` x `width`.

    `image` is what the programs take: first image, table, strides image, plane, row, step. `masks` likewise: first
    mask, strides image, row, step. `together` is the number of channels that lie side by side, or 1; `aligned` is
    ALIGNED.
    """

    size: int
    channels: int
    height: int
    width: int
    together: int
    aligned: bool
    ragged: bool
    image: tuple[Any, ...]
    masks: tuple[Any, ...]
    source: tuple[Sequence[Tensor], Sequence[Tensor], bool]

    @property
    def table(self) -> Tensor:
        """The table of a ragged list, (B, TABLE) int64."""
        table: Tensor = self.image[1]
        return table

    def part(self, first: int, last: int) -> "Layout":
        """Return images `first` to `last` alone."""
        images, masks, apart = self.source
        if self.ragged:
            return ragged(images[first:last], masks[first:last], apart)
        return batched([images[0][first:last]], [mask[first:last] for mask in masks], apart)


def batched(images: Sequence[Tensor], masks: Sequence[Tensor], apart: bool) -> Layout:
    """Return the layout of a batch, the only element of `images` and of `masks`; `apart` takes channels singly."""
    batch = images[0]
    size, channels, height, width = batch.shape
    image, plane, row, step = batch.stride()
    together = 1 if apart else _together(channels, plane, step, batch.dtype)
    if together > 1:
        plane, step = 0, 1
    length = together * width
    parts = (length, row, plane if channels > together else 0, image if size > 1 else 0)
    address = batch.data_ptr() // batch.element_size()
    aligned = step == 1 and not any(part % 4 for part in (*parts, address))
    covers = (masks[0], masks[0].stride(0), *masks[0].stride()[2:]) if masks else (batch, 0, 0, 0)
    placed = (batch, batch, image, plane, row, step)
    return Layout(size, channels, height, width, together, aligned, False, placed, covers, (images, masks, apart))


def ragged(images: Sequence[Tensor], masks: Sequence[Tensor], apart: bool) -> Layout:
    """Put addresses, sizes and strides of every image into a table on the device, by way of pinned memory.

    Raises RuntimeError while a CUDA graph is captured, which would read that memory again after it has been given back.
    """
    first = images[0]
    if first.is_cuda and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("a list of images is blurred while a CUDA graph is captured, expected a batch (B, C, H, W)")
    count = len(images)  # and each is looked at by calls that no Python stands between
    shapes = np.fromiter(chain.from_iterable(map(Tensor.size, images)), np.int64, 3 * count)
    strides = np.fromiter(chain.from_iterable(map(Tensor.stride, images)), np.int64, 3 * count)
    addresses = np.fromiter(map(Tensor.data_ptr, images), np.int64, count)
    channels, height, width = shapes.reshape(-1, 3).T
    plane, row, step = strides.reshape(-1, 3).T
    kinds = zip(channels.tolist(), plane.tolist(), step.tolist(), strict=True)
    ways = set() if apart else {_together(*kind, dtype=first.dtype) for kind in set(kinds)}
    together = ways.pop() if len(ways) == 1 else 1
    if together > 1:
        plane, step = np.zeros_like(plane), np.ones_like(step)
    rest = np.stack((together * width, row, np.where(channels > together, plane, 0), addresses // first.element_size()))
    table = torch.empty((count, TABLE.value), dtype=torch.int64, pin_memory=first.is_cuda)
    rows = table.numpy()
    rows[:, ADDRESS], rows[:, DEPTH], rows[:, HEIGHT], rows[:, WIDTH] = addresses, channels, height, width
    rows[:, PLANE], rows[:, LINE], rows[:, STEP] = plane, row, step
    if masks:
        rows[:, COVER] = [mask.data_ptr() for mask in masks]
        rows[:, COVER_LINE : COVER_STEP + 1] = [mask.stride()[1:] for mask in masks]
    placed = (first, table.to(first.device, non_blocking=True), 0, 0, 0, 0)
    sizes = (int(channels.max()), int(height.max()), int(width.max()))
    covers = (masks[0] if masks else first, 0, 0, 0)
    aligned = bool((step == 1).all() and not (rest % 4).any())
    return Layout(count, *sizes, together, aligned, True, placed, covers, (images, masks, apart))


def _together(channels: int, plane: int, step: int, dtype: torch.dtype) -> int:
    """Return how many channels lie side by side, pixel after pixel, where that pays: in uint8; else 1."""
    return channels if dtype == torch.uint8 and 1 < channels <= 4 and plane == 1 and step == channels else 1

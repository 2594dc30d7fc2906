"""Whether views share memory, so that a write to one would change another."""

from functools import lru_cache
from itertools import combinations

import numpy as np
from torch import Tensor


def _check_memory(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Raise ValueError where a write to one of the outs would change other elements of it, another out, or an image."""
    starts, ends = [], []
    for mine, given in pairs:
        span, itself = _span(mine.shape, mine.stride(), mine.element_size())
        if itself or mine.is_neg():
            raise ValueError("out is a view that negates, or whose elements share memory, expected memory of its own")
        start = mine.data_ptr()
        starts.append(start)
        ends.append(start + span)
        if mine is given or (start == given.data_ptr() and mine.stride() == given.stride()):
            continue
        first = given.data_ptr()
        if first < start + span and start < first + _span(given.shape, given.stride(), given.element_size())[0]:
            raise ValueError("out overlaps the images in memory, expected the images themselves or memory of its own")
    if len(pairs) == 1:
        return
    order = np.argsort(starts, kind="stable")
    if (np.maximum.accumulate(np.array(ends)[order])[:-1] > np.array(starts)[order][1:]).any():
        for (mine, _), (other, _) in combinations(pairs, 2):
            if _meet(mine, other):
                raise ValueError("out has the same memory for several images, expected memory of its own for each")
    read = {given.data_ptr(): i for i, (_, given) in enumerate(pairs)}
    for i, start in enumerate(starts):
        if read.get(start, i) != i and pairs[i][0] is not pairs[i][1]:
            raise ValueError(f"out {i} is image {read[start]}, expected image {i} or memory of its own")


@lru_cache(maxsize=1024)
def _span(shape: tuple[int, ...], strides: tuple[int, ...], size: int) -> tuple[int, bool]:
    """Return how many bytes a view spans, and whether a stride is too short for what the smaller ones span.

    Then elements of the view may share memory.
    """
    last, itself = 0, False
    for stride, count in sorted(zip(strides, shape, strict=True)):
        if count > 1:
            itself |= stride <= last
            last += (count - 1) * stride
    return (last + 1) * size, itself


def _meet(a: Tensor, b: Tensor) -> bool:
    """Whether two views have an element in common, or whether that cannot be told."""
    a0, b0 = a.data_ptr(), b.data_ptr()
    if a0 + _span(a.shape, a.stride(), a.element_size())[0] <= b0:
        return False
    if b0 + _span(b.shape, b.stride(), b.element_size())[0] <= a0:
        return False
    if a.stride() != b.stride() or a.dtype != b.dtype:
        return True
    dims = sorted(zip(a.stride(), a.shape, b.shape, strict=True), reverse=True)

    def reached(distance: int, dims: list[tuple[int, int, int]]) -> bool:
        # Each stride spans all smaller ones, so that only two numbers of steps along it can be right.
        if not dims:
            return distance == 0
        stride, in_a, in_b = dims[0]
        steps = {distance // stride, distance // stride + 1}
        return any(-in_b < step < in_a and reached(distance - step * stride, dims[1:]) for step in steps)

    return reached((b0 - a0) // a.element_size(), dims)

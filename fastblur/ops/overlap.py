"""Whether views share memory, so that a write to one would change another."""

from functools import lru_cache
from itertools import combinations

import numpy as np
from torch import Tensor


def check_memory(
    pairs: list[tuple[Tensor, Tensor]],  # (out, image), both (C, H, W) or both (B, C, H, W)
) -> None:
    """Raise ValueError where a write to one of the outs would change other elements of it, another out, or an image."""
    starts, ends, in_place = [], [], True
    negatable = any(mine.is_floating_point() for mine, _ in pairs[:1])
    size = pairs[0][0].element_size() if pairs else 0
    for mine, given in pairs:
        if mine.is_contiguous():  # which is asked in a quarter of the time that shape and strides take
            span, itself = mine.numel() * size, False
        else:
            span, itself = _span(mine.shape, mine.stride(), size)
        if itself or (negatable and mine.is_neg()):
            raise ValueError("out is a view that negates, or whose elements share memory, expected memory of its own")
        start = mine.data_ptr()
        starts.append(start)
        ends.append(start + span)
        if mine is given:
            continue
        in_place = False
        if start == given.data_ptr() and mine.stride() == given.stride():
            continue
        first = given.data_ptr()
        if first < start + span and start < first + _span(given.shape, given.stride(), size)[0]:
            raise ValueError("out overlaps the images in memory, expected the images themselves or memory of its own")
    if len(pairs) == 1:
        return
    order = np.argsort(starts, kind="stable")
    if (np.maximum.accumulate(np.array(ends)[order])[:-1] > np.array(starts)[order][1:]).any():
        for (mine, _), (other, _) in combinations(pairs, 2):
            if _meet(mine, other):
                raise ValueError("out has the same memory for several images, expected memory of its own for each")
    if in_place:
        return
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


def _meet(
    a: Tensor,  # (C, H, W)
    b: Tensor,
) -> bool:
    """Whether two views have an element in common; true also where NumPy finds that too hard to say."""
    try:
        # NumPy's stub knows only two of the values.
        return np.shares_memory(np.asarray(_Layout(a)), np.asarray(_Layout(b)), max_work=100_000)  # type: ignore[arg-type]
    except RuntimeError:  # TooHardError, whose module depends on NumPy's version
        return True


class _Layout:
    """Where a tensor's elements lie, for NumPy, which does not read them: the memory may be a device's."""

    def __init__(self, view: Tensor) -> None:
        size = view.element_size()
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{size}",
            "data": (view.data_ptr(), False),
            "shape": tuple(view.shape),
            "strides": tuple(stride * size for stride in view.stride()),
        }

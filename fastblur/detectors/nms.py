"""Non-maximum suppression (NMS), exact and greedy, for the boxes of a whole padded batch at once."""

from typing import cast

import torch
from torch import Tensor

from fastblur.kernels.triton_support import HAS_TRITON

BLOCK = 256  # boxes decided together: bounds the memory for overlaps to B * BLOCK * K


def nms(boxes: Tensor, scores: Tensor, valid: Tensor, iou_threshold: float) -> Tensor:
    """Return which boxes greedy NMS keeps.

    A box is kept when its intersection over union with every kept box of a higher score is at most `iou_threshold`.
    Of equal scores the one with the lower index counts as higher. Boxes without area overlap nothing.

    It is one operator of PyTorch, `fastblur::nms`, so that `torch.compile` takes it without looking inside. On CUDA it
    is one Triton program an image (`nms_triton`), elsewhere `nms_torch`; both keep the same boxes.

    Args:
        boxes: (B, K, 4) floating, xyxy.
        scores: (B, K) floating, finite where `valid`.
        valid: (B, K) bool, which rows are boxes; the others are neither kept nor suppress.
        iou_threshold: between 0 and 1.

    Returns (B, K) bool, in the order of `boxes`; no host synchronisation on CUDA.

    Example:
        >>> import torch
        >>> from fastblur.detectors.nms import nms
        >>> boxes = torch.tensor([[[0.0, 0, 10, 10], [1, 0, 10, 10], [20, 0, 30, 10]]])
        >>> nms(boxes, torch.tensor([[0.8, 0.9, 0.7]]), torch.ones(1, 3, dtype=torch.bool), 0.3)
        tensor([[False,  True,  True]])
    """
    return cast(Tensor, torch.ops.fastblur.nms(boxes, scores, valid, iou_threshold))


def nms_torch(boxes: Tensor, scores: Tensor, valid: Tensor, iou_threshold: float) -> Tensor:
    """Return what `nms` returns, by tensor operations on any device.

    Boxes are taken in order of score, a block at a time: those that a kept box of an earlier block suppresses fall
    out, and the keep mask of the rest is iterated to its fixed point, keep[j] = no kept i before j overlaps j. The
    fixed point is unique and is greedy NMS: after n rounds all boxes that depend on chains of up to n suppressions
    are right. On the CPU more boxes than a block go image by image, and what has fallen out is left out from there on,
    so that a crowd of thousands takes seconds; the first round that changes nothing is the last (about the length of
    the longest chain). On CUDA without Triton the host would wait for the device to know, so there are as many rounds
    as a chain can be long, the block's size: right, and slow.
    """
    order = torch.where(valid, scores, -torch.inf).argsort(dim=1, descending=True, stable=True)
    if boxes.device.type == "cpu" and valid.shape[1] > BLOCK:
        keep = torch.zeros_like(valid)
        for i, count in enumerate(valid.sum(1).tolist()):
            keep[i, _keep_of_one(boxes[i], order[i, :count], iou_threshold)] = True
        return keep
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    keep = valid.gather(1, order)
    count = boxes.shape[1]
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        overlaps = iou(boxes[:, start:stop], boxes[:, start:]) > iou_threshold
        among = overlaps[:, :, : stop - start].triu(1)  # i suppresses j only where i comes first
        kept = _fixed_point(keep[:, start:stop], among)
        keep[:, start:stop] = kept
        if stop < count:
            keep[:, stop:] &= ~(overlaps[:, :, stop - start :] & kept[..., None]).any(1)
    return torch.zeros_like(valid).scatter_(1, order, keep)


def _keep_of_one(
    boxes: Tensor,  # (K, 4) xyxy, of one image
    left: Tensor,  # (n,) int64, which of them, by score from the highest
    iou_threshold: float,
) -> Tensor:  # (m,) int64
    """Return the indices of the boxes that are kept; a box that is suppressed is not looked at again."""
    kept = []
    while len(left):
        block, rest = left[:BLOCK], left[BLOCK:]
        among = (iou(boxes[None, block], boxes[None, block]) > iou_threshold).triu(1)
        alive = torch.ones(1, len(block), dtype=torch.bool)
        kept.append(block[_fixed_point(alive, among)[0]])
        if len(rest):
            overlaps = iou(boxes[None, kept[-1]], boxes[None, rest])[0] > iou_threshold
            rest = rest[~overlaps.any(0)]
        left = rest
    return torch.cat(kept) if kept else left


def _fixed_point(
    alive: Tensor,  # (B, n) bool
    suppresses: Tensor,  # (B, n, n) bool, [b, i, j] only where i < j
) -> Tensor:  # (B, n) bool
    """Return the mask for which kept[j] = alive[j] and no kept i suppresses j."""
    kept = alive
    for _ in range(alive.shape[1]):
        previous, kept = kept, alive & ~(suppresses & kept[..., None]).any(1)
        if not alive.is_cuda and torch.equal(previous, kept):
            break
    return kept


def iou(
    a: Tensor,  # (B, n, 4) xyxy
    b: Tensor,  # (B, m, 4) xyxy
) -> Tensor:  # (B, n, m)
    """Return the intersection over union of each with each; NaN where neither has an area."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    width, height = (high - low).clamp(min=0).unbind(-1)
    inter = width * height
    area_a, area_b = ((x[..., 2] - x[..., 0]) * (x[..., 3] - x[..., 1]) for x in (a, b))
    return inter / (area_a[:, :, None] + area_b[:, None] - inter)


def _nms(boxes: Tensor, scores: Tensor, valid: Tensor, iou_threshold: float) -> Tensor:
    if boxes.is_cuda and HAS_TRITON:
        from fastblur.detectors.nms_triton import nms_triton

        return nms_triton(boxes, scores, valid, iou_threshold)
    return nms_torch(boxes, scores, valid, iou_threshold)


def _mask_like(boxes: Tensor, scores: Tensor, valid: Tensor, iou_threshold: float) -> Tensor:
    """Say of fake tensors what the operator makes of them."""
    return torch.empty_like(valid, memory_format=torch.contiguous_format)


# Defined by hand: `torch.library.custom_op` would import the compiler, a second's work, when it is first called.
LIBRARY = torch.library.Library("fastblur", "FRAGMENT")  # type: ignore[no-untyped-call]
LIBRARY.define("nms(Tensor boxes, Tensor scores, Tensor valid, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
LIBRARY.impl("nms", _nms, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("fastblur::nms", _mask_like, lib=LIBRARY)

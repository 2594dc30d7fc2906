# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False
"""NMS on CUDA: one Triton program an image, which goes from each box that is kept to the next.

With TRITON_INTERPRET=1 in the environment when Triton is first imported, it runs on CPU tensors.
"""

from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor


def nms_triton(boxes: Tensor, scores: Tensor, valid: Tensor, iou_threshold: float) -> Tensor:
    """Return what `fastblur.detectors.nms.nms` returns, in one launch, without waiting for the device.

    Each program holds the boxes of its image in registers. It takes the best that is left, drops what overlaps it, and
    goes on until none is left: as many steps as boxes are kept, however many there are, and no box is sorted.
    """
    batch, count = valid.shape
    keep = torch.empty((batch, count), dtype=torch.uint8, device=valid.device)
    if keep.numel():
        rows = max(32, triton.next_power_of_2(count))
        with torch.cuda.device(boxes.device) if boxes.is_cuda else nullcontext():
            keep_best[(batch,)](
                boxes.detach().float().contiguous(),
                scores.detach().float().contiguous(),
                valid.contiguous().view(torch.uint8),
                keep,
                count,
                iou_threshold,
                ROWS=rows,
                **options(rows),
            )
    return keep.view(torch.bool)


def options(rows: int) -> dict[str, Any]:
    """Return how a program of so many rows is compiled."""
    # Products are rounded before they are added, as PyTorch's are: at the threshold itself a bit decides.
    return {"num_warps": min(32, max(4, rows // 256)), "enable_fp_fusion": False}


@triton.jit
def keep_best(boxes, scores, valid, keep, count, threshold, ROWS: tl.constexpr):
    """Write which of an image's (count, 4) boxes are kept; ROWS is a power of two and no less than `count`."""
    i = tl.arange(0, ROWS)
    inside = i < count
    first = tl.program_id(0).to(tl.int64) * count
    x0 = tl.load(boxes + (first + i) * 4, mask=inside, other=0.0)
    y0 = tl.load(boxes + (first + i) * 4 + 1, mask=inside, other=0.0)
    x1 = tl.load(boxes + (first + i) * 4 + 2, mask=inside, other=0.0)
    y1 = tl.load(boxes + (first + i) * 4 + 3, mask=inside, other=0.0)
    area = (x1 - x0) * (y1 - y0)
    gone = float("-inf")
    is_box = tl.load(valid + first + i, mask=inside, other=0) != 0
    left = tl.where(is_box, tl.load(scores + first + i, mask=inside, other=gone), gone)
    kept = tl.zeros((ROWS,), tl.uint8)
    score, best = tl.max(left, 0, return_indices=True, return_indices_tie_break_left=True)
    steps = 0
    while (score > gone) & (steps < count):  # the count only ends what no score should make endless
        kept = tl.where(i == best, 1, kept).to(tl.uint8)
        box = boxes + (first + best) * 4
        left_edge, top, right, bottom = tl.load(box), tl.load(box + 1), tl.load(box + 2), tl.load(box + 3)
        width = tl.maximum(tl.minimum(x1, right) - tl.maximum(x0, left_edge), 0.0)
        height = tl.maximum(tl.minimum(y1, bottom) - tl.maximum(y0, top), 0.0)
        inter = width * height
        union = (right - left_edge) * (bottom - top) + area - inter
        overlaps = tl.div_rn(inter, tl.where(union > 0, union, 1.0)) > threshold
        left = tl.where(overlaps | (i == best), gone, left)
        steps += 1
        score, best = tl.max(left, 0, return_indices=True, return_indices_tie_break_left=True)
    tl.store(keep + first + i, kept, mask=inside)

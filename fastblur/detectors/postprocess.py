"""From a network's candidates to Regions: tensor operations that know no network.

`can_sync` is whether the host may look at values: on CUDA it would wait for the device, under `torch.compile` there are
none. Where it may not, no value decides a shape.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fastblur.detectors.networks.anchors import gather_rows
from fastblur.detectors.networks.spec import Candidates
from fastblur.detectors.nms import nms
from fastblur.regions import Regions

MAX_CANDIDATES = 4096  # anchors of an image that go into NMS from each pass where the host cannot ask for more
MAX_NEAR_MISSES = 16  # of an image
MAX_REGIONS = 512  # rows of an image where the host may not look and so cannot ask how many are needed


def can_sync_host(device: torch.device) -> bool:
    """Return whether the host may look at values on `device`: on the CPU, unless a graph is traced."""
    return device.type == "cpu" and not torch.compiler.is_compiling()


def best_anchors(
    scores: Tensor,  # (B, A) in 0..1 or NaN
    threshold: float,
    can_sync: bool,
) -> Tensor:  # (B, K) int64
    """Return which anchors go into NMS, best first; what is not a number counts as the highest.

    All those of at least the threshold, however many. Where the host may not look they are MAX_CANDIDATES, with some
    under the threshold, or fewer than there are: then `mark_overflow` says so.
    """
    most = int(_reach(scores, threshold).max()) if can_sync else min(MAX_CANDIDATES, scores.shape[1])
    return scores.topk(most, dim=1).indices


def mark_overflow(
    candidates: Candidates,  # (B, K, ...) of the best anchors
    scores: Tensor,  # (B, A) of all anchors
    threshold: float,
) -> Candidates:
    """Return the candidates with a last score that is NaN in images with more than K anchors of at least the threshold.

    Such an image is not known whole, and `to_image_pixels` makes all of it a region: no region is lost in silence. The
    count is made on the device and stays there.
    """
    count = candidates.scores.shape[1]
    if count == scores.shape[1]:
        return candidates
    last = torch.arange(count, device=scores.device) == count - 1
    overflow = (_reach(scores, threshold) > count)[:, None] & last
    return candidates._replace(scores=torch.where(overflow, torch.nan, candidates.scores))


def _reach(scores: Tensor, threshold: float) -> Tensor:  # (B, A) -> (B,) int64
    """Return how many anchors of each image are of at least the threshold, or no number."""
    return (~(scores < threshold)).sum(1)


def to_image_pixels(
    candidates: Candidates,  # in pixels of the network's input
    seen: Tensor,  # (B, 1, 2) float32, (width, height) at which the network saw the images
    size: Tensor,  # (B, 1, 2) float32, the images' own
) -> Candidates:
    """Return the candidates in the images' pixels, clipped to them.

    A candidate whose numbers are not finite becomes the whole image with score 1: nothing is known about the image.
    """
    boxes, scores, landmarks = candidates
    scale = size / seen
    boxes = boxes * scale.repeat(1, 1, 2)
    finite = torch.isfinite(boxes).all(-1) & torch.isfinite(scores)
    whole = torch.cat((torch.zeros_like(size), size), dim=-1)
    boxes = torch.where(finite[..., None], boxes.clamp(min=0).minimum(size.repeat(1, 1, 2)), whole)
    scores = torch.where(finite, scores, 1.0)
    return Candidates(boxes, scores, None if landmarks is None else landmarks * scale[:, :, None])


def join_passes(passes: Sequence[Candidates]) -> Candidates:
    """Return the candidates that all passes found in the same images, side by side."""
    if len(passes) == 1:
        return passes[0]
    landmarks = [one.landmarks for one in passes if one.landmarks is not None]
    return Candidates(
        torch.cat([one.boxes for one in passes], dim=1),
        torch.cat([one.scores for one in passes], dim=1),
        torch.cat(landmarks, dim=1) if landmarks else None,
    )


def join_groups(
    groups: Sequence[Candidates],
    order: Sequence[int],  # the index of each image, in the order of the groups
) -> Candidates:
    """Return the candidates of all groups as one batch in the images' order, padded with scores of -1."""
    if len(groups) == 1 and list(order) == sorted(order):
        return groups[0]
    most = max(group.scores.shape[1] for group in groups)
    index = torch.tensor(order).argsort()

    def in_order(tensors: list[Tensor], fill: float = 0.0) -> Tensor:
        """Return (b, k, ...) of each group as (B, most, ...)."""
        wide = [F.pad(t, (0, 0) * (t.ndim - 2) + (0, most - t.shape[1]), value=fill) for t in tensors]
        return torch.cat(wide)[index]

    landmarks = [group.landmarks for group in groups if group.landmarks is not None]
    return Candidates(
        in_order([group.boxes for group in groups]),
        in_order([group.scores for group in groups], -1.0),
        in_order(landmarks) if landmarks else None,
    )


def to_regions(candidates: Candidates, threshold: float, nms_threshold: float, can_sync: bool) -> Regions:
    """Return the candidates of at least the threshold that NMS keeps, by score from the highest."""
    keep = _kept(candidates, threshold, nms_threshold)
    return _sorted_regions(candidates, keep, can_sync, MAX_REGIONS, merge=True)


def to_regions_and_near_misses(
    candidates: Candidates, threshold: float, lowest: float, nms_threshold: float, can_sync: bool
) -> tuple[Regions, Regions]:
    """Return what `to_regions` does, and what NMS keeps of the scores from `lowest` up to the threshold.

    NMS drops no candidate for one of a lower score, so the former are the same whatever `lowest` is.
    """
    if can_sync:  # most candidates are near misses, and most images have hardly any
        most = int((candidates.scores >= threshold).sum(1).max())
        best = candidates.scores.argsort(dim=1, descending=True, stable=True)[:, :most]
        landmarks = None if candidates.landmarks is None else gather_rows(candidates.landmarks, best)
        few = Candidates(gather_rows(candidates.boxes, best), gather_rows(candidates.scores, best), landmarks)
        regions = to_regions(few, threshold, nms_threshold, can_sync)
        valid = (candidates.scores < threshold) & _are_boxes(candidates, lowest)
        return regions, _near_misses_by_image(candidates, valid, regions, nms_threshold)
    keep = _kept(candidates, lowest, nms_threshold)
    reached = candidates.scores >= threshold
    regions = _sorted_regions(candidates, keep & reached, can_sync, MAX_REGIONS, merge=True)
    near = candidates._replace(landmarks=None)
    return regions, _sorted_regions(near, keep & ~reached, can_sync, MAX_NEAR_MISSES, merge=False)


def _near_misses_by_image(
    candidates: Candidates,  # on the CPU
    valid: Tensor,  # (B, K) bool, which may be near misses
    regions: Regions,  # that NMS kept of the others
    nms_threshold: float,
) -> Regions:
    """Return the near misses, by score from the highest, at most MAX_NEAR_MISSES an image.

    NumPy, one image after the other, and no further than needed: in a padded batch NMS would compare each candidate
    with all, for the sake of the few images that have many.
    """
    boxes, scores = candidates.boxes.numpy(), candidates.scores.numpy()
    found: list[list[int]] = []
    for image, few in enumerate(valid.numpy()):
        left = np.flatnonzero(few)
        left = left[np.argsort(-scores[image, left], kind="stable")]
        for region in regions[image].numpy() if len(left) else ():
            left = left[~(_overlaps(region, boxes[image, left]) > nms_threshold)]
        kept: list[int] = []
        while len(left) and len(kept) < MAX_NEAR_MISSES:
            kept.append(left[0])
            left = left[1:]
            left = left[~(_overlaps(boxes[image, kept[-1]], boxes[image, left]) > nms_threshold)]
        found.append(kept)
    most = max(map(len, found))
    rows = torch.tensor([kept + [0] * (most - len(kept)) for kept in found], dtype=torch.int64).view(len(found), most)
    counts = torch.tensor([len(kept) for kept in found])
    return Regions(gather_rows(candidates.boxes, rows), counts, gather_rows(candidates.scores, rows))


def _overlaps(
    box: NDArray[np.float32],  # (4,) xyxy
    others: NDArray[np.float32],  # (n, 4)
) -> NDArray[np.float32]:  # (n,)
    """Return the intersection over union of a box with each of the others, all of which have an area, as `nms.iou`."""
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    inter = width.clip(0) * height.clip(0)
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    ratio: NDArray[np.float32] = inter / ((box[2] - box[0]) * (box[3] - box[1]) + areas - inter)
    return ratio


def _kept(candidates: Candidates, lowest: float, nms_threshold: float) -> Tensor:  # (B, K) bool
    boxes, scores, _ = candidates
    return nms(boxes, scores, _are_boxes(candidates, lowest), nms_threshold)


def _are_boxes(candidates: Candidates, lowest: float) -> Tensor:  # (B, K) bool
    """Return which candidates have at least the score and an area."""
    boxes, scores, _ = candidates
    return (scores >= lowest) & (boxes[..., :2] < boxes[..., 2:]).all(-1)


def _sorted_regions(
    candidates: Candidates,
    keep: Tensor,  # (B, K) bool
    can_sync: bool,
    rows: int,  # of an image at most, where there is a limit
    *,
    merge: bool,  # the boxes of more rows into the last one; else they are left out
) -> Regions:
    """Return the candidates that are kept, by score from the highest."""
    boxes, scores, landmarks = candidates
    counts = keep.sum(1)
    order = torch.where(keep, scores, -torch.inf).argsort(dim=1, descending=True, stable=True)
    if can_sync:
        order = order[:, : int(counts.max())]
    if (not can_sync or not merge) and order.shape[1] > rows:
        kept = merge_beyond(gather_rows(boxes, order), counts, rows) if merge else gather_rows(boxes, order[:, :rows])
        order, counts = order[:, :rows], counts.clamp(max=rows)
    else:
        kept = gather_rows(boxes, order)
    landmarks = None if landmarks is None else gather_rows(landmarks, order)
    return Regions(kept, counts, gather_rows(scores, order), landmarks)


def merge_beyond(
    boxes: Tensor,  # (B, K, 4), K > rows
    counts: Tensor,  # (B,) how many of the K are boxes
    rows: int,
) -> Tensor:  # (B, rows, 4)
    """Return the first `rows` boxes; of an image with more, the last row is the box around all others."""
    index = torch.arange(boxes.shape[1], device=boxes.device)
    beyond = ((index >= rows - 1) & (index < counts[:, None]))[..., None]
    low = torch.where(beyond, boxes[..., :2], torch.inf).amin(1)
    high = torch.where(beyond, boxes[..., 2:], -torch.inf).amax(1)
    around = torch.where(counts[:, None] >= rows, torch.cat((low, high), dim=1), 0.0)
    return torch.cat((boxes[:, : rows - 1], around[:, None]), dim=1)

"""Near misses: what the detector saw and the threshold left out, kept in the journal for people to look at."""

from collections.abc import Sequence
from math import ceil, floor

from fastblur.boxes import Boxes

MOST = 16  # of an image
HIDDEN_SHARE = 0.5  # of a near miss's area in a region, from which on it is hidden with that

NearMiss = tuple[Sequence[float], float]
"""A box, xyxy px in stored coordinates, and its score."""

NearMisses = list[NearMiss]


def near_misses(
    boxes: Boxes,  # (n, 4) xyxy px, of the regions
    found: NearMisses,
) -> NearMisses:
    """Return the near misses to keep, by score from the highest: boxes of whole pixels, scores of three digits.

    Those that lie in a region by half or more are left out, and of the others those beyond `MOST`. Boxes are rounded
    outward: whoever finds a face in one hides it whole.

    Example:
        >>> import numpy as np
        >>> from fastblur.pipeline.images.near_misses import near_misses
        >>> found = [([1.5, 2.0, 8.2, 9.0], 0.1254), ([41.0, 40.0, 48.0, 50.0], 0.2)]
        >>> near_misses(np.array([[40, 40, 60, 60]], np.float32), found)
        [([1, 2, 9, 9], 0.125)]
    """
    regions = boxes.tolist()
    kept: NearMisses = [
        ([floor(box[0]), floor(box[1]), ceil(box[2]), ceil(box[3])], round(score, 3))
        for box, score in sorted(found, key=lambda one: -one[1])
        if not any(share_within(box, region) >= HIDDEN_SHARE for region in regions)
    ]
    return kept[:MOST]


def share_within(box: Sequence[float], other: Sequence[float]) -> float:
    """Return the share of a box's area that lies in another; both are xyxy px."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]))

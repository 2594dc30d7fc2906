"""Near misses: what the detector saw and the threshold left out, kept in the journal for people to look at."""

from collections.abc import Sequence
from math import ceil, floor

import numpy as np

from fastblur.boxes import Boxes

MOST = 16  # of an image
HIDDEN_SHARE = 0.5  # of a near miss's area in a region, from which on it is hidden with that
MARGIN = 0.1  # of a region's longer side that every recipe and method hides around it, unless told otherwise
SLACK = 1e-6  # so that 0.29 is 29 %
ROW = 5  # numbers of a near miss in the journal: x0, y0, x1, y1, percent

NearMiss = tuple[Sequence[float], float]
"""A box, xyxy px in stored coordinates, and its score."""

NearMisses = list[NearMiss]


def near_misses(
    boxes: Boxes,  # (n, 4) xyxy px, of the regions
    found: NearMisses,
) -> NearMisses:
    """Return the near misses to keep, by score from the highest: boxes of whole pixels, scores of three digits.

    Those that lie by half or more in what is hidden for a region are left out, and of the others those beyond `MOST`.
    Boxes are rounded outward, since whoever finds a face in one hides it whole, and scores down.

    Example:
        >>> import numpy as np
        >>> from fastblur.pipeline.images.near_misses import near_misses
        >>> found = [([1.5, 2.0, 8.2, 9.0], 0.1254), ([41.0, 40.0, 48.0, 50.0], 0.2)]
        >>> near_misses(np.array([[40, 40, 60, 60]], np.float32), found)
        [([1, 2, 9, 9], 0.125)]
    """
    margin = MARGIN * (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True, initial=0)
    regions = np.hstack((boxes[:, :2] - margin, boxes[:, 2:] + margin)).tolist()
    kept: NearMisses = [
        ([floor(box[0]), floor(box[1]), ceil(box[2]), ceil(box[3])], floor(1000 * score + SLACK) / 1000)
        for box, score in sorted(found, key=lambda one: -one[1])
        if not any(share_within(box, region) >= HIDDEN_SHARE for region in regions)
    ]
    return kept[:MOST]


def to_journal(found: NearMisses) -> list[int]:
    """Return near misses as the journal has them: one list of x0, y0, x1, y1 and the score in whole percent, down.

    Example:
        >>> from fastblur.pipeline.images.near_misses import to_journal
        >>> to_journal([([1, 2, 9, 9], 0.129), ([41, 40, 48, 50], 0.11)])
        [1, 2, 9, 9, 12, 41, 40, 48, 50, 11]
    """
    return [int(value) for box, score in found for value in (*box, floor(100 * score + SLACK))]


def from_journal(values: Sequence[int]) -> NearMisses:
    """Return near misses that `to_journal` made a list of; raises ValueError where their numbers are not whole rows."""
    if len(values) % ROW:
        raise ValueError(f"near misses are {len(values)} numbers, expected {ROW} for each")
    return [(values[i : i + 4], values[i + 4] / 100) for i in range(0, len(values), ROW)]


def share_within(box: Sequence[float], other: Sequence[float]) -> float:
    """Return the share of a box's area that lies in another; both are xyxy px."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / ((box[2] - box[0]) * (box[3] - box[1]))

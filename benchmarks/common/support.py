"""How many pixels a recipe may change: what an operator has to read and write at least."""

import numpy as np

from tests import formula


def support_pixels(boxes: np.ndarray, height: int, width: int, recipe: str) -> int:  # boxes: (N, 4) xyxy px
    """Return how many pixels lie in the support of some region, by the masks of the float64 formula."""
    parameters = formula.RECIPES[recipe]
    sides = [formula.longer_side(box) for box in boxes]
    covered = np.zeros((height, width), bool)
    for box, side in zip(boxes, sides, strict=True):
        deviation = parameters["feather"] * (max(sides) if parameters["scope"] == "image" else side)
        mask = formula.soft_mask(
            box, height, width, margin=parameters["margin"], deviation=deviation, shape=parameters["shape"]
        )
        covered |= mask > 0
    return int(covered.sum())

"""SciPy: each region's support and its mask through ndimage.gaussian_filter in float32."""

import numpy as np
from scipy.ndimage import gaussian_filter

from benchmarks.peers._arrays import image, longest_side, pixels, supports
from benchmarks.peers._arrays import one_thread as threads

NAME, PACKAGE, SAME = "SciPy per region", "scipy", True
LACKS = "the masks of faces that are close to each other add up otherwise; one thread"
__all__ = ["image", "pixels", "threads"]


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    out = image.copy()
    deviation = 0.1 * longest_side(boxes)
    for crop, mask in supports(out, boxes):
        value = crop.astype(np.float32)
        soft = gaussian_filter(mask, deviation, mode="nearest", truncate=3)[..., None]
        blurred = gaussian_filter(value, (deviation, deviation, 0), mode="nearest", truncate=3)
        crop[:] = (value + soft * (blurred - value) + 0.5).astype(np.uint8)
    return out

"""SciPy: each region's support and its mask through ndimage.gaussian_filter in float32."""

import numpy as np
from scipy.ndimage import gaussian_filter

NAME, PACKAGE, SAME = "SciPy per region", "scipy", True
LACKS = "the masks of faces that are close to each other add up otherwise; one thread"


def image(pixels: np.ndarray) -> np.ndarray:
    return pixels


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    out = image.copy()
    height, width = image.shape[:2]
    deviation = 0.1 * float(max(max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes))
    reach = 3 * deviation
    for x0, y0, x1, y1 in boxes:
        grow = 0.1 * max(x1 - x0, y1 - y0)
        left, top = max(0, int(x0 - grow - reach)), max(0, int(y0 - grow - reach))
        right, bottom = min(width, int(x1 + grow + reach) + 1), min(height, int(y1 + grow + reach) + 1)
        crop = out[top:bottom, left:right].astype(np.float32)
        mask = np.zeros(crop.shape[:2], np.float32)
        rows = slice(max(0, round(y0 - grow) - top), max(0, round(y1 + grow) - top))
        mask[rows, max(0, round(x0 - grow) - left) : max(0, round(x1 + grow) - left)] = 1
        mask = gaussian_filter(mask, deviation, mode="nearest", truncate=3)[..., None]
        blurred = gaussian_filter(crop, (deviation, deviation, 0), mode="nearest", truncate=3)
        out[top:bottom, left:right] = (crop + mask * (blurred - crop) + 0.5).astype(np.uint8)
    return out


def pixels(image: np.ndarray) -> np.ndarray:
    return image


def threads(count: int) -> None:
    """Do nothing: SciPy's filters use one thread."""

"""OpenCV: a box filter inside an ellipse, as the deface command does it; rewritten from its documentation.

The box is grown by 1.3, the filter is half as large as the box, an ellipse inscribed in the box shows it.
"""

import cv2
import numpy as np

from benchmarks.peers.opencv_regions import image, pixels, threads

NAME, PACKAGE, SAME = "OpenCV ellipse (deface)", "opencv-python-headless", False
LACKS = "box filter, hard edge, corners of the boxes stay visible"
__all__ = ["image", "pixels", "threads"]


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    out = image.copy()
    height, width = image.shape[:2]
    for x0, y0, x1, y1 in boxes:
        more_x, more_y = 0.15 * (x1 - x0), 0.15 * (y1 - y0)
        left, top = max(0, int(x0 - more_x)), max(0, int(y0 - more_y))
        right, bottom = min(width, int(x1 + more_x)), min(height, int(y1 + more_y))
        crop = out[top:bottom, left:right]
        if not crop.size:
            continue
        half = (right - left) // 2, (bottom - top) // 2
        blurred = cv2.blur(crop, (max(1, half[0]), max(1, half[1])))
        mask = np.zeros(crop.shape[:2], np.uint8)
        cv2.ellipse(mask, half, half, 0, 0, 360, 255, cv2.FILLED)
        cv2.copyTo(blurred, mask, crop)
    return out

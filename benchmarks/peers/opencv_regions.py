"""OpenCV: each region on the crop of its support, blended under a Gaussian-filtered rectangle."""

import cv2
import numpy as np

from benchmarks.peers._arrays import image, longest_side, pixels, supports

NAME, PACKAGE, SAME = "OpenCV per region", "opencv-python-headless", True
LACKS = "the masks of faces that are close to each other add up otherwise; one image at a time"
threads = cv2.setNumThreads
__all__ = ["image", "pixels"]


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    out = image.copy()
    deviation = 0.1 * longest_side(boxes)
    for crop, mask in supports(out, boxes):
        soft = cv2.GaussianBlur(mask, (0, 0), deviation)[..., None]
        blurred = cv2.GaussianBlur(crop, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)
        crop[:] = (crop + soft * (blurred.astype(np.float32) - crop) + 0.5).astype(np.uint8)
    return out

"""supervision's BlurAnnotator: a box filter over each box, in place."""

import cv2
import numpy as np
import supervision

NAME, PACKAGE, SAME = "supervision BlurAnnotator", "supervision", False
LACKS = "box filter, hard edge, no margin"
threads = cv2.setNumThreads
_ANNOTATOR = supervision.BlurAnnotator()


def image(pixels: np.ndarray) -> np.ndarray:
    return pixels.copy()


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return _ANNOTATOR.annotate(image, supervision.Detections(xyxy=boxes))


def pixels(image: np.ndarray) -> np.ndarray:
    return image

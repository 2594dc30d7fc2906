"""supervision's BlurAnnotator: a box filter over each box, in place."""

import cv2
import numpy as np
import supervision

from benchmarks.peers._arrays import pixels

NAME, PACKAGE, SAME = "supervision BlurAnnotator", "supervision", False
LACKS = "box filter, hard edge, no margin"
threads, image = cv2.setNumThreads, np.copy
__all__ = ["pixels"]
_ANNOTATOR = supervision.BlurAnnotator()


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    return _ANNOTATOR.annotate(image, supervision.Detections(xyxy=boxes))

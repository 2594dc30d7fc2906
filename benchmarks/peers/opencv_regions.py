"""OpenCV: each region on the crop of its support, blended under a Gaussian-filtered rectangle."""

import cv2
import numpy as np

NAME, PACKAGE, SAME = "OpenCV per region", "opencv-python-headless", True
LACKS = "the masks of faces that are close to each other add up otherwise; one image at a time"
threads = cv2.setNumThreads


def image(pixels: np.ndarray) -> np.ndarray:
    return pixels


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    out = image.copy()
    height, width = image.shape[:2]
    deviation = 0.1 * max(max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes)
    for x0, y0, x1, y1 in boxes:
        grow = 0.1 * max(x1 - x0, y1 - y0)
        reach = 3 * deviation
        left, top = max(0, int(x0 - grow - reach)), max(0, int(y0 - grow - reach))
        right, bottom = min(width, int(x1 + grow + reach) + 1), min(height, int(y1 + grow + reach) + 1)
        crop = out[top:bottom, left:right]
        mask = np.zeros(crop.shape[:2], np.float32)
        corners = (int(x0 - grow) - left, int(y0 - grow) - top), (int(x1 + grow) - left, int(y1 + grow) - top)
        cv2.rectangle(mask, *corners, 1.0, cv2.FILLED)
        mask = cv2.GaussianBlur(mask, (0, 0), deviation)[..., None]
        blurred = cv2.GaussianBlur(crop, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)
        out[top:bottom, left:right] = (crop + mask * (blurred.astype(np.float32) - crop) + 0.5).astype(np.uint8)
    return out


def pixels(image: np.ndarray) -> np.ndarray:
    return image

"""albumentations as img2dataset's face blurring uses it, rewritten from its documentation.

Image and three-channel mask as float32, both through gaussian_blur over the whole image, taps that end at four
deviations, blended.
"""

import cv2
import numpy as np
from albumentations.augmentations.functional import gaussian_blur

from benchmarks.peers._arrays import image, longest_side, pixels, rectangles

NAME, PACKAGE, SAME = "albumentations (img2dataset)", "albumentations", False
LACKS = "filters the whole image in float32, mirrors it at its border, cuts decimals off"
threads = cv2.setNumThreads
__all__ = ["image", "pixels"]


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    value = image.astype(np.float32) / 255
    mask = np.zeros_like(value)
    for rows, columns in rectangles(boxes):
        mask[rows, columns] = 1
    deviation = 0.1 * longest_side(boxes)
    taps = int(2 * np.ceil(4 * deviation)) + 1
    soft = gaussian_blur(mask, taps, deviation)
    return ((value * (1 - soft) + gaussian_blur(value, taps, deviation) * soft) * 255).astype(np.uint8)

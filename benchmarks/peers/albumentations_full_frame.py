"""albumentations as img2dataset's face blurring uses it; written anew from its documentation.

Image and three-channel mask as float32, both through gaussian_blur over the whole image, taps that end at four
deviations, blended.
"""

import cv2
import numpy as np
from albumentations.augmentations.functional import gaussian_blur

NAME, PACKAGE, SAME = "albumentations (img2dataset)", "albumentations", False
LACKS = "filters the whole image in float32, mirrors it at its border, cuts decimals off"
threads = cv2.setNumThreads


def image(pixels: np.ndarray) -> np.ndarray:
    return pixels


def hide(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    value = image.astype(np.float32) / 255
    mask = np.zeros_like(value)
    largest = 0.0
    for x0, y0, x1, y1 in boxes:
        d = max(x1 - x0, y1 - y0)
        largest = max(largest, d)
        rows = slice(max(0, int(y0 - 0.1 * d)), int(y1 + 0.1 * d))
        mask[rows, max(0, int(x0 - 0.1 * d)) : int(x1 + 0.1 * d)] = 1
    deviation = 0.1 * float(largest)
    taps = int(2 * np.ceil(4 * deviation)) + 1
    soft = gaussian_blur(mask, taps, deviation)
    return ((value * (1 - soft) + gaussian_blur(value, taps, deviation) * soft) * 255).astype(np.uint8)


def pixels(image: np.ndarray) -> np.ndarray:
    return image

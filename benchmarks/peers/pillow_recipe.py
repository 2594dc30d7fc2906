"""The ImageNet team's recipe in Pillow, written anew from the paper (Yang et al., ICML 2022).

Rectangles are drawn on a mask, mask and image go through ImageFilter.GaussianBlur, Image.composite puts them together.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

NAME, PACKAGE, SAME = "Pillow recipe", "pillow", True
LACKS = "filters the whole image, three box filters for a Gaussian, one image at a time"


def image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels)


def hide(image: Image.Image, boxes: np.ndarray) -> Image.Image:
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    largest = 0.0
    for x0, y0, x1, y1 in boxes:
        d = max(x1 - x0, y1 - y0)
        largest = max(largest, d)
        draw.rectangle((x0 - 0.1 * d, y0 - 0.1 * d, x1 + 0.1 * d, y1 + 0.1 * d), fill=255)
    filtered = ImageFilter.GaussianBlur(float(0.1 * largest))
    return Image.composite(image.filter(filtered), image, mask.filter(filtered))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def threads(count: int) -> None:
    """Do nothing: Pillow's filters use one thread."""

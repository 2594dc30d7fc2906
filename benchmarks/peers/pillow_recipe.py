"""The ImageNet team's recipe in Pillow, rewritten from the paper (Yang et al., ICML 2022).

Rectangles are drawn on a mask, mask and image go through ImageFilter.GaussianBlur, Image.composite puts them together.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.peers._arrays import longest_side
from benchmarks.peers._arrays import one_thread as threads

NAME, PACKAGE, SAME = "Pillow recipe", "pillow", True
LACKS = "filters the whole image, three box filters for a Gaussian, one image at a time"
image, pixels = Image.fromarray, np.asarray
__all__ = ["threads"]


def hide(image: Image.Image, boxes: np.ndarray) -> Image.Image:
    mask = Image.new("L", image.size)
    draw = ImageDraw.Draw(mask)
    for x0, y0, x1, y1 in boxes:
        grow = 0.1 * max(x1 - x0, y1 - y0)
        draw.rectangle((x0 - grow, y0 - grow, x1 + grow, y1 + grow), fill=255)
    filtered = ImageFilter.GaussianBlur(0.1 * longest_side(boxes))
    return Image.composite(image.filter(filtered), image, mask.filter(filtered))

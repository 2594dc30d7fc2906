"""An image seen in other ways, in which a detector may find what it missed, and the way of its boxes back."""

from collections.abc import Callable, Iterator
from math import cos, radians, sin
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastblur.boxes import Boxes
from fastblur.codecs.picture import Pixels

LONGEST = 1600  # px of the longer side to which an image is enlarged at most: it bounds the time
TILT = 30  # degrees
NAMES = (
    "as it is",
    "enlarged",
    "mirrored",
    "turned by 90",
    "turned by 180",
    "turned by 270",
    "turned by +30",
    "turned by -30",
)
"""What is done to an image, in order; one that is large already is not enlarged."""

GREY = (127, 127, 127)  # what lies around a tilted image


class View(NamedTuple):
    """An image seen in another way.

    Attributes:
        name: what was done to the image.
        pixels: (h, w, 3) uint8 RGB.
        back: takes boxes in the view, (n, 4) xyxy px, to the image.
    """

    name: str
    pixels: Pixels
    back: Callable[[Boxes], Boxes]


def views(pixels: Pixels) -> Iterator[View]:  # (h, w, 3), upright RGB
    """Yield an image as it is, enlarged, mirrored, and turned by 90, 180, 270 and 30 degrees either way."""
    height, width = pixels.shape[:2]
    yield View("as it is", pixels, lambda boxes: boxes)
    factor = min(2.0, LONGEST / max(height, width))
    if factor > 1:
        yield _enlarged(pixels, factor)
    yield View("mirrored", pixels[:, ::-1].copy(), lambda b: _corners(width - b[:, 0::2], b[:, 1::2]))
    quarters: list[tuple[int, Callable[[Boxes], Boxes]]] = [
        (1, lambda b: _corners(width - b[:, 1::2], b[:, 0::2])),
        (2, lambda b: _corners(width - b[:, 0::2], height - b[:, 1::2])),
        (3, lambda b: _corners(b[:, 1::2], height - b[:, 0::2])),
    ]
    for turns, back in quarters:
        yield View(f"turned by {90 * turns}", np.rot90(pixels, turns).copy(), back)
    for degrees in (TILT, -TILT):
        yield _tilted(pixels, degrees)


def _enlarged(pixels: Pixels, factor: float) -> View:
    height, width = pixels.shape[:2]
    size = round(width * factor), round(height * factor)
    large = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    scale = np.array([width / size[0], height / size[1]] * 2, np.float32)
    return View("enlarged", large, lambda boxes: boxes * scale)


def _tilted(pixels: Pixels, degrees: int) -> View:
    """Turn an image counter-clockwise about its centre; the frame grows so that nothing is cut off."""
    height, width = pixels.shape[:2]
    turned = Image.fromarray(pixels).rotate(degrees, Image.Resampling.BILINEAR, expand=True, fillcolor=GREY)
    c, s = cos(radians(degrees)), sin(radians(degrees))

    def back(boxes: Boxes) -> Boxes:
        """A box keeps its size, since a face that stands upright in the view is tilted in the image."""
        x, y = (boxes[:, 0::2].mean(1) - turned.width / 2, boxes[:, 1::2].mean(1) - turned.height / 2)
        centre_x, centre_y = c * x - s * y + width / 2, s * x + c * y + height / 2
        half_x, half_y = (boxes[:, 2] - boxes[:, 0]) / 2, (boxes[:, 3] - boxes[:, 1]) / 2
        found = np.stack((centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y), axis=1)
        return found.clip(0, np.array([width, height] * 2)).astype(np.float32)

    return View(f"turned by {degrees:+}", np.array(turned), back)


def _corners(
    x: NDArray[np.float32],  # (n, 2) of two opposite corners
    y: NDArray[np.float32],  # (n, 2)
) -> Boxes:
    return np.stack((x.min(1), y.min(1), x.max(1), y.max(1)), axis=1)

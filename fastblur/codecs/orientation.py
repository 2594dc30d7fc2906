"""EXIF orientation: the way between the stored and the upright picture, for pixels and for boxes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastblur.codecs.picture import Picture, Pixels
from fastblur.codecs.pillow_io import to_image, to_pixels

# EXIF orientation: (the axes are swapped, then x is mirrored, then y is mirrored) leads from stored to upright.
_TO_UPRIGHT = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


def upright_rgb(picture: Picture) -> Pixels:  # (h, w, 3)
    """Return the picture as it is meant to be seen, (h, w, 3) uint8 RGB, C-contiguous, for a detector.

    The EXIF orientation is applied, grey and CMYK become RGB, and alpha is left out: what lies under transparent pixels
    is seen too, since whoever drops the alpha channel would see it. An upright RGB picture gives its own pixels, not
    a copy: they must not be written to.
    """
    pixels, color = picture.pixels, picture.color
    if color in ("L", "LA"):
        rgb = np.empty((*pixels.shape[:2], 3), np.uint8)
        rgb[...] = pixels[..., :1]
    elif color == "CMYK":
        rgb = to_pixels(to_image(pixels, "CMYK"), "RGB")
    else:
        rgb = pixels[..., :3]
    swap, mirror_x, mirror_y = _TO_UPRIGHT[picture.orientation]
    if swap:
        rgb = rgb.swapaxes(0, 1)
    return np.ascontiguousarray(rgb[:: -1 if mirror_y else 1, :: -1 if mirror_x else 1])


def stored_boxes(boxes: Any, picture: Picture) -> NDArray[np.float32]:
    """Return boxes found in `upright_rgb(picture)` in the coordinates of `picture.pixels`.

    Args:
        boxes: (n, 4) xyxy in pixels of the upright image; n may be 0.
        picture: whose orientation counts.

    Returns: (n, 4) float32 xyxy, rows in the same order, always a new array.
    Raises ValueError for another shape.

    Example:
        >>> import numpy as np
        >>> from fastblur.codecs import Picture, stored_boxes, upright_rgb
        >>> picture = Picture(np.zeros((20, 30, 3), np.uint8), "JPEG", "RGB", 6, b"")
        >>> upright_rgb(picture).shape
        (30, 20, 3)
        >>> stored_boxes([[0, 0, 5, 10]], picture)
        array([[ 0., 15., 10., 20.]], dtype=float32)
    """
    upright = np.asarray(boxes, np.float32)
    if upright.ndim != 2 or upright.shape[1] != 4:
        raise ValueError(f"boxes have shape {upright.shape}, expected (n, 4)")
    swap, mirror_x, mirror_y = _TO_UPRIGHT[picture.orientation]
    height, width = picture.pixels.shape[:2]
    if swap:
        height, width = width, height
    x0, y0, x1, y1 = upright.T
    if mirror_x:
        x0, x1 = width - x1, width - x0
    if mirror_y:
        y0, y1 = height - y1, height - y0
    return np.stack((y0, x0, y1, x1) if swap else (x0, y0, x1, y1), axis=1)

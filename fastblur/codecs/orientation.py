"""EXIF orientation: the way between the stored and the upright picture, for pixels and for boxes."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fastblur.codecs.picture import DeepPixels, Picture, Pixels
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

    The EXIF orientation is applied, grey and CMYK become RGB, 16 bits become 8, and alpha is left out: what lies under
    transparent pixels is seen too, since whoever drops the alpha channel would see it. An upright RGB picture gives its
    own pixels, not a copy: they must not be written to.
    """
    return _upright(_to_8_bits(picture.pixels, 0, 65535), picture)


def upright_views(picture: Picture) -> list[Pixels]:  # (h, w, 3) each
    """Return all that a detector has to see of a picture, as `upright_rgb` gives it, which is the first.

    An alpha channel that is not the same everywhere may hold a picture of its own, in either polarity. Of 16 bits a
    channel a photograph may fill a small part, so that 8 of them show little: then it is seen stretched too.

    Example:
        >>> import numpy as np
        >>> from fastblur.codecs import Picture, upright_views
        >>> pixels = np.zeros((2, 3, 4), np.uint8)
        >>> len(upright_views(Picture(pixels, "PNG", "RGBA", 1, b"")))
        1
        >>> pixels[0, 0, 3] = 200
        >>> len(upright_views(Picture(pixels, "PNG", "RGBA", 1, b"")))
        3
    """
    pixels, views = picture.pixels, [upright_rgb(picture)]
    if pixels.dtype == np.uint16 and pixels.size:
        low, high = np.percentile(pixels[..., :3] if picture.color != "LA" else pixels[..., :1], (0.1, 99.9))
        if high - low < 0.5 * 65535:
            views.append(_upright(_to_8_bits(pixels, low, high), picture))
    if picture.color in ("LA", "RGBA"):
        alpha = pixels[..., -1:]
        low, high = float(alpha.min()), float(alpha.max())
        if low < high:
            levels = _to_8_bits(alpha, low, high)
            grey = replace(picture, color="L")
            views += [_upright(levels, grey), _upright(255 - levels, grey)]
    return views


def _to_8_bits(
    pixels: Pixels | DeepPixels,  # (H, W, C)
    low: float,  # of 16 bits, the level that becomes 0
    high: float,  # the level that becomes 255
) -> Pixels:  # (H, W, C)
    """Return the pixels as uint8; those that are stay as they are."""
    if pixels.dtype != np.uint8:
        scaled = (pixels.astype(np.float32) - low) * (255 / max(high - low, 1))
        pixels = np.rint(scaled).clip(0, 255).astype(np.uint8)
    return cast(Pixels, pixels)


def _upright(
    pixels: Pixels,  # (H, W, C), stored
    picture: Picture,  # whose colour and orientation count
) -> Pixels:  # (h, w, 3)
    color = picture.color
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
    height, width = picture.pixels.shape[:2]
    return boxes_as_stored(boxes, width, height, picture.orientation)


def boxes_as_stored(
    boxes: Any,  # (n, 4) xyxy px, upright
    width: int,  # of the stored picture
    height: int,
    orientation: int,  # EXIF, 1 to 8
) -> NDArray[np.float32]:  # (n, 4) xyxy px, stored
    """Return boxes of the upright picture in the coordinates of the stored one; raises ValueError for another shape."""
    upright = np.asarray(boxes, np.float32)
    if upright.ndim != 2 or upright.shape[1] != 4:
        raise ValueError(f"boxes have shape {upright.shape}, expected (n, 4)")
    swap, mirror_x, mirror_y = _TO_UPRIGHT[orientation]
    if swap:
        height, width = width, height
    x0, y0, x1, y1 = upright.T
    if mirror_x:
        x0, x1 = width - x1, width - x0
    if mirror_y:
        y0, y1 = height - y1, height - y0
    return np.stack((y0, x0, y1, x1) if swap else (x0, y0, x1, y1), axis=1)

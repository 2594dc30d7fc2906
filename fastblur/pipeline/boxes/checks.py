"""Checks of boxes against the image that they are given for."""

import math

import numpy as np

from fastblur.box_formats import relative_boxes
from fastblur.boxes import WITHIN_A_PIXEL, Boxes, Size
from fastblur.codecs.orientation import boxes_as_stored
from fastblur.options import BoxCoordinates


def hiding_boxes(
    boxes: Boxes,  # (n, 4) xyxy px
    height: int,
    width: int,
) -> Boxes:
    """Return those of an image's boxes, (m, 4) xyxy in pixels, that have an area.

    Raises ValueError where a box lies wholly outside the image or within its first pixel, is the wrong way round, or
    none has an area: then file and image do not match; and for a coordinate that is not a finite number.
    """
    hiding = []
    for x0, y0, x1, y1 in boxes.tolist():  # faster than NumPy for the few boxes of an image
        if not math.isfinite(x0 + y0 + x1 + y1):
            raise ValueError(f"a box is {[x0, y0, x1, y1]}, expected four finite numbers")
        if x1 < x0 or y1 < y0:
            raise ValueError(f"a box is {[x0, y0, x1, y1]}, expected x0 <= x1 and y0 <= y1")
        if max(x1, y1) <= WITHIN_A_PIXEL < min(width, height) and x1 > x0:
            raise ValueError(f"a box is {[x0, y0, x1, y1]}, as if in parts of the image, expected pixels")
        hiding.append(x1 > x0 and y1 > y0)
        if hiding[-1] and (x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height):
            raise ValueError(f"the box {[x0, y0, x1, y1]} lies outside the image of {width} x {height} pixels")
    if hiding and not any(hiding):
        raise ValueError(f"no box has an area, the first is {boxes[0].tolist()}")
    return boxes if all(hiding) else boxes[np.array(hiding)]


def given_boxes(
    boxes: Boxes,  # (n, 4) xyxy, px or 0..1
    height: int,
    width: int,
    orientation: int,
    *,
    size: Size | None = None,
    coordinates: BoxCoordinates = "auto",
    relative: bool = False,
) -> Boxes:
    """Return boxes that are given for a picture as (m, 4) xyxy in pixels of the picture as it is stored.

    Annotation tools show a photograph upright, as its EXIF orientation says; box files may be of either picture.

    Args:
        boxes: those given; the ones without an area are left out.
        height, width: of the picture as it is stored.
        orientation: its EXIF orientation, 1 to 8.
        size: width and height that come with the boxes, or None.
        coordinates: "stored" or "upright"; "auto" goes by the size.
        relative: whether the boxes are relative to the sides of the image, and not in pixels.

    Raises ValueError as `hiding_boxes` and `relative_boxes`, for a size that contradicts the image, and where nothing
    tells of which picture the boxes of a turned one are.
    """
    stored = width, height
    upright = (height, width) if orientation >= 5 else stored
    sizes = {"auto": (stored, upright), "stored": (stored,), "upright": (upright,)}[coordinates]
    if size is not None and size not in sizes:
        given, here = (f"{w} x {h}" for w, h in (size, sizes[0]))
        raise ValueError(f"they are of an image of {given} pixels, this one has {here}")
    if orientation == 1:
        coordinates = "stored"
    elif coordinates == "auto":
        if size is None or stored == upright:
            raise ValueError(
                f"the image is stored turned (EXIF orientation {orientation}), and nothing tells whether its "
                "boxes are of the stored or the upright picture, expected box_coordinates 'stored' or 'upright' "
                "(--box-coordinates)"
            )
        coordinates = "stored" if size == stored else "upright"
    width, height = stored if coordinates == "stored" else upright
    if relative:
        boxes = relative_boxes(boxes, height, width)
    hiding = hiding_boxes(boxes, height, width)
    return hiding if coordinates == "stored" else boxes_as_stored(hiding, *stored, orientation)

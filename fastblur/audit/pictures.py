"""Pictures of the output for people: upright, scaled down, without metadata; and the boxes in their pixels."""

import io
from collections.abc import Sequence
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from PIL import Image

from fastblur.codecs import Picture, decode, stored_boxes, upright_rgb
from fastblur.codecs.picture import Pixels

LEAST, LONGEST = 320, 2560  # px of a picture's longer side
GROWTH = 1.6  # the bytes of a picture grow by about its side to this power
QUALITY = 78
PICTURE_SHARE = 0.6  # of an image's bytes, where crops are wanted too
JUDGEABLE = 160  # px of a box's longer side from which on no crop is needed
CONTEXT, LEAST_BOX = 2.5, 12  # a crop is so many times as long as its box; px of the longer side of a box at least
LONGEST_CROP = 480  # px: a box has 192 of them

Affine = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f) of x' = a x + b y + c, y' = d x + e y + f."""


class Seen(NamedTuple):
    """An image as people see it.

    Attributes:
        pixels: (h, w, 3) upright RGB.
        stored_size: width and height as stored.
        to_stored: upright to stored px.
    """

    pixels: Pixels
    stored_size: tuple[int, int]
    to_stored: Affine

    def upright_boxes(
        self,
        boxes: Sequence[Sequence[float]],  # (n, 4) xyxy px, stored
    ) -> list[list[float]]:
        """Return boxes of the stored picture in upright pixels, (n, 4)."""
        a, b, c, d, e, f = self.to_stored  # a signed permutation, whose inverse is its transpose
        rows = []
        for x0, y0, x1, y1 in boxes:
            u, v = ((a * (x - c) + d * (y - f), b * (x - c) + e * (y - f)) for x, y in ((x0, y0), (x1, y1)))
            rows.append([min(u[0], v[0]), min(u[1], v[1]), max(u[0], v[0]), max(u[1], v[1])])
        return rows


def see(data: bytes) -> Seen:
    """Decode an image of the output; raises CodecError."""
    picture = decode(data)
    height, width = picture.pixels.shape[:2]
    return Seen(upright_rgb(picture), (width, height), _to_stored(picture))


def _to_stored(picture: Picture) -> Affine:
    corners = stored_boxes([[0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1]], picture)[:, :2].astype(np.float64)
    (c, f), (x1, y1), (x2, y2) = corners.tolist()
    return x1 - c, x2 - c, c, y1 - f, y2 - f, f


class Pictures(NamedTuple):
    """An image's files for the page.

    Attributes:
        picture: JPEG of the whole image, `width` x `height` px.
        crops: for each box a JPEG of it and what is around it, and the part of the image that it shows, (4,) upright
            xyxy px; None where the picture shows the box as well, or no bytes are left.
    """

    picture: bytes
    width: int
    height: int
    crops: list[tuple[bytes, list[int]] | None]


def pictures(
    pixels: Pixels,  # (h, w, 3) upright RGB
    boxes: Sequence[Sequence[float]],  # (n, 4) xyxy px, those that matter most first
    most: int,  # bytes, which the smallest picture may exceed
) -> Pictures:
    """Return an image as large as the bytes allow; where that is not full size, with crops of the boxes in it."""
    image = Image.fromarray(pixels)
    longest = max(image.size)
    data, width, height = _largest(image, most)
    if max(width, height) == longest:
        return Pictures(data, width, height, [None] * len(boxes))
    data, width, height = _largest(image, int(most * PICTURE_SHARE))
    left, scale = most - len(data), max(width, height) / longest
    crops: list[tuple[bytes, list[int]] | None] = []
    for box in boxes:
        crop = None
        if max(box[2] - box[0], box[3] - box[1]) * scale < JUDGEABLE and left > 0:
            crop = _crop(image, box, left)
            left -= 0 if crop is None else len(crop[0])
        crops.append(crop)
    return Pictures(data, width, height, crops)


def _largest(image: Image.Image, most: int) -> tuple[bytes, int, int]:
    """Return the largest JPEG of an image that takes at most so many bytes; one of LEAST px may take more."""
    longest = min(LONGEST, max(image.size))
    file, width, height = _jpeg(image, LEAST)
    side = min(longest, round(LEAST * (most / len(file)) ** (1 / GROWTH)))
    while side > LEAST:
        larger = _jpeg(image, side)
        if len(larger[0]) <= most:
            return larger
        side = round(side * 0.9)
    return file, width, height


def _crop(image: Image.Image, box: Sequence[float], most: int) -> tuple[bytes, list[int]] | None:
    """Return a JPEG of a box and what is around it, and the part that it shows; None where that takes more bytes."""
    left, top, right, bottom = part = _around(box, image.width, image.height)
    square = image.crop((left, top, right, bottom))
    for longest in (LONGEST_CROP, LONGEST_CROP // 2):
        file, _, _ = _jpeg(square, longest)
        if len(file) <= most:
            return file, part
    return None


def _around(box: Sequence[float], width: int, height: int) -> list[int]:
    """Return the square around a box that is CONTEXT times as long, within an image of this size, xyxy px."""
    side = CONTEXT * max(box[2] - box[0], box[3] - box[1], LEAST_BOX)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return [
        max(0, floor(x - side / 2)),
        max(0, floor(y - side / 2)),
        min(width, ceil(x + side / 2)),
        min(height, ceil(y + side / 2)),
    ]


def _jpeg(image: Image.Image, longest: int) -> tuple[bytes, int, int]:
    """Return an image as a JPEG file with a longer side of at most `longest`, its width and height."""
    small = image.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue(), small.width, small.height

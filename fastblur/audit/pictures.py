"""Pictures of the output for people: upright, scaled down, without metadata; and the boxes in their pixels."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from fastblur.codecs import Picture, decode, stored_boxes, upright_rgb
from fastblur.codecs.picture import Pixels

LONGEST = 480  # px of a picture's longer side
QUALITY = 80

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


def small_jpeg(pixels: Pixels) -> tuple[bytes, int, int]:
    """Return an upright image as a small JPEG file, its width and height."""
    image = Image.fromarray(pixels)
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue(), image.width, image.height

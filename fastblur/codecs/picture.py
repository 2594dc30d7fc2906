"""Picture: a decoded image file."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class CodecError(ValueError):
    """A file that cannot be read or written; the message is one sentence: what was wrong, and what is expected."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image file.

    Attributes:
        pixels: (H, W, C) uint8, C-contiguous and writable, in stored orientation.
        format: "JPEG", "PNG", "WEBP", "BMP" or "TIFF", told from the bytes.
        color: "L", "LA", "RGB", "RGBA" or "CMYK", one letter a channel. CMYK counts ink: 0 is none.
        orientation: the EXIF orientation, 1 to 8; 1 where it is absent or broken.
        source: the whole file, from which `encode` takes tables, compression and metadata.
    """

    pixels: Pixels = field(repr=False)
    format: str
    color: str
    orientation: int
    source: bytes = field(repr=False)

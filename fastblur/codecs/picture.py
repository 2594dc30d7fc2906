"""Picture: a decoded image file."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fastblur.errors import FastblurError

Pixels = NDArray[np.uint8]
DeepPixels = NDArray[np.uint16]

FormatName = Literal["JPEG", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"]
"""The formats that are decoded and encoded, as Pillow names them."""


class CodecError(FastblurError, ValueError):
    """A file that cannot be read or written; the message is one sentence: what was wrong, and what is expected."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image file.

    Attributes:
        pixels: (H, W, C) uint8, or uint16 for PNG and TIFF of 16 bits a channel; C-contiguous and writable, in stored
            orientation.
        format: one of FormatName, told from the bytes.
        color: "L", "LA", "RGB", "RGBA" or "CMYK", one letter a channel. CMYK counts ink: 0 is none.
        orientation: the EXIF orientation, 1 to 8; 1 where it is absent or broken.
        source: the whole file, from which `encode` takes tables, compression and metadata.

    Example:
        >>> import numpy as np
        >>> from fastblur.codecs import Picture
        >>> Picture(np.zeros((2, 3, 3), np.uint8), "PNG", "RGB", 6, b"")
        Picture(format='PNG', color='RGB', orientation=6)
    """

    pixels: Pixels | DeepPixels = field(repr=False)  # (H, W, C)
    format: FormatName
    color: str
    orientation: int
    source: bytes = field(repr=False)

"""What the codecs share of Pillow: images to arrays and back, files made with the GIL released, and its settings."""

import io
import os
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from fastblur.codecs.picture import CodecError, Pixels

# Pillow warns of broken metadata while it reads. Whether a file is usable is said by CodecError alone, and a filter for
# one call is not safe among threads, so its readers' warnings are off from here on.
warnings.filterwarnings("ignore", module=r"PIL\.(Bmp|Jpeg|Png|Tiff|WebP)ImagePlugin$")


def let_encode_at_least(size: int) -> None:
    """Let Pillow's JPEG encoder write progressive files of up to `size` bytes.

    libjpeg wants the whole of a progressive file in one buffer, whose size Pillow guesses from the pixels; fine tables
    make more. This setting is Pillow's own for it, and a larger buffer does no harm to later calls.
    """
    ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, size)


def let_decode(width: int, height: int) -> None:
    """Let Pillow decode images of so many pixels: its own limit must not be lower than the one that was checked.

    Its readers of WebP and TIFF refuse or warn above `Image.MAX_IMAGE_PIXELS`, which is raised where that is too low.
    """
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, width * height)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise CodecError for an image without pixels or with more than `max_pixels` of them."""
    if width < 1 or height < 1:
        raise CodecError(f"the image is {width} x {height} pixels, expected at least 1 x 1")
    if width * height > max_pixels:
        raise CodecError(f"the image is {width} x {height} pixels, expected at most {max_pixels} pixels (max_pixels)")


def to_pixels(image: Image.Image, color: str) -> Pixels:  # (H, W, C)
    """Return the pixels of the image in mode `color`, one letter a channel, as a writable array."""
    if image.mode != color:
        image = image.convert(color)
    return np.array(image).reshape(image.height, image.width, len(color))


def to_image(
    pixels: Pixels,  # (H, W, C), C-contiguous
    color: str,
) -> Image.Image:
    """Return the pixels as an image of mode `color`, which may share their memory."""
    height, width = pixels.shape[:2]
    return Image.frombuffer(color, (width, height), pixels, "raw", color, 0, 1)


def save(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """Return the image as a file. For JPEG, other threads run meanwhile where the system has files in memory.

    Pillow's JPEG encoder holds the GIL while it writes to a BytesIO and releases it while it writes to a file
    descriptor: four threads encode no faster than one to the former (measured with Pillow 13).
    """
    if format_name == "JPEG" and hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("fastblur"), "w+b") as file:
            image.save(file, format_name, **options)
            file.seek(0)
            return file.read()
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()

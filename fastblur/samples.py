"""What of a data set's sample is an image: the forms in which data sets and loaders hand images over."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO, IOBase
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastblur.boxes import SMALLEST_FACE
from fastblur.codecs import OTHER_SUFFIXES, SUFFIXES, is_image
from fastblur.pipeline.shards.content import has_image_in_text

BYTES, PATH = "bytes", "path"  # the keys of an image as Hugging Face's datasets keep it undecoded
NO_IMAGES = ("Mask", "BoundingBoxes", "KeyPoints")  # torchvision's tensors that are not
FILE_TYPES = (bytes, bytearray, memoryview)
HEAD_BYTES = 4096  # of a file, which tell whether it is an image


def is_pil(value: Any) -> bool:
    """Return whether a value is a PIL image."""
    return hasattr(value, "mode") and hasattr(value, "getbands")


def is_cell(value: Any) -> bool:
    """Return whether a value is an image of Hugging Face's datasets that is not decoded."""
    return isinstance(value, Mapping) and BYTES in value and set(value) <= {BYTES, PATH}


def is_batch(value: Any) -> bool:
    """Return whether a value is several images, each of which has boxes of its own: a list, or an array of them."""
    if isinstance(value, np.ndarray):
        return value.ndim == 4 or (value.dtype == object and value.ndim == 1)
    return isinstance(value, (list, tuple))


def looks_like_image(value: Any) -> bool:
    """Return whether a value has the form of an image, or of a batch of images in one tensor or array."""
    if isinstance(value, Tensor):
        kind = value.dtype == torch.uint8 or value.dtype.is_floating_point
        return kind and value.ndim in (3, 4) and type(value).__name__ not in NO_IMAGES
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "uf" and value.ndim in (2, 3, 4) and (value.ndim > 2 or value.dtype == np.uint8)
    if isinstance(value, FILE_TYPES):
        return is_image(bytes(value))
    return is_pil(value) or is_cell(value)


def may_hold_image(
    value: Any,
    boxes: str | None = None,
    count: int | None = None,
) -> bool:
    """Return whether a value is or may be an image, or a batch or video of them, or holds one; labels and texts do not.

    Taken for images are

    - PIL images; the bytes of an image file, also in a BytesIO or an array of one dimension, and any other open file;
      texts with an image in base64; Hugging Face's {"bytes": .., "path": ..};
    - tensors and arrays, both sides of at least 8 pixels, of uint8 with two dimensions or more; of floating numbers
      with three or more; of other whole numbers with three or more, 3 or 4 of them being channels;
    - lists, dicts and arrays of objects in which there is one of these.

    Not taken for images, and returned unsearched, are torchvision's Mask, BoundingBoxes and KeyPoints; truth values
    (as of masks), (H, W) arrays of whole numbers other than uint8 (masks of classes) or of floating ones (depths,
    features), and (B, H, W) of whole numbers next to a batch of B images.

    Args:
        value: part of a sample.
        boxes: the key whose value in a dict is boxes.
        count: how many images the sample has, where it is a batch.
    """
    if value is None or isinstance(value, (int, float)):
        return False
    if isinstance(value, str):
        return has_image_in_text(value)
    if isinstance(value, Mapping):
        return is_cell(value) or any(may_hold_image(one, boxes, count) for key, one in value.items() if key != boxes)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(may_hold_image(one, boxes, count) for one in value)
    if isinstance(value, np.ndarray) and value.dtype == object:
        return any(may_hold_image(one, boxes, count) for one in value.flat)
    if isinstance(value, FILE_TYPES):
        return is_image(bytes(value))
    if isinstance(value, BytesIO):
        return is_image(value.getvalue())
    if is_pil(value) or isinstance(value, IOBase):
        return True
    is_array = hasattr(value, "shape") and hasattr(value, "dtype") and type(value).__name__ not in NO_IMAGES
    return is_array and _may_show(value, count)


def _may_show(value: Any, count: int | None) -> bool:
    """Return whether a tensor or array of numbers may show something."""
    shape, kind = tuple(value.shape), str(value.dtype).removeprefix("torch.")
    is_whole, is_byte = "int" in kind, kind == "uint8"
    if not is_whole and "float" not in kind:
        return False
    if is_byte and len(shape) == 1:  # a file's bytes, as OpenCV encodes them
        return is_image(bytes(value[:HEAD_BYTES].tolist()))
    rows_first, rows_last = shape[-3:-1], shape[-2:]  # (.., H, W, C) and (.., C, H, W), or (.., H, W)
    if is_byte:
        return len(shape) > 1 and (_are_sides(rows_first) or _are_sides(rows_last))
    if len(shape) < 3:
        return False
    if not is_whole:
        return _are_sides(rows_first) or _are_sides(rows_last)
    if len(shape) == 3 and shape[0] == count:
        return False
    return (shape[-1] in (3, 4) and _are_sides(rows_first)) or (shape[-3] in (3, 4) and _are_sides(rows_last))


def _are_sides(sides: tuple[int, ...]) -> bool:
    return len(sides) == 2 and min(sides) >= SMALLEST_FACE


def _count(images: Any) -> int | None:
    """Return how many images a batch has, None for one image."""
    return len(images) if getattr(images, "ndim", 0) == 4 or is_batch(images) else None


def checked_places(given: Any) -> tuple[str, ...] | tuple[int, ...] | None:
    """Return the keys or places of images that a user names, one or several; raises TypeError for anything else."""
    if given is None:
        return None
    places = (given,) if isinstance(given, (str, int)) else tuple(given) if isinstance(given, (list, tuple)) else ()
    for kind in (str, int):
        if places and all(isinstance(place, kind) and not isinstance(place, bool) for place in places):
            return places
    raise TypeError(f"images is {given!r}, expected keys of a dict, as 'jpg', or places in a tuple, as 0 or (0, 1)")


def image_keys(sample: Mapping[Any, Any], named: Sequence[Any] | None, boxes: str | None) -> tuple[Any, ...]:
    """Return the keys of a sample's images: those named, or else those that end as image files do.

    Args:
        sample: with its values.
        named: the keys that the user names.
        boxes: the key whose value is boxes.

    Raises ValueError where one is not there, there is none, or, without names, another key has or may have an image.
    """
    keys = tuple(named or (key for key in sample if f".{key}".lower().endswith(SUFFIXES)))
    if not keys or any(key not in sample for key in keys):
        expected = f"images={named!r} among them" if named else "images= to name those of its images, as images='image'"
        raise ValueError(f"the sample has the keys {list(sample)}, expected {expected}")
    if named is None:
        count = _count(sample[keys[0]])
        for key, value in sample.items():
            if key in keys or key == boxes:
                continue
            if f".{key}".lower().endswith(OTHER_SUFFIXES) or may_hold_image(value, boxes, count):
                raise ValueError(
                    f"the sample has {key!r}, which is an image or may hold one and would not be searched, expected "
                    "images= to name those that are"
                )
    return keys


def check_targets(entries: Sequence[Any], boxes: str | None) -> None:
    """Raise ValueError where what follows the dict that a tuple begins with is or may hold an image."""
    for place, entry in enumerate(entries[1:], 1):
        if may_hold_image(entry, boxes):
            raise ValueError(
                f"entry {place} of the sample is or may hold an image, which would not be searched, expected images= "
                "to name those of the dict that are"
            )


def image_places(entries: Sequence[Any], named: Sequence[int] | None, boxes: str | None) -> tuple[int, ...]:
    """Return the places of the images in a tuple: those named, or else the first.

    Raises ValueError where there is no such place, or, without names, a later entry is or may hold an image.
    """
    if named is not None:
        if not all(place in range(len(entries)) for place in named):
            raise ValueError(f"the sample has {len(entries)} entries, expected images={tuple(named)} to be among them")
        return tuple(named)
    count = _count(entries[0])
    for place, entry in enumerate(entries[1:], 1):
        if not may_hold_image(entry, boxes, count):
            continue
        if not may_hold_image(entries[0]):
            raise ValueError(
                f"entry 0 of the sample is a {type(entries[0]).__name__} and entry {place} is or may hold an image, "
                f"expected images={place} where that is the one to search"
            )
        raise ValueError(
            f"entry {place} of the sample is an image too, or may hold one, which would not be searched, expected "
            f"images=0 where it is a target, or images=(0, {place}) to hide the faces in both"
        )
    return (0,)


def map_list(
    entries: Sequence[Any],
    one_image: Callable[[Any], Any],
    one_sample: Callable[[Any], Any],
    boxes: str | None,
) -> list[Any]:
    """Return a list with the faces hidden: a batch of images, a batch of samples, or a sample that came as a list.

    Args:
        entries: the list.
        one_image: what is done to an image.
        one_sample: what is done to a dict or tuple.
        boxes: the key whose value in a dict is boxes.

    Raises ValueError for a list of which neither can be told.
    """
    are_images = [entry is None or looks_like_image(entry) for entry in entries]
    if all(are_images) and not any(getattr(entry, "ndim", 3) == 4 for entry in entries):
        return [one_image(entry) for entry in entries]
    if all(isinstance(entry, Mapping) for entry in entries) or all(
        isinstance(entry, (tuple, list)) for entry in entries
    ):
        return [one_sample(entry) for entry in entries]
    if not any(may_hold_image(entry, boxes, _count(entries[0])) for entry in entries[1:]):
        return list(one_sample(tuple(entries)))
    kinds = ", ".join(type(entry).__name__ for entry in entries[:4])
    raise ValueError(
        f"the list has {kinds}{', ..' if len(entries) > 4 else ''}, which may be a batch or a sample, expected a list "
        "of images (C, H, W), or a tuple of image and targets"
    )

"""What of a data set's sample is an image: the forms in which data sets and loaders hand images over."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastblur.codecs import OTHER_SUFFIXES, SUFFIXES, is_image

BYTES, PATH = "bytes", "path"  # the keys of an image as Hugging Face's datasets keep it undecoded
NO_IMAGES = ("Mask", "BoundingBoxes", "KeyPoints")  # torchvision's tensors that are not
FILE_TYPES = (bytes, bytearray, memoryview)


def is_pil(value: Any) -> bool:
    """Return whether a value is a PIL image."""
    return hasattr(value, "mode") and hasattr(value, "getbands")


def is_cell(value: Any) -> bool:
    """Return whether a value is an image of Hugging Face's datasets that is not decoded."""
    return isinstance(value, Mapping) and BYTES in value and set(value) <= {BYTES, PATH}


def looks_like_image(value: Any) -> bool:
    """Return whether a value is, or may be, an image or a batch of images; labels, boxes and texts are not."""
    if isinstance(value, Tensor):
        kind = value.dtype == torch.uint8 or value.dtype.is_floating_point
        return kind and value.ndim in (3, 4) and type(value).__name__ not in NO_IMAGES
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "uf" and value.ndim in (2, 3, 4) and (value.ndim > 2 or value.dtype == np.uint8)
    if isinstance(value, FILE_TYPES):
        return is_image(bytes(value))
    return is_pil(value) or is_cell(value)


def holds_images(value: Any) -> bool:
    """Return whether a value is an image, or a list in which there is one."""
    if isinstance(value, (list, tuple)):
        return any(map(holds_images, value))
    return looks_like_image(value)


def checked_places(given: Any) -> tuple[str, ...] | tuple[int, ...] | None:
    """Return the keys or places of images that a user names, one or several; raises TypeError for anything else."""
    if given is None:
        return None
    places = (given,) if isinstance(given, (str, int)) else tuple(given) if isinstance(given, (list, tuple)) else ()
    for kind in (str, int):
        if places and all(isinstance(place, kind) and not isinstance(place, bool) for place in places):
            return places
    raise TypeError(f"images is {given!r}, expected keys of a dict, as 'jpg', or places in a tuple, as 0 or (0, 1)")


def image_keys(sample: Mapping[Any, Any], named: Sequence[Any] | None) -> tuple[Any, ...]:
    """Return the keys of a sample's images: those named, or else those that end as image files do.

    Raises ValueError where one is not there, there is none, or, without names, an image is under another key.
    """
    keys = tuple(named or (key for key in sample if f".{key}".lower().endswith(SUFFIXES)))
    if not keys or any(key not in sample for key in keys):
        expected = f"images={named!r} among them" if named else "images= to name those of its images, as images='image'"
        raise ValueError(f"the sample has the keys {list(sample)}, expected {expected}")
    for key, value in sample.items():
        if named is None and key not in keys and (f".{key}".lower().endswith(OTHER_SUFFIXES) or holds_images(value)):
            raise ValueError(
                f"the sample has {key!r}, an image that would not be searched, expected images= to name those that are"
            )
    return keys


def image_places(entries: Sequence[Any], named: Sequence[int] | None) -> tuple[int, ...]:
    """Return the places of the images in a tuple: those named, or else the first.

    Raises ValueError where there is no such place, or, without names, a later entry is an image too.
    """
    if named is not None:
        if not all(place in range(len(entries)) for place in named):
            raise ValueError(f"the sample has {len(entries)} entries, expected images={tuple(named)} to be among them")
        return tuple(named)
    for place, entry in enumerate(entries[1:], 1):
        if holds_images(entry):
            raise ValueError(
                f"entry {place} of the sample is an image too, which would not be searched, expected images=0 where it "
                f"is a target, or images=(0, {place}) to hide the faces in both"
            )
    return (0,)


def map_list(entries: Sequence[Any], one_image: Callable[[Any], Any], one_sample: Callable[[Any], Any]) -> list[Any]:
    """Return a list with the faces hidden: a batch of images, a batch of samples, or a sample that came as a list.

    Args:
        entries: the list.
        one_image: what is done to an image.
        one_sample: what is done to a dict or tuple.

    Raises ValueError for a list of which neither can be told.
    """
    are_images = [entry is None or looks_like_image(entry) for entry in entries]
    if all(are_images) and not any(getattr(entry, "ndim", 3) == 4 for entry in entries):
        return [one_image(entry) for entry in entries]
    if all(isinstance(entry, Mapping) for entry in entries) or all(
        isinstance(entry, (tuple, list)) for entry in entries
    ):
        return [one_sample(entry) for entry in entries]
    if not any(map(holds_images, entries[1:])):
        return list(one_sample(tuple(entries)))
    kinds = ", ".join(type(entry).__name__ for entry in entries[:4])
    raise ValueError(
        f"the list has {kinds}{', ..' if len(entries) > 4 else ''}, which may be a batch or a sample, expected a list "
        "of images (C, H, W), or a tuple of image and targets"
    )

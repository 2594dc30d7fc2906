"""Boxes in other formats, and as other libraries give them, made into xyxy in pixels; none of them is imported."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastblur.boxes import Boxes
from fastblur.errors import UsageError
from fastblur.options import BoxFormat, check_choice, choices, listed

COCO_KEYS = ("image_id", "category_id", "iscrowd", "area", "category")  # next to a "bbox" that is x, y, width, height
FACE_KEYS = ("det_score", "kps", "landmarks")  # next to a "bbox" that has corners: InsightFace, retinaface-pytorch


class Found(NamedTuple):
    """The boxes of one image, as a user or a library gives them.

    Attributes:
        rows: what holds their coordinates.
        scores: what holds their scores, or None.
        format: what they say of their format, or None.
        size: (H, W) in pixels of the image that they say they are of, or None.
    """

    rows: Any
    scores: Any = None
    format: str | None = None
    size: tuple[int, int] | None = None


def to_xyxy(
    rows: Boxes,  # (n, 4) in the format
    format: BoxFormat,
    size: tuple[int, int] | None = None,  # (H, W) px
) -> Boxes:  # (n, 4) xyxy px
    """Return boxes of a format as corners in pixels; raises UsageError for a side under 0 or a size that is missing."""
    rows = to_corners(rows, format)
    if not format.endswith("n"):
        return rows
    if size is None:
        raise UsageError(f"format is {format!r}, expected size=(height, width) of the image with it")
    return relative_boxes(rows, *size)


def to_corners(
    rows: Boxes,  # (n, 4) in the format
    format: BoxFormat,
) -> Boxes:  # (n, 4) xyxy in the same unit
    """Return boxes of a format as corners, in pixels or in parts of the image as they are."""
    check_choice("format", format, BoxFormat)
    kind = format.removesuffix("n")
    if kind == "xyxy":
        return rows
    x, y, width, height = rows.T
    wrong = (width < 0) | (height < 0)
    if wrong.any():
        raise UsageError(
            f"a box is {rows[wrong][0].tolist()} in the format {format!r}, expected a width and height of 0 or more"
        )
    if kind == "cxcywh":
        x, y = x - width / 2, y - height / 2
    return np.stack((x, y, x + width, y + height), axis=1)


def relative_boxes(
    boxes: Boxes,  # (n, 4) xyxy, 0..1
    height: int,
    width: int,
) -> Boxes:  # (n, 4) xyxy px
    """Return boxes relative to an image's sides, as img2dataset keeps them, in its pixels.

    Raises ValueError for coordinates that are far outside 0..1: then they are pixels, or nothing that is known.
    """
    apart = ~(np.abs(boxes) <= 2).all(1)  # NaN too
    if apart.any():
        raise ValueError(f"a box is {boxes[apart][0].tolist()}, expected parts of the image, 0..1")
    return boxes * np.array([width, height, width, height], np.float32)


def image_boxes(
    value: Any,
    index: int,
    format: BoxFormat | None = None,
    size: tuple[int, int] | None = None,  # (H, W) px
) -> tuple[Boxes, np.ndarray | None]:  # (n, 4) xyxy px, (n,) float32
    """Return the boxes of one image, for `check_boxes` to look at, and their scores where they came with some.

    Args:
        value: rows of four numbers as an array, tensor or list, or one of the objects that `found_in` knows.
        index: which image it is, for messages.
        format: of the rows; None for what the object says of itself, or else "xyxy".
        size: of the image, for formats that are relative to it.

    Raises ValueError where they are not (n, 4), in a format that is not known, or contradict `format`.
    """
    if format is None and type(value) in (list, np.ndarray) and not (len(value) and isinstance(value[0], Mapping)):
        return as_rows(value, index), None  # what nearly all are, in no time
    if format is not None:
        check_choice("format", format, BoxFormat)
    found = found_in(value, index)
    if format is not None and found.format not in (None, format):
        raise UsageError(f"boxes of image {index} are in the format {found.format!r}, and format is {format!r}")
    chosen: Any = format or found.format or "xyxy"
    if chosen not in choices(BoxFormat):
        raise UsageError(f"boxes of image {index} are in the format {chosen!r}, expected {listed(choices(BoxFormat))}")
    if size is not None:
        check_own_size(found, [size], index)
    rows = as_rows(found.rows, index)
    scores = None if found.scores is None else as_scores(found.scores, len(rows), index)
    return to_xyxy(rows, chosen, size), scores


def check_own_size(
    found: Found,
    sizes: Sequence[tuple[int, int]],  # (H, W) px, those that are right
    index: int,
) -> None:
    """Raise ValueError where boxes say that they are of an image of another size."""
    if found.size is not None and found.size not in sizes:
        (own_height, own_width), (height, width) = found.size, sizes[0]
        raise UsageError(
            f"boxes of image {index} are of an image of {own_width} x {own_height} pixels, expected {width} x {height} "
            "as the image"
        )


def found_in(value: Any, index: int) -> Found:
    """Return what an object has of boxes.

    Known are torchvision's BoundingBoxes (in any of their formats that has no angle), the dict of boxes and scores of
    its detectors and of Hugging Face's, supervision's Detections, an Ultralytics result, the annotations of an image in
    COCO, and the faces that InsightFace and retinaface-pytorch give; anything else is taken for rows.
    """
    if value is None:
        raise UsageError(f"boxes of image {index} are None, expected rows of four numbers, an empty list for none")
    if hasattr(value, "canvas_size") and hasattr(value, "format"):
        return Found(value, None, getattr(value.format, "name", str(value.format)).lower(), _size(value.canvas_size))
    if isinstance(value, Mapping):
        return _found_in_dict(value, index)
    if isinstance(value, Sequence) and len(value) and all(isinstance(one, Mapping) for one in value):
        parts = [_found_in_dict(one, index) for one in value]
        if len({part.format for part in parts}) > 1:
            raise UsageError(f"boxes of image {index} are dicts of several kinds, expected one kind")
        kept = [part for part in parts if len(part.rows)]  # retinaface-pytorch gives a face without a box for none
        scores = [part.scores for part in kept]
        return Found([part.rows for part in kept], None if None in scores else scores, parts[0].format)
    if hasattr(value, "boxes") and not hasattr(value, "xyxy"):
        if not hasattr(value.boxes, "xyxy"):
            kind = type(value.boxes).__name__
            raise UsageError(
                f"boxes of image {index} are a {type(value).__name__} whose boxes are a {kind} without xyxy, "
                "expected the result of a model that detects"
            )
        value = value.boxes
    if hasattr(value, "xyxy"):
        confidence = getattr(value, "conf", None)
        confidence = getattr(value, "confidence", None) if confidence is None else confidence
        return Found(value.xyxy, confidence, None, _size(getattr(value, "orig_shape", None)))
    return Found(value)


def _size(value: Any) -> tuple[int, int] | None:
    return None if value is None else (int(value[0]), int(value[1]))


def _found_in_dict(value: Mapping[str, Any], index: int) -> Found:
    if "boxes" in value:
        return Found(value["boxes"], value.get("scores"))
    if "bbox" not in value:
        raise UsageError(f"boxes of image {index} are a dict with {list(value)}, expected 'boxes' or 'bbox' in it")
    is_coco, is_face = (any(key in value for key in keys) for keys in (COCO_KEYS, FACE_KEYS))
    scores = value.get("det_score", value.get("score"))
    if is_coco == is_face:
        raise UsageError(
            f"boxes of image {index} are a dict with {list(value)}, which does not say whether its bbox has corners "
            "or a width and height, expected rows of numbers, with their format"
        )
    return Found(value["bbox"], scores, "xywh" if is_coco else "xyxy")


def is_batch_of_one(value: Any) -> bool:
    """Return whether boxes are a list with those of one image in it, and not the boxes themselves."""
    if not isinstance(value, Sequence) or len(value) != 1:
        return False
    one = value[0]
    if isinstance(one, Mapping):
        return "boxes" in one
    return any(hasattr(one, name) for name in ("xyxy", "boxes", "canvas_size")) or np.ndim(one) == 2


def as_numbers(value: Any) -> np.ndarray:
    """Return a tensor, array or (nested) list as float32; raises TypeError or ValueError where it has no numbers."""
    if hasattr(value, "detach"):  # a tensor, wherever it is, with a gradient or without
        return np.asarray(value.detach().cpu().float(), np.float32)
    if isinstance(value, (list, tuple)) and any(hasattr(one, "detach") for one in value):
        value = [as_numbers(one) for one in value]
    return np.asarray(value, dtype=np.float32)


def as_rows(value: Any, index: int) -> Boxes:  # (n, 4)
    """Return image `index`'s rows, of whatever type; raises ValueError where they are not (n, 4)."""
    try:
        rows = as_numbers(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"boxes of image {index} are {value!r}, expected rows of four numbers (x0, y0, x1, y1)"
        ) from None
    if rows.size == 0:
        return rows.reshape(0, 4)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"boxes of image {index} have shape {rows.shape}, expected (n, 4)")
    return rows


def as_scores(value: Any, count: int, index: int) -> np.ndarray:  # (n,) float32
    """Return image `index`'s scores; raises ValueError where they are not one finite number for each of its boxes."""
    try:
        scores = as_numbers(value).reshape(-1)
    except (TypeError, ValueError):
        raise ValueError(f"scores of image {index} are {value!r}, expected a number for each box") from None
    if len(scores) != count:
        raise ValueError(f"image {index} has {len(scores)} scores, expected {count} as its boxes")
    if not np.isfinite(scores).all():
        raise ValueError(f"image {index} has the scores {scores.tolist()}, expected finite numbers")
    return scores

"""collate: samples with Regions as a batch, for a data loader."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from fastblur.box_formats import check_own_size, found_in
from fastblur.errors import UsageError
from fastblur.options import is_number
from fastblur.regions import Regions


def collate(samples: Sequence[Any]) -> Any:
    """Return the samples of a data set as one batch, for `torch.utils.data.DataLoader(collate_fn=fastblur.collate)`.

    Args:
        samples: tensors, Regions, torchvision's BoundingBoxes, dicts, tuples or lists of these, and what
            `torch.utils.data.default_collate` takes; all of the same structure. A sample's Regions or boxes are those
            of its one image.

    Returns: images of equal shapes as a batch (B, C, H, W), of different ones as a list of (C, H, W), as the operators
    take them; Regions as the Regions of all, and BoundingBoxes too, by their own format; boxes that are lists of rows
    of four numbers as a list with those of each sample; dicts, tuples and lists with their entries joined so; all else
    as `default_collate` does.

    Raises ValueError for no samples, BoundingBoxes with an angle or of an image of another size, and samples with
    other keys or another number of entries than the first; TypeError for samples of different kinds.

    Example:
        >>> import torch, fastblur
        >>> samples = [(torch.zeros(3, 40, 60), fastblur.Regions.from_boxes([[[5, 5, 20, 30]]]), 7)] * 2
        >>> loader = torch.utils.data.DataLoader(samples, batch_size=2, collate_fn=fastblur.collate)
        >>> images, regions, labels = next(iter(loader))
        >>> images.shape, regions, labels
        (torch.Size([2, 3, 40, 60]), Regions(2 in 2 images, device='cpu'), tensor([7, 7]))
    """
    if not samples:
        raise ValueError("there are no samples, expected at least one")
    for index, sample in enumerate(samples):
        _check_canvas(sample, index)
    return _joined(samples)


def _joined(samples: Sequence[Any]) -> Any:
    first = samples[0]
    for sample in samples:
        if _kind(sample) != _kind(first):
            raise TypeError(f"a sample has a {type(sample).__name__}, expected a {type(first).__name__} as the first")
    kind = _kind(first)
    if kind == "Regions":
        return Regions.cat(samples)
    if kind == "boxes":
        return Regions.from_boxes(samples)
    if kind == "tensor":
        same = all((one.shape, one.dtype) == (first.shape, first.dtype) for one in samples)
        return torch.stack(list(samples)) if same else list(samples)
    if kind == "dict":
        for sample in samples:
            missing = [key for key in first if key not in sample]
            if missing:
                raise UsageError(f"a sample has the keys {list(sample)}, expected {missing[0]!r} too as in the first")
        return {key: _joined([sample[key] for sample in samples]) for key in first}
    if kind == "list" and all(map(_is_rows, samples)):
        return list(samples)
    if kind in ("tuple", "list"):
        for sample in samples:
            if len(sample) != len(first):
                raise UsageError(f"a sample has {len(sample)} entries, expected {len(first)} as the first")
        joined = [_joined(entries) for entries in zip(*samples, strict=True)]
        if kind == "list":
            return joined
        return type(first)._make(joined) if hasattr(first, "_make") else tuple(joined)
    return default_collate(list(samples))


def _kind(value: Any) -> str:
    """Return which of the kinds that are joined differently a value is of."""
    if isinstance(value, Regions):
        return "Regions"
    if _is_bounding_boxes(value):
        return "boxes"
    kinds = {Tensor: "tensor", Mapping: "dict", tuple: "tuple", list: "list"}
    return next((name for type, name in kinds.items() if isinstance(value, type)), "other")


def _is_bounding_boxes(value: Any) -> bool:
    return isinstance(value, Tensor) and hasattr(value, "canvas_size") and hasattr(value, "format")


def _is_rows(value: list[Any]) -> bool:
    """Return whether a list is one of boxes, or empty, as that of an image without a face."""
    return all(isinstance(row, (list, tuple)) and len(row) == 4 and all(map(is_number, row)) for row in value)


def _check_canvas(sample: Any, index: int) -> None:
    """Raise UsageError where a sample's BoundingBoxes are of another size than all of its images.

    The Regions made of them do not know their image's size any more.
    """
    tensors = list(_tensors(sample))
    sizes = {(one.shape[-2], one.shape[-1]) for one in tensors if one.ndim == 3 and not _is_bounding_boxes(one)}
    for one in tensors:
        if sizes and _is_bounding_boxes(one):
            check_own_size(found_in(one, index), list(sizes), index)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, (tuple, list)) and not (value and isinstance(value[0], (int, float, str, np.number))):
        for one in value:
            yield from _tensors(one)

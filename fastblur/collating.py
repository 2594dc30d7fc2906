"""collate: samples with Regions as a batch, for a data loader."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from fastblur.regions import Regions


def collate(samples: Sequence[Any]) -> Any:
    """Return the samples of a data set as one batch, for `torch.utils.data.DataLoader(collate_fn=fastblur.collate)`.

    Args:
        samples: tensors, Regions, dicts or tuples of these, and what `torch.utils.data.default_collate` takes; all of
            the same structure. A sample's Regions are those of its one image.

    Returns: images of equal shapes as a batch (B, C, H, W), of different ones as a list of (C, H, W), as the operators
    take them; Regions as the Regions of all; dicts and tuples with their entries joined so; all else as
    `default_collate` does.

    Raises ValueError for no samples, TypeError for samples of different kinds.

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
    first = samples[0]
    for sample in samples:
        if isinstance(sample, Tensor) != isinstance(first, Tensor) or isinstance(sample, Regions) != isinstance(
            first, Regions
        ):
            raise TypeError(f"a sample has a {type(sample).__name__}, expected a {type(first).__name__} as the first")
    if isinstance(first, Regions):
        return Regions.cat(samples)
    if isinstance(first, Tensor):
        same = all((one.shape, one.dtype) == (first.shape, first.dtype) for one in samples)
        return torch.stack(list(samples)) if same else list(samples)
    if isinstance(first, Mapping):
        return {key: collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple):
        joined = [collate(entries) for entries in zip(*samples, strict=True)]
        return type(first)._make(joined) if hasattr(first, "_make") else tuple(joined)
    return default_collate(list(samples))

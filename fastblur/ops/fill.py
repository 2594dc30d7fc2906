"""The fill operator."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastblur.kernels.dispatch import pick_kernel
from fastblur.kernels.kernel import Batch
from fastblur.ops.arguments import AnyImages, as_batch, as_input_container, as_out, as_regions
from fastblur.options import check_choice
from fastblur.recipes import (
    DEFAULT_COLOR,
    DEFAULT_FEATHER,
    DEFAULT_MARGIN,
    DEFAULT_SHAPE,
    Backend,
    Shape,
    check_fraction,
)


def fill(
    images: AnyImages,
    regions: Any,
    *,
    color: float | Sequence[float] | Tensor = DEFAULT_COLOR,
    margin: float = DEFAULT_MARGIN,
    feather: float = DEFAULT_FEATHER,
    shape: Shape = DEFAULT_SHAPE,
    out: AnyImages | None = None,
    backend: Backend | None = None,
) -> AnyImages:
    """Return the images with every region painted over.

    Args:
        images: as for `blur`.
        regions: as for `blur`.
        color: a number, or one for each channel, in the images' own scale (0..255 for uint8, 0..1 for floats).
        margin: growth of the box on every side as a fraction of its longer side.
        feather: standard deviation of the soft edge as a fraction of the longer side; 0 is a hard edge.
        shape: "box" or "ellipse" (the one inscribed in the grown box).
        out: images to write into; `out=images` works in place.
        backend: as for `blur`.

    Returns:
        Images of the same type, shape, dtype, layout and device; uint8 rounded half up.

    Raises ValueError or TypeError for arguments that do not fit, in one sentence.

    >>> import torch, fastblur
    >>> image = torch.zeros(3, 120, 160, dtype=torch.uint8)
    >>> hidden = fastblur.fill(image, [[40, 30, 90, 80]], color=(255, 0, 0), margin=0)
    >>> hidden[:, 50, 60].tolist(), int(hidden[0].count_nonzero())  # red, 50 x 50 px
    ([255, 0, 0], 2500)
    """
    check_fraction("margin", margin)
    check_fraction("feather", feather)
    check_choice("shape", shape, Shape)
    batch = as_batch(images)
    placed = as_regions(regions, batch, single=getattr(images, "ndim", 4) == 3)
    target = as_out(out, images, batch)
    values = _as_color(color, batch)
    return as_input_container(
        images, pick_kernel(batch, backend).fill(batch, placed, values, margin, feather, shape, target), out
    )


def _as_color(
    color: Any,
    batch: Batch,  # (B, C, H, W), or a list of (C, H, W)
) -> Tensor:  # (C,) or (1,) float32
    """Return the colour as a tensor; raises ValueError for another form, number of values, or value out of range."""
    try:
        values = torch.as_tensor(color, dtype=torch.float32).reshape(-1)
        # Plain numbers are checked as such: a graph cannot branch on what a tensor holds.
        plain = [color] if isinstance(color, (int, float)) else color if isinstance(color, (list, tuple)) else values
        numbers = [float(one) for one in plain]
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"color is {color!r}, expected a number or one for each channel") from None
    channels = {image.shape[0] for image in batch}
    if len(values) != 1 and channels - {len(values)}:
        raise ValueError(f"color has {len(values)} values, expected 1 or {max(channels)} as the images have channels")
    if len(batch):
        top = 255 if batch[0].dtype == torch.uint8 else 1
        if not all(0 <= number <= top for number in numbers):
            raise ValueError(f"color is {color!r}, expected values in 0..{top} for {batch[0].dtype} images")
    return values

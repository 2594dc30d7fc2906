"""The pixelate operator."""

from typing import Any, cast

import torch

from fastblur.kernels.constants import MOSAIC
from fastblur.kernels.dispatch import pick_kernel
from fastblur.ops.arguments import AnyImages, as_batch, as_input_container, as_out, as_regions
from fastblur.ops.in_graph import hide_in_graph
from fastblur.options import check_choice
from fastblur.recipes import (
    DEFAULT_BLOCKS,
    DEFAULT_MARGIN,
    DEFAULT_SHAPE,
    Backend,
    Shape,
    check_blocks,
    check_fraction,
)


def pixelate(
    images: AnyImages,
    regions: Any,
    *,
    blocks: int = DEFAULT_BLOCKS,
    margin: float = DEFAULT_MARGIN,
    shape: Shape = DEFAULT_SHAPE,
    out: AnyImages | None = None,
    backend: Backend | None = None,
) -> AnyImages:
    """Return the images with every region replaced by a mosaic.

    A block is a square of max(2, ceil(longer side of the grown box / blocks)) px, the first at the grown box's upper
    left pixel; its colour is the mean of its pixels inside the image. The edge is hard; regions that overlap are
    averaged.

    Args:
        images: as for `blur`.
        regions: as for `blur`.
        blocks: blocks along the longer side of the grown box, an int >= 1.
        margin: growth of the box on every side as a fraction of its longer side.
        shape: "box" or "ellipse" (the one inscribed in the grown box).
        out: images to write into; `out=images` works in place.
        backend: as for `blur`.

    Returns:
        Images of the same type, shape, dtype, layout and device; uint8 rounded half up.

    Raises ValueError or TypeError for arguments that do not fit, in one sentence.

    >>> import torch, fastblur
    >>> image = torch.randint(0, 256, (1, 120, 160), dtype=torch.uint8)
    >>> hidden = fastblur.pixelate(image, [[40, 30, 90, 80]], blocks=5, margin=0)  # blocks of 10 px from (40, 30) on
    >>> len(hidden[0, 30:40, 40:50].unique()), len(hidden[0, 30:80, 40:90].unique()) <= 25
    (1, True)
    """
    check_blocks(blocks)
    check_fraction("margin", margin)
    check_choice("shape", shape, Shape)
    if torch.compiler.is_compiling():
        parameters = (MOSAIC, 0.0, float(margin), 0.0, shape == "ellipse", False, blocks)
        hidden = hide_in_graph(parameters, images, regions, out, backend)
        if hidden is not None:
            return cast(AnyImages, hidden)
    batch = as_batch(images)
    placed = as_regions(regions, batch, single=getattr(images, "ndim", 4) == 3)
    target = as_out(out, images, batch)
    return as_input_container(
        images, pick_kernel(batch, backend).pixelate(batch, placed, blocks, margin, shape, target), out
    )

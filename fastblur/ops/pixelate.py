"""The pixelate operator."""

from typing import Any

from fastblur.kernels.dispatch import pick_kernel
from fastblur.ops.arguments import AnyImages, as_batch, as_out, as_regions, like
from fastblur.recipes import Shape, check_blocks, check_choice, check_fraction


def pixelate(
    images: AnyImages,
    regions: Any,
    *,
    blocks: int = 8,
    margin: float = 0.1,
    shape: str = "box",
    out: AnyImages | None = None,
    backend: str | None = None,
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
    """
    check_blocks(blocks)
    check_fraction("margin", margin)
    check_choice("shape", shape, Shape)
    batch = as_batch(images)
    placed = as_regions(regions, batch, single=getattr(images, "ndim", 4) == 3)
    target = as_out(out, images, batch)
    return like(images, pick_kernel(batch, backend).pixelate(batch, placed, blocks, margin, shape, target), out)

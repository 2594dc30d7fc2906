"""The blur operator."""

from typing import Any, cast

import torch

from fastblur.kernels.dispatch import pick_kernel
from fastblur.ops.arguments import AnyImages, as_batch, as_input_container, as_out, as_regions
from fastblur.ops.in_graph import blur_parameters, hide_in_graph
from fastblur.recipes import Backend, Recipe, Scope, Shape, resolve_recipe


def blur(
    images: AnyImages,
    regions: Any,
    recipe: str | Recipe = "default",
    *,
    strength: float | None = None,
    margin: float | None = None,
    feather: float | None = None,
    shape: Shape | None = None,
    scope: Scope | None = None,
    out: AnyImages | None = None,
    backend: Backend | None = None,
) -> AnyImages:
    """Return the images with every region blurred.

    Every region's box grows by `margin` and is blended with the image filtered by an isotropic Gaussian (border
    "replicate"), sigma = max(0.5 px, strength * d), under a mask with a soft edge; d is the box's longer side, or the
    longest of the image with scope "image". Regions that overlap are averaged by their masks, so their order does not
    matter. Pixels further than three deviations of the edge from every grown box are left as they are, bit for bit.
    docs/architecture.md gives the formula.

    Args:
        images: (B, C, H, W) or (C, H, W), or a list of (C, H, W) of different sizes; uint8 in 0..255 or float32,
            float16, bfloat16 in 0..1; any C, contiguous or channels_last. float64 goes to the reference.
        regions: Regions, or a list with (n, 4) boxes, xyxy in pixels, for each image.
        recipe: "default", "ilsvrc" or a Recipe.
        strength: instead of the recipe's: sigma as a fraction of d.
        margin: instead of the recipe's: growth on every side as a fraction of d.
        feather: instead of the recipe's: deviation of the soft edge as a fraction of d; 0 is a hard edge.
        shape: instead of the recipe's: "box" or "ellipse".
        scope: instead of the recipe's: "region" or "image".
        out: images of the same shape, dtype and device to write into; `out=images` works in place.
        backend: "cpu", "cuda", "reference", or None: the fastest that takes the images; where a gradient is asked for,
            the reference. The logger "fastblur" says at level DEBUG which it was, and why.

    Returns:
        Images of the same type, shape, dtype, layout and device; uint8 rounded half up.

    Raises ValueError or TypeError for arguments that do not fit, in one sentence.

    >>> import torch, fastblur
    >>> images = torch.randint(0, 256, (2, 3, 120, 160), dtype=torch.uint8)
    >>> hidden = fastblur.blur(images, [[[40, 30, 90, 80]], []])  # one face in the first image
    >>> hidden.shape, hidden.dtype, torch.equal(hidden[1], images[1])
    (torch.Size([2, 3, 120, 160]), torch.uint8, True)
    """
    if (
        torch.compiler.is_compiling()
        and isinstance(recipe, str)
        and strength is None
        and margin is None
        and feather is None
    ):
        parameters = blur_parameters(recipe, strength, margin, feather, shape, scope)
        hidden = hide_in_graph(parameters, images, regions, out, backend)
        if hidden is not None:
            return cast(AnyImages, hidden)
    chosen = resolve_recipe(recipe, strength=strength, margin=margin, feather=feather, shape=shape, scope=scope)
    batch = as_batch(images)
    placed = as_regions(regions, batch, single=getattr(images, "ndim", 4) == 3)
    target = as_out(out, images, batch)
    return as_input_container(images, pick_kernel(batch, backend).blur(batch, placed, chosen, target), out)

"""The reference: kornia and PyTorch on any device, differentiable in the images. It defines what is right.

It is written to read like the formula of docs/architecture.md, one image and one region at a time, and reads
coordinates back from the device; tests compare the other kernels with it.
"""

from collections.abc import Callable, Iterable
from math import ceil, floor, inf
from typing import NamedTuple

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor
from torch.nn import functional
from torch.special import ndtr

from fastblur.kernels.constants import ALPHA_SUPPORT, MIN_BLOCK, MIN_SIGMA
from fastblur.kernels.kernel import Batch, shorter_sides
from fastblur.recipes import BorderType, Recipe, Scope, Shape
from fastblur.regions import Regions

TRUNCATE = 6.0  # deviations at which the direct Gaussian ends


class Region(NamedTuple):
    """One region that is not degenerate: its grown box R (xyxy, pixels), longer side d, and the d that sets sigma."""

    x0: float
    y0: float
    x1: float
    y1: float
    d: float
    scale: float


def blur(images: Batch, regions: Regions, recipe: Recipe, out: Batch | None = None) -> Batch:
    """Blur every region; see `fastblur.blur`."""

    def one(image: Tensor, boxes: list[list[float]]) -> Tensor:
        def layer(region: Region) -> tuple[Tensor, Tensor]:
            alpha = _alpha(region, image, recipe.feather * region.scale, recipe.shape)
            return alpha, _gaussian_where(alpha, image, max(MIN_SIGMA, recipe.strength * region.scale))

        return _composite(image, map(layer, _regions(boxes, image, recipe.margin, recipe.scope)))

    return _each(images, regions, one, out)


def pixelate(
    images: Batch, regions: Regions, blocks: int, margin: float, shape: Shape, out: Batch | None = None
) -> Batch:
    """Replace every region by a mosaic; see `fastblur.pixelate`."""

    def one(image: Tensor, boxes: list[list[float]]) -> Tensor:
        def layer(region: Region) -> tuple[Tensor, Tensor]:
            side = max(MIN_BLOCK, ceil(max(region.x1 - region.x0, region.y1 - region.y0) / blocks))
            return _alpha(region, image, 0.0, shape), _mosaic(region, image, side)

        return _composite(image, map(layer, _regions(boxes, image, margin, "region")))

    return _each(images, regions, one, out)


def fill(
    images: Batch,
    regions: Regions,
    color: Tensor,  # (C,) or (1,) float32, in the images' own scale
    margin: float,
    feather: float,
    shape: Shape,
    out: Batch | None = None,
) -> Batch:
    """Paint every region over; see `fastblur.fill`."""

    def one(image: Tensor, boxes: list[list[float]]) -> Tensor:
        plain = color.to(image).reshape(-1, 1, 1).expand_as(image)
        found = _regions(boxes, image, margin, "region")
        return _composite(image, ((_alpha(region, image, feather * region.d, shape), plain) for region in found))

    return _each(images, regions, one, out)


def masked_blur2d(
    images: Batch,
    mask: Batch,  # (B, 1, H, W), or a list of (1, H, W); bool or floating
    sigma: Tensor,  # (B, 2) float32, (y, x) px
    border_type: BorderType = "replicate",
    out: Batch | None = None,
) -> Batch:
    """Return images + mask * (gaussian(images, sigma) - images); see `fastblur.masked_blur2d`."""
    results = []
    for image, weight, deviations in zip(images, mask, sigma, strict=True):
        value = _as_float(image)
        weight = weight.to(value.dtype)
        changed = value + weight * (_gaussian(value, deviations, border_type) - value)
        results.append(_as_dtype(torch.where(weight == 0, value, changed), image))
    return _gather(images, results, out)


def _regions(
    boxes: list[list[float]],  # (n, 4) xyxy px
    image: Tensor,  # (C, H, W)
    margin: float,
    scope: Scope,
) -> list[Region]:
    """Return the boxes that are not degenerate, grown by the margin."""
    height, width = image.shape[-2:]
    kept = [
        b for b in boxes if b[0] < b[2] and b[1] < b[3] and b[0] < width and b[1] < height and b[2] > 0 and b[3] > 0
    ]
    sides = [max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in kept]
    return [
        Region(
            x0 - margin * d, y0 - margin * d, x1 + margin * d, y1 + margin * d, d, max(sides) if scope == "image" else d
        )
        for (x0, y0, x1, y1), d in zip(kept, sides, strict=True)
    ]


def _alpha(
    region: Region,
    image: Tensor,  # (C, H, W)
    deviation: float,  # px
    shape: Shape,
) -> Tensor:  # (H, W)
    """Return alpha of one region at every pixel centre."""
    height, width = image.shape[-2:]
    x = torch.arange(width, device=image.device, dtype=torch.float64) + 0.5
    y = torch.arange(height, device=image.device, dtype=torch.float64)[:, None] + 0.5
    if shape == "box":
        alpha = _soft_interval(y, region.y0, region.y1, height, deviation)
        alpha = alpha * _soft_interval(x, region.x0, region.x1, width, deviation)
    else:
        distance = _ellipse_distance(x, y, region)
        alpha = ndtr(-distance / deviation) if deviation > 0 else (distance <= 0).double()
        # Off the axes of a thin ellipse the first-order distance is too small, so the support is cut as for a box.
        reach = ALPHA_SUPPORT * deviation
        near = (x >= region.x0 - reach) & (x <= region.x1 + reach) & (y >= region.y0 - reach) & (y <= region.y1 + reach)
        alpha = torch.where(near & (distance <= reach), alpha, 0.0)
    return alpha.to(image.dtype)


def _soft_interval(
    x: Tensor,  # pixel centres, of any shape
    low: float,
    high: float,
    size: int,  # px, of the image
    deviation: float,  # px
) -> Tensor:  # of x's shape
    """Return the interval [low, high] filtered with a Gaussian; a side that reaches the border is moved to infinity."""
    low, high = (-inf if low <= 0 else low), (inf if high >= size else high)
    if deviation == 0:
        return ((x >= low) & (x <= high)).double()
    alpha = ndtr((x - low) / deviation) - ndtr((x - high) / deviation)
    near = (x >= low - ALPHA_SUPPORT * deviation) & (x <= high + ALPHA_SUPPORT * deviation)
    return torch.where(near, alpha, 0.0)


def _ellipse_distance(
    x: Tensor,  # (W,) pixel centres
    y: Tensor,  # (H, 1)
    region: Region,
) -> Tensor:  # (H, W) px
    """Return the signed distance from the ellipse inscribed in R, to first order: implicit function over gradient."""
    a, b = (region.x1 - region.x0) / 2, (region.y1 - region.y0) / 2
    u, v = (x - (region.x0 + region.x1) / 2) / a, (y - (region.y0 + region.y1) / 2) / b
    k0, k1 = torch.hypot(u, v), torch.hypot(u / a, v / b)
    inside = x.new_tensor(-min(a, b))
    return torch.where(k1 > 0, k0 * (k0 - 1) / k1, inside)


def _gaussian_where(
    alpha: Tensor,  # (H, W)
    image: Tensor,  # (C, H, W)
    sigma: float,  # px
) -> Tensor:  # (C, H, W)
    """Return the image filtered with a Gaussian, border "replicate", where alpha is not 0; elsewhere any values."""
    rows, columns = alpha.any(1).nonzero().flatten().tolist(), alpha.any(0).nonzero().flatten().tolist()
    if not rows:
        return image
    reach = ceil(TRUNCATE * sigma)
    top, left = max(0, rows[0] - reach), max(0, columns[0] - reach)
    crop = image[:, top : rows[-1] + 1 + reach, left : columns[-1] + 1 + reach]
    pad = (left, image.shape[2] - left - crop.shape[2], top, image.shape[1] - top - crop.shape[1])
    return functional.pad(
        _gaussian(crop, torch.full((2,), sigma, dtype=crop.dtype, device=crop.device), "replicate"), pad
    )


def _gaussian(
    image: Tensor,  # (C, H, W)
    sigma: Tensor,  # (2,) (y, x) px
    border_type: BorderType,
) -> Tensor:  # (C, H, W)
    """Return kornia's gaussian_blur2d of an image, its taps ending at 6 sigma."""
    kernel_size = [2 * ceil(TRUNCATE * s) + 1 for s in sigma.tolist()]
    height, width = image.shape[-2:]
    if border_type in ("reflect", "circular") and (kernel_size[0] // 2 >= height or kernel_size[1] // 2 >= width):
        # PyTorch pads by less than the image's size in these modes; further out the pattern repeats.
        reach = [k // 2 for k in kernel_size]
        rows, columns = (_border_index(n, r, border_type, image) for n, r in zip((height, width), reach, strict=True))
        wide = _gaussian(image[:, rows][:, :, columns], sigma, "replicate")
        return wide[:, reach[0] : reach[0] + height, reach[1] : reach[1] + width]
    blurred: Tensor = gaussian_blur2d(image[None], (kernel_size[0], kernel_size[1]), sigma[None].to(image), border_type)
    return blurred[0]


def _border_index(size: int, reach: int, border_type: BorderType, image: Tensor) -> Tensor:
    """Return the pixel that stands for each of a line, from `reach` before it to `reach` after it."""
    index = torch.arange(-reach, size + reach, device=image.device)
    if border_type == "circular":
        return index % size
    folded = index % (2 * size - 2)
    return torch.minimum(folded, 2 * size - 2 - folded)


def _mosaic(
    region: Region,
    image: Tensor,  # (C, H, W)
    side: int,  # px
) -> Tensor:  # (C, H, W)
    """Return the image in blocks of `side` px, the first at R's upper left pixel, each the mean of its pixels."""
    channels, height, width = image.shape
    row = (torch.arange(height, device=image.device) - floor(region.y0)).div(side, rounding_mode="floor")
    column = (torch.arange(width, device=image.device) - floor(region.x0)).div(side, rounding_mode="floor")
    row, column = row - row[0], column - column[0]
    across = int(column[-1]) + 1
    block = (row[:, None] * across + column).flatten()
    zeros = torch.zeros(channels, across * (int(row[-1]) + 1), dtype=image.dtype, device=image.device)
    total = zeros.index_add(1, block, image.flatten(1))
    count = zeros[0].index_add(0, block, torch.ones_like(block, dtype=image.dtype))
    return (total / count)[:, block].reshape(image.shape)


def _composite(
    image: Tensor,  # (C, H, W)
    layers: Iterable[tuple[Tensor, Tensor]],  # alpha, (H, W), and b, (C, H, W), of each region
) -> Tensor:  # (C, H, W)
    """Return I + A (b - I) with A = min(1, sum alpha) and b = sum alpha b / sum alpha; I bit for bit where A is 0."""
    total, mixed = torch.zeros_like(image[0]), torch.zeros_like(image)
    for alpha, layer in layers:  # one after the other: all layers of a crowd would take all memory
        total = total + alpha
        mixed = mixed + alpha * layer
    mean = mixed / torch.where(total > 0, total, 1.0)
    return torch.where(total > 0, image + total.clamp(max=1) * (mean - image), image)


def _each(
    images: Batch,
    regions: Regions,
    operator: Callable[[Tensor, list[list[float]]], Tensor],  # of an image, (C, H, W), and its boxes, (n, 4)
    out: Batch | None,
) -> Batch:
    """Return what the operator makes of each image as floats, in the images' dtype.

    Raises as `Regions.check`.
    """
    regions.check(shorter_sides(images))
    results = [
        _as_dtype(operator(_as_float(image), boxes), image)
        for image, boxes in zip(images, regions.tolist(), strict=True)
    ]
    return _gather(images, results, out)


def _as_float(image: Tensor) -> Tensor:
    return image if image.dtype == torch.float64 else image.to(torch.float32)


def _as_dtype(value: Tensor, image: Tensor) -> Tensor:
    if image.dtype == torch.uint8:
        value = (value + 0.5).floor().clamp(0, 255)
    return value.to(image.dtype)


def _gather(images: Batch, results: list[Tensor], out: Batch | None) -> Batch:
    """Return the results in the images' type and layout, or in `out`."""
    if out is not None:
        for target, result in zip(out, results, strict=True):
            target.copy_(result)
        return out
    if isinstance(images, Tensor):
        stacked = torch.stack(results) if results else images.clone()
        return stacked if stacked.requires_grad else torch.empty_like(images).copy_(stacked)
    return [
        result if result.requires_grad else torch.empty_like(image).copy_(result)
        for image, result in zip(images, results, strict=True)
    ]

"""The CPU kernel: Numba loops that touch the support alone, on as many threads as `torch.get_num_threads()` says.

The loops are in `plan`, `average` and `blend`; here tensors become tables of addresses, `schedule` shares
the work out among threads. The loops hold no GIL and share no state, so the operators may be called from any number of
threads at once.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from fastblur.kernels.constants import BORDERS
from fastblur.kernels.cpu.blend import MASK
from fastblur.kernels.cpu.plan import IMAGE, REGION, mask_bounds, plan_axes
from fastblur.kernels.cpu.schedule import (
    BYTES,
    NO_COLOR,
    Parameters,
    by_regions,
    hide,
    of_blur,
    of_fill,
    of_pixelate,
    share,
)  # fmt: skip
from fastblur.kernels.kernel import Batch
from fastblur.recipes import Recipe
from fastblur.regions import Regions

LIKE: dict[torch.dtype, np.ndarray] = {torch.uint8: BYTES, torch.float32: np.empty(0, np.float32)}
"""The loops are compiled for the dtype of these; halves are worked on as float32."""


def blur(images: Batch, regions: Regions, recipe: Recipe, out: Batch | None = None) -> Batch:
    """Blur every region; see `fastblur.blur`."""
    return _hide(images, regions, of_blur(recipe), out)


def pixelate(
    images: Batch, regions: Regions, blocks: int, margin: float, shape: str, out: Batch | None = None
) -> Batch:
    """Replace every region by a mosaic; see `fastblur.pixelate`."""
    return _hide(images, regions, of_pixelate(blocks, margin, shape), out)


def fill(
    images: Batch, regions: Regions, color: Tensor, margin: float, feather: float, shape: str, out: Batch | None = None
) -> Batch:
    """Paint every region over; see `fastblur.fill`."""
    return _hide(images, regions, of_fill(margin, feather, shape), out, color.numpy())


def masked_blur2d(
    images: Batch, mask: Batch, sigma: Tensor, border_type: str = "replicate", out: Batch | None = None
) -> Batch:
    """Return images + mask * (gaussian(images, sigma) - images); see `fastblur.masked_blur2d`."""
    masks = [one[0].contiguous() if one.dtype == torch.bool else one[0].float().contiguous() for one in mask]
    mask_like = LIKE[torch.float32] if masks and masks[0].is_floating_point() else BYTES

    def work(table: np.ndarray, like: np.ndarray) -> None:
        table["mask"] = [one.data_ptr() for one in masks]
        table["mask_row"] = table["width"]
        bounds = np.empty((len(table), 4), np.int64)
        threads = torch.get_num_threads()
        share(lambda a, b: mask_bounds(table, a, b, bounds, mask_like), table["width"] * table["height"], threads)
        found = np.zeros(len(table), REGION)
        n = 0
        for b, ((x0, y0, x1, y1), (sigma_y, sigma_x)) in enumerate(zip(bounds, sigma.double().tolist(), strict=True)):
            if x0 < x1:
                found[n]["image"], found[n]["x0"], found[n]["y0"], found[n]["x1"], found[n]["y1"] = b, x0, y0, x1, y1
                plan_axes(found[n], sigma_x, sigma_y)
                n += 1
        by_regions(table, found[:n], like, threads, border=BORDERS[border_type], shape=MASK, mask_like=mask_like)

    return _run(images, out, work)


def _hide(
    images: Batch, regions: Regions, parameters: Parameters, out: Batch | None, color: np.ndarray = NO_COLOR
) -> Batch:
    """Do what blur, pixelate and fill share."""
    boxes, counts = regions.boxes.detach().contiguous().numpy(), regions.counts.contiguous().numpy()
    if isinstance(images, list) and out is images and not counts.all():
        # In place nothing is done to the images without regions, which may be most: they stay out of the table.
        some = regions.counts.nonzero()[:, 0]
        part = [images[i] for i in some.tolist()]
        _hide(part, Regions(regions.boxes[some], regions.counts[some]), parameters, part, color)
        return out

    def work(table: np.ndarray, like: np.ndarray) -> None:
        hide(table, boxes, counts, parameters, like, color, torch.get_num_threads())

    return _run(images, out, work)


def _run(images: Batch, out: Batch | None, work: Callable[[np.ndarray, np.ndarray], None]) -> Batch:
    """Call `work` with the table that leads from `images` to `out`, by way of a copy where the loops need one."""
    target = _empty_like(images) if out is None else out
    if (images.shape[0] if isinstance(images, Tensor) else len(images)) == 0:
        return target
    table = _table(images, target)
    if table is not None:
        work(table, LIKE[images.dtype if isinstance(images, Tensor) else images[0].dtype])
        for written in [target] if isinstance(target, Tensor) else target:
            if not written.is_inference():
                increment_version(written)  # so that autograd knows of it: the loops write behind its back
        return target
    copy = [image.to(_worked_on(image), memory_format=torch.contiguous_format, copy=True) for image in images]
    _run(copy, copy, work)
    for mine, result in zip(target, copy, strict=True):
        mine.copy_(result)
    return target


def _table(images: Batch, target: Batch) -> np.ndarray | None:
    """Return the table of addresses; None where dtype, rows or two layouts call for work on a copy."""
    if isinstance(images, Tensor) and isinstance(target, Tensor):
        if images.dtype not in LIKE:
            return None
        layout = _layout(images.shape[1:], images.stride()[1:], target.stride()[1:])
        table = np.zeros(images.shape[0], IMAGE)
        if layout is None:
            return None
        table[:] = (images.data_ptr(), target.data_ptr(), *layout, 0, 0)
        steps = np.arange(len(table)) * images.element_size()
        table["source"] += steps * images.stride(0)
        table["target"] += steps * target.stride(0)
        return table
    rows = []
    for image, mine in zip(images, target, strict=True):
        layout = _layout(image.shape, image.stride(), mine.stride())
        if layout is None or image.dtype not in LIKE:
            return None
        rows.append((image.data_ptr(), mine.data_ptr(), *layout, 0, 0))
    return np.array(rows, IMAGE)


def _layout(shape: Sequence[int], source: Sequence[int], target: Sequence[int]) -> tuple[int, ...] | None:
    """Return an image's row of the table from its sizes on, or None where the loops cannot follow the strides."""
    one, other = _planes(shape, source), _planes(shape, target)
    if one is None or other is None or one[:2] != other[:2]:
        return None
    return (*shape[1:], *one, *other[2:])


def _planes(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int, int, int] | None:
    """Return (planes, elements a pixel, plane stride, row stride) of a (C, H, W) tensor with contiguous rows."""
    count, _, width = shape
    plane, row, column = strides
    if column == 1 or (width == 1 and count == 1):
        return count, 1, plane, row
    if plane == 1 and column == count:
        return 1, count, 0, row
    return None


def _worked_on(image: Tensor) -> torch.dtype:
    return torch.uint8 if image.dtype == torch.uint8 else torch.float32


def _empty_like(images: Batch) -> Batch:
    return torch.empty_like(images) if isinstance(images, Tensor) else [torch.empty_like(image) for image in images]

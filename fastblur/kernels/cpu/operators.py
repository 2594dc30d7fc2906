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

from fastblur.kernels.constants import BORDERS, MASK
from fastblur.kernels.cpu.images import IMAGE, image_row
from fastblur.kernels.cpu.plan import REGION, are_boxes, mask_bounds, plan_axes
from fastblur.kernels.cpu.schedule import BYTES, NO_COLOR, hide, hide_by_regions, share
from fastblur.kernels.kernel import Batch, as_list, empty_like, shorter_sides
from fastblur.kernels.parameters import KernelParameters
from fastblur.recipes import BorderType, Recipe, Shape
from fastblur.regions import Regions
from fastblur.transformed import as_array

DTYPE_LIKE: dict[torch.dtype, np.ndarray] = {torch.uint8: BYTES, torch.float32: np.empty(0, np.float32)}
"""The loops are compiled for the dtype of these; halves are worked on as float32."""


def blur(images: Batch, regions: Regions, recipe: Recipe, out: Batch | None = None) -> Batch:
    """Blur every region; see `fastblur.blur`."""
    return hide_regions(images, regions.boxes, regions.counts, KernelParameters.for_blur(recipe), out)


def pixelate(
    images: Batch, regions: Regions, blocks: int, margin: float, shape: Shape, out: Batch | None = None
) -> Batch:
    """Replace every region by a mosaic; see `fastblur.pixelate`."""
    parameters = KernelParameters.for_pixelate(blocks, margin, shape)
    return hide_regions(images, regions.boxes, regions.counts, parameters, out)


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
    parameters = KernelParameters.for_fill(margin, feather, shape)
    return hide_regions(images, regions.boxes, regions.counts, parameters, out, color.numpy())


def masked_blur2d(
    images: Batch,
    mask: Batch,  # (B, 1, H, W), or a list of (1, H, W); bool or floating
    sigma: Tensor,  # (B, 2) float32, (y, x) px
    border_type: BorderType = "replicate",
    out: Batch | None = None,
) -> Batch:
    """Return images + mask * (gaussian(images, sigma) - images); see `fastblur.masked_blur2d`."""
    masks = [one[0].contiguous() if one.dtype == torch.bool else one[0].float().contiguous() for one in mask]
    mask_like = DTYPE_LIKE[torch.float32] if masks and masks[0].is_floating_point() else BYTES

    def work(table: np.ndarray, dtype_like: np.ndarray) -> None:
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
        hide_by_regions(table, found[:n], MASK, BORDERS[border_type], NO_COLOR, dtype_like, mask_like, threads)

    return _run(images, out, work)


def hide_regions(
    images: Batch,
    boxes: Tensor,  # (B, N, 4) float32 xyxy px
    counts: Tensor,  # (B,) int64
    parameters: KernelParameters,
    out: Batch | None,
    color: np.ndarray = NO_COLOR,  # (C,) or (1,) float32
) -> Batch:
    """Do what blur, pixelate and fill share; raises as `Regions.check`."""
    rows, numbers = np.ascontiguousarray(as_array(boxes)), np.ascontiguousarray(as_array(counts))
    some: Batch | None = None
    if isinstance(images, list) and out is images and not numbers.all():
        # In place nothing is done to the images without regions, which may be most: they stay out of the table.
        chosen = np.flatnonzero(numbers)
        rows, numbers, some = rows[chosen], numbers[chosen], [images[i] for i in chosen]

    def work(table: np.ndarray, dtype_like: np.ndarray) -> None:
        if not are_boxes(table, rows, numbers):
            Regions(boxes, counts).check(shorter_sides(images))  # which says what is wrong, and decides
        hide(table, rows, numbers, parameters, color, dtype_like, torch.get_num_threads())

    if some is None:
        return _run(images, out, work)
    _run(some, some, work)
    return images


def _run(
    images: Batch,
    out: Batch | None,
    work: Callable[[np.ndarray, np.ndarray], None],  # of the table, (B,) IMAGE, and a (0,) array of the images' dtype
) -> Batch:
    """Call `work` with the table of `images` and what is written; on a copy where the loops cannot work on those."""
    target = empty_like(images) if out is None else out
    if (images.shape[0] if isinstance(images, Tensor) else len(images)) == 0:
        return target
    table = _table(images, target)
    if table is not None:
        work(table, DTYPE_LIKE[images.dtype if isinstance(images, Tensor) else images[0].dtype])
        for written in as_list(target):
            if not written.is_inference():
                increment_version(written)  # so that autograd knows: the loops do not write through PyTorch
        return target
    copy = [image.to(_dtype_of_work(image), memory_format=torch.contiguous_format, copy=True) for image in images]
    _run(copy, copy, work)
    for mine, result in zip(target, copy, strict=True):
        mine.copy_(result)
    return target


def _table(
    images: Batch,
    target: Batch,
) -> np.ndarray | None:  # (B,) IMAGE
    """Return the table of images; None where dtype, strides or two layouts call for work on a copy."""
    if isinstance(images, Tensor) and isinstance(target, Tensor):
        row = _row(images, target, images.shape[1:], images.stride()[1:], target.stride()[1:])
        if row is None:
            return None
        size, step = images.element_size(), np.zeros(len(row), np.int64)
        step[:2] = images.stride(0) * size, target.stride(0) * size  # from image to image, of source and target
        table: np.ndarray = (np.arange(images.shape[0])[:, None] * step + row).view(IMAGE)[:, 0]
        return table
    rows = []
    for image, mine in zip(images, target, strict=True):
        row = _row(image, mine, image.shape, image.stride(), mine.stride())
        if row is None:
            return None
        rows.append(row)
    return np.array(rows, IMAGE)


def _row(
    image: Tensor,
    target: Tensor,
    shape: Sequence[int],  # (C, H, W)
    source_strides: Sequence[int],  # of C, H, W
    target_strides: Sequence[int],
) -> tuple[int, ...] | None:
    if image.dtype not in DTYPE_LIKE:
        return None
    return image_row(image.data_ptr(), target.data_ptr(), shape, source_strides, target_strides)


def _dtype_of_work(image: Tensor) -> torch.dtype:
    return torch.uint8 if image.dtype == torch.uint8 else torch.float32

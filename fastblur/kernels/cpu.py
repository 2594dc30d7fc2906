"""The CPU kernel: Numba loops that touch the support alone, on as many threads as `torch.get_num_threads()` says.

The loops are in `cpu_plan`, `cpu_grids` and `cpu_blend`; here tensors become tables of addresses, and the work is
shared out among threads. The loops hold no GIL and share no state, so the operators may be called from any number of
threads at once.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastblur.kernels import Batch
from fastblur.kernels.cpu_blend import BOX, MASK, blend_bands, copy_images, work_on_images
from fastblur.kernels.cpu_grids import CIRCULAR, CONSTANT, REFLECT, REPLICATE, make_grids
from fastblur.kernels.cpu_plan import BAND, IMAGE, REGION, mask_bounds, plan, plan_axes, plan_bands
from fastblur.recipes import Recipe
from fastblur.regions import Regions

BORDERS = {"replicate": REPLICATE, "reflect": REFLECT, "constant": CONSTANT, "circular": CIRCULAR}
SMALL = 1 << 19  # elements of work under which a second thread costs more than it brings
CHUNKS = 4  # pieces of work for each thread
BYTES = np.empty(0, np.uint8)
NO_COLOR = np.empty(0, np.float32)
LIKE: dict[torch.dtype, np.ndarray] = {torch.uint8: BYTES, torch.float32: np.empty(0, np.float32)}
"""The loops are compiled for the dtype of these; halves are worked on as float32."""


def blur(images: Batch, regions: Regions, recipe: Recipe, out: Batch | None = None) -> Batch:
    """Blur every region; see `fastblur.blur`."""
    ellipse, whole_image = recipe.shape == "ellipse", recipe.scope == "image"
    return _hide(images, regions, (recipe.strength, recipe.margin, recipe.feather, ellipse, whole_image, 0), out)


def pixelate(
    images: Batch, regions: Regions, blocks: int, margin: float, shape: str, out: Batch | None = None
) -> Batch:
    """Replace every region by a mosaic; see `fastblur.pixelate`."""
    return _hide(images, regions, (0.0, margin, 0.0, shape == "ellipse", False, blocks), out)


def fill(
    images: Batch, regions: Regions, color: Tensor, margin: float, feather: float, shape: str, out: Batch | None = None
) -> Batch:
    """Paint every region over; see `fastblur.fill`."""
    return _hide(images, regions, (0.0, margin, feather, shape == "ellipse", False, -1), out, color.numpy())


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
        _share(lambda a, b: mask_bounds(table, a, b, bounds, mask_like), table["width"] * table["height"])
        found = np.zeros(len(table), REGION)
        n = 0
        for b, ((x0, y0, x1, y1), (sigma_y, sigma_x)) in enumerate(zip(bounds, sigma.double().tolist(), strict=True)):
            if x0 < x1:
                found[n]["image"], found[n]["x0"], found[n]["y0"], found[n]["x1"], found[n]["y1"] = b, x0, y0, x1, y1
                plan_axes(found[n], sigma_x, sigma_y)
                n += 1
        _by_regions(table, found[:n], like, border=BORDERS[border_type], shape=MASK, mask_like=mask_like)

    return _run(images, out, work)


def _hide(
    images: Batch, regions: Regions, parameters: tuple[Any, ...], out: Batch | None, color: np.ndarray = NO_COLOR
) -> Batch:
    """Do what blur, pixelate and fill share; `parameters` are those of `cpu_plan.plan`, mosaic blocks last."""
    boxes, counts = regions.boxes.detach().contiguous().numpy(), regions.counts.contiguous().numpy()
    if isinstance(images, list) and out is images and not counts.all():
        # In place nothing is done to the images without regions, which may be most: they stay out of the table.
        some = regions.counts.nonzero()[:, 0]
        part = [images[i] for i in some.tolist()]
        _hide(part, Regions(regions.boxes[some], regions.counts[some]), parameters, part, color)
        return out

    def work(table: np.ndarray, like: np.ndarray) -> None:
        copy = bool((table["source"] != table["target"]).any())
        threads = torch.get_num_threads()
        cost = _expected_cost(table, boxes, counts, copy) if threads > 1 else np.zeros(len(table))
        if len(table) >= 2 * threads or cost.sum() < SMALL:
            # Image by image, so that each is still in the cache when its regions are blended; dear ones first.
            queue, taken = np.argsort(-cost, kind="stable"), np.zeros(1, np.int64)
            _on_threads(
                lambda: work_on_images(table, boxes, counts, parameters, color, copy, queue, taken, like),
                threads if cost.sum() >= SMALL else 1,
            )
            return
        found = np.zeros(len(table) * boxes.shape[1], REGION)
        found = found[: plan(table, boxes, counts, *parameters, found)]
        _by_regions(table, found, like, inside_only=parameters[-1] > 0, color=color)

    return _run(images, out, work)


def _run(images: Batch, out: Batch | None, work: Callable[[np.ndarray, np.ndarray], None]) -> Batch:
    """Call `work` with the table that leads from `images` to `out`, by way of a copy where the loops need one."""
    target = _empty_like(images) if out is None else out
    if (images.shape[0] if isinstance(images, Tensor) else len(images)) == 0:
        return target
    table = _table(images, target)
    if table is not None:
        work(table, LIKE[images.dtype if isinstance(images, Tensor) else images[0].dtype])
        return target
    copy = [image.to(_worked_on(image), memory_format=torch.contiguous_format, copy=True) for image in images]
    _run(copy, copy, work)
    for mine, result in zip(target, copy, strict=True):
        mine.copy_(result)
    return target


def _by_regions(
    table: np.ndarray,
    found: np.ndarray,
    like: np.ndarray,
    border: int = REPLICATE,
    inside_only: bool = False,
    color: np.ndarray = NO_COLOR,
    shape: int = BOX,
    mask_like: np.ndarray = BYTES,
) -> None:
    """Make all grids, or take `color` for them, then blend all bands; each step shared among the threads."""
    order = np.empty(len(found), np.int64)
    bands = np.empty(2 * len(found) + 8, BAND)
    count, elements = plan_bands(table, found, len(found), order, bands)
    if count < 0:
        bands = np.empty(-count, BAND)
        count, elements = plan_bands(table, found, len(found), order, bands)
    bands = bands[:count]
    pixel = table["planes"] * table["channels"]
    if len(color):
        scratch = np.resize(color, elements)
    else:
        scratch = np.empty(elements, np.float32)
        size = found["rows"] * found["columns"] * found["step_x"] * found["step_y"] * pixel[found["image"]]
        _share(lambda a, b: make_grids(table, found, a, b, scratch, border, inside_only, like), size)
    if (table["source"] != table["target"]).any():
        _share(lambda a, b: copy_images(table, a, b, like), table["width"] * table["height"] * pixel)
    area = (bands["x1"] - bands["x0"]) * (bands["y1"] - bands["y0"]) * pixel[bands["image"]]
    _share(lambda a, b: blend_bands(table, found, order, bands, a, b, scratch, shape, like, mask_like), area)


def _expected_cost(table: np.ndarray, boxes: np.ndarray, counts: np.ndarray, copy: bool) -> np.ndarray:
    """Return about how many elements have to be touched in each image."""
    pixel = table["planes"] * table["channels"]
    size = table["width"] * table["height"]
    sides = (boxes[:, :, 2:] - boxes[:, :, :2]).max(2, initial=0).clip(0, np.sqrt(size)[:, None])
    valid = np.arange(boxes.shape[1]) < counts[:, None]
    regions = 8 * np.where(valid, sides * sides, 0).sum(1)  # support and neighbourhood together are about 8 d^2
    cost: np.ndarray = (regions + copy * size / 4) * pixel
    return cost


def _share(work: Callable[[int, int], None], cost: np.ndarray) -> None:
    """Call work(first, last) for consecutive pieces of about equal cost that make up all of `cost`, on the threads."""
    threads = torch.get_num_threads()
    if threads == 1 or len(cost) < 2 or cost.sum() < SMALL:
        work(0, len(cost))
        return
    done = np.cumsum(cost)
    cuts = np.searchsorted(done, np.arange(1, CHUNKS * threads) * (done[-1] / (CHUNKS * threads)))
    edges = np.unique(np.concatenate(([0], cuts, [len(cost)]))).tolist()
    pieces = deque(pairwise(edges))

    def work_on_pieces() -> None:
        while True:
            try:
                piece = pieces.popleft()
            except IndexError:
                return
            work(*piece)

    _on_threads(work_on_pieces, threads)


def _on_threads(work: Callable[[], None], threads: int) -> None:
    """Call work(), which takes what it does from something shared, on this thread and on `threads` - 1 more."""
    helpers = [_pool(os.getpid()).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        for helper in helpers:
            helper.cancel()  # one that has not begun finds nothing left to do
        wait(helpers)
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    """Return the process's threads; a forked process makes its own."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="fastblur")


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

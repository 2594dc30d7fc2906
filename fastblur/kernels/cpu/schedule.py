"""The CPU kernel's work on a table of images, shared out among threads; it needs NumPy and Numba, and no torch.

`cpu` makes the table from tensors; here it is also made from arrays, for processes that have no use for torch.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise

import numpy as np

from fastblur.boxes import check_boxes
from fastblur.kernels.constants import REPLICATE
from fastblur.kernels.cpu.average import make_grids
from fastblur.kernels.cpu.blend import BOX, blend_bands, copy_images, work_on_images
from fastblur.kernels.cpu.plan import BAND, IMAGE, REGION, plan, plan_bands
from fastblur.recipes import Recipe

SMALL = 1 << 19  # elements of work under which a second thread costs more than it brings
CHUNKS = 4  # pieces of work for each thread
BYTES = np.empty(0, np.uint8)
NO_COLOR = np.empty(0, np.float32)

Parameters = tuple[float, float, float, bool, bool, int]
"""Those of `plan.plan`: strength, margin, feather, ellipse, d of the whole image; blocks, 0 for blur, -1 fill."""


def of_blur(recipe: Recipe) -> Parameters:
    """Return the parameters of a blur."""
    ellipse, whole_image = recipe.shape == "ellipse", recipe.scope == "image"
    return recipe.strength, recipe.margin, recipe.feather, ellipse, whole_image, 0


def of_pixelate(blocks: int, margin: float, shape: str) -> Parameters:
    """Return the parameters of a mosaic."""
    return 0.0, margin, 0.0, shape == "ellipse", False, blocks


def of_fill(margin: float, feather: float, shape: str) -> Parameters:
    """Return the parameters of painting over."""
    return 0.0, margin, feather, shape == "ellipse", False, -1


def hide_in_arrays(
    images: Sequence[np.ndarray], boxes: Sequence[np.ndarray], parameters: Parameters, color: np.ndarray = NO_COLOR
) -> None:
    """Hide the boxes of images in place, on this thread.

    Args:
        images: (H, W, C) uint8, C-contiguous.
        boxes: for each (n, 4) xyxy pixels, finite.
        parameters: as `of_blur`, `of_pixelate` or `of_fill` gives them.
        color: (C,) or (1,) float32 in 0..255, to fill with.

    Raises ValueError for other images, or a coordinate that `check_boxes` refuses.
    """
    most = max((len(rows) for rows in boxes), default=0)
    padded, counts = np.zeros((len(images), most, 4), np.float32), np.array([len(rows) for rows in boxes], np.int64)
    table = np.zeros(len(images), IMAGE)
    for i, (image, rows) in enumerate(zip(images, boxes, strict=True)):
        if image.dtype != np.uint8 or image.ndim != 3 or not image.flags.c_contiguous or not image.flags.writeable:
            raise ValueError(f"image {i} is {image.dtype} {image.shape}, expected writable uint8 (H, W, C)")
        height, width, channels = image.shape
        address, row = image.ctypes.data, width * channels
        table[i] = (address, address, height, width, 1, channels, 0, row, 0, row, 0, 0)
        padded[i, : len(rows)] = rows
    check_boxes(padded, counts)
    hide(table, padded, counts, parameters, BYTES, color, 1)


def hide(
    table: np.ndarray,
    boxes: np.ndarray,
    counts: np.ndarray,
    parameters: Parameters,
    like: np.ndarray,
    color: np.ndarray,
    threads: int,
) -> None:
    """Do what blur, pixelate and fill share, on a table of images.

    Args:
        table: (B,) IMAGE.
        boxes: (B, N, 4) float32 xyxy.
        counts: (B,) int64, how many of an image's rows are boxes.
        parameters: see `Parameters`.
        like: an array of the images' dtype.
        color: of fill, else empty.
        threads: how many to use.
    """
    copy = bool((table["source"] != table["target"]).any())
    cost = expected_cost(table, boxes, counts, copy) if threads > 1 else np.zeros(len(table))
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
    by_regions(table, found, like, threads, inside_only=parameters[-1] > 0, color=color)


def by_regions(
    table: np.ndarray,
    found: np.ndarray,
    like: np.ndarray,
    threads: int,
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
        share(lambda a, b: make_grids(table, found, a, b, scratch, border, inside_only, like), size, threads)
    if (table["source"] != table["target"]).any():
        share(lambda a, b: copy_images(table, a, b, like), table["width"] * table["height"] * pixel, threads)
    area = (bands["x1"] - bands["x0"]) * (bands["y1"] - bands["y0"]) * pixel[bands["image"]]
    share(lambda a, b: blend_bands(table, found, order, bands, a, b, scratch, shape, like, mask_like), area, threads)


def expected_cost(table: np.ndarray, boxes: np.ndarray, counts: np.ndarray, copy: bool) -> np.ndarray:
    """Return about how many elements have to be touched in each image."""
    pixel = table["planes"] * table["channels"]
    size = table["width"] * table["height"]
    sides = (boxes[:, :, 2:] - boxes[:, :, :2]).max(2, initial=0).clip(0, np.sqrt(size)[:, None])
    valid = np.arange(boxes.shape[1]) < counts[:, None]
    regions = 8 * np.where(valid, sides * sides, 0).sum(1)  # support and neighbourhood together are about 8 d^2
    cost: np.ndarray = (regions + copy * size / 4) * pixel
    return cost


def share(work: Callable[[int, int], None], cost: np.ndarray, threads: int) -> None:
    """Call work(first, last) for consecutive pieces of about equal cost that make up all of `cost`, on the threads."""
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

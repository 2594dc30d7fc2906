"""The CPU kernel's work on a table of images, shared out among threads; it needs NumPy and Numba, and no torch.

`operators` makes the table from tensors; here it is also made from arrays, for processes that have no use for torch.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import lru_cache
from itertools import pairwise

import numpy as np

from fastblur.boxes import Boxes, check_boxes
from fastblur.kernels.constants import FILL, INSIDE, MOSAIC, REPLICATE
from fastblur.kernels.cpu.average import make_grids
from fastblur.kernels.cpu.blend import blend_bands, copy_images
from fastblur.kernels.cpu.compiled import compiled
from fastblur.kernels.cpu.images import IMAGE, image_row
from fastblur.kernels.cpu.plan import REGION, plan, plan_bands
from fastblur.kernels.parameters import KernelParameters

MIN_SHARED = 1 << 19  # elements of work under which a second thread costs more than it saves
PIECES = 4  # pieces of work for each thread
BYTES = np.empty(0, np.uint8)
NO_COLOR = np.empty(0, np.float32)


def hide_in_arrays(
    images: Sequence[np.ndarray],  # (H, W, C) uint8, or float32 in 0..1, all of one dtype; C-contiguous
    boxes: Sequence[Boxes],  # (n, 4) xyxy px for each image
    parameters: KernelParameters,
    color: np.ndarray = NO_COLOR,  # (C,) or (1,) float32 in the images' scale, to fill with
) -> None:
    """Hide the boxes of images in place, on this thread.

    Raises ValueError for other images, or a coordinate that `check_boxes` refuses.
    """
    most = max((len(rows) for rows in boxes), default=0)
    padded, counts = np.zeros((len(images), most, 4), np.float32), np.array([len(rows) for rows in boxes], np.int64)
    table = np.zeros(len(images), IMAGE)
    dtype = np.dtype(np.float32 if len(images) and images[0].dtype == np.float32 else np.uint8)
    for i, (image, rows) in enumerate(zip(images, boxes, strict=True)):
        if image.dtype != dtype or image.ndim != 3 or not image.flags.c_contiguous or not image.flags.writeable:
            raise ValueError(f"image {i} is {image.dtype} {image.shape}, expected writable {dtype} (H, W, C)")
        height, width, channels = image.shape
        address, strides = image.ctypes.data, (1, width * channels, channels)
        table[i] = image_row(address, address, (channels, height, width), strides, strides)
        padded[i, : len(rows)] = rows
    check_boxes(padded, counts)
    hide(table, padded, counts, parameters, color, np.zeros(0, dtype), 1)


def hide(
    table: np.ndarray,  # (B,) IMAGE
    boxes: np.ndarray,  # (B, N, 4) float32 xyxy px
    counts: np.ndarray,  # (B,) int64, how many of an image's rows are boxes
    parameters: KernelParameters,
    color: np.ndarray,  # (C,) or (1,) float32; empty unless the mode is FILL
    dtype_like: np.ndarray,  # (0,) of the images' dtype
    threads: int,
) -> None:
    """Do what blur, pixelate and fill share, on a table of images."""
    cost = expected_cost(table, boxes, counts) if threads > 1 else np.zeros(len(table))
    if len(table) >= 2 * threads or cost.sum() < MIN_SHARED:
        # Image by image, so that each is still in the cache when its regions are blended; expensive ones first.
        order = np.argsort(-cost, kind="stable")
        share(
            lambda a, b: hide_in_images(table, boxes, counts, parameters, color, order[a:b], dtype_like),
            cost[order],
            threads,
        )
        return
    found = np.zeros(len(table) * boxes.shape[1], REGION)
    found = found[: plan(table, boxes, counts, parameters, found)]
    border = INSIDE if parameters.mode == MOSAIC else REPLICATE
    hide_by_regions(table, found, parameters.mode, border, color, dtype_like, BYTES, threads)


@compiled
def hide_in_images(images, boxes, counts, parameters, color, chosen, dtype_like):  # type: ignore[no-untyped-def]
    """Do everything for the images whose numbers are `chosen`, (n,) int64, one after the other.

    The other parameters are those of `plan`; `color` is (C,) or (1,) float32, empty unless the mode is FILL.
    """
    found = np.zeros(boxes.shape[1], REGION)
    for b in chosen:
        image = images[b : b + 1]
        n = plan(image, boxes[b : b + 1], counts[b : b + 1], parameters, found)
        copy = image[0].source != image[0].target
        if n == 0 and not copy:
            continue
        order, bands, elements = plan_bands(image, found[:n])
        scratch = np.empty(elements, np.float32)
        if parameters.mode == FILL:
            for i in range(elements):
                scratch[i] = color[i % len(color)]
        else:
            border = INSIDE if parameters.mode == MOSAIC else REPLICATE
            make_grids(image, found, 0, n, scratch, border, dtype_like)
        if copy:
            copy_images(image, 0, 1, dtype_like)
        blend_bands(image, found, order, bands, 0, len(bands), scratch, parameters.mode, dtype_like, dtype_like)


def hide_by_regions(
    table: np.ndarray,  # (B,) IMAGE
    found: np.ndarray,  # (n,) REGION
    mode: int,
    border: int,
    color: np.ndarray,  # (C,) or (1,) float32; empty unless the mode is FILL
    dtype_like: np.ndarray,  # (0,) of the images' dtype
    mask_like: np.ndarray,  # (0,) of the masks' dtype
    threads: int,
) -> None:
    """Make all grids, then copy all images, then blend all bands; each step shared among the threads."""
    order, bands, elements = plan_bands(table, found)
    pixel = table["planes"] * table["channels"]
    if mode == FILL:
        scratch = np.resize(color, elements)
    else:
        scratch = np.empty(elements, np.float32)
        size = found["rows"] * found["columns"] * found["step_x"] * found["step_y"] * pixel[found["image"]]
        share(lambda a, b: make_grids(table, found, a, b, scratch, border, dtype_like), size, threads)
    if (table["source"] != table["target"]).any():
        share(lambda a, b: copy_images(table, a, b, dtype_like), table["width"] * table["height"] * pixel, threads)
    area = (bands["x1"] - bands["x0"]) * (bands["y1"] - bands["y0"]) * pixel[bands["image"]]
    share(
        lambda a, b: blend_bands(table, found, order, bands, a, b, scratch, mode, dtype_like, mask_like),
        area,
        threads,
    )


def expected_cost(
    table: np.ndarray,  # (B,) IMAGE
    boxes: np.ndarray,  # (B, N, 4) float32 xyxy px
    counts: np.ndarray,  # (B,) int64
) -> np.ndarray:  # (B,) float64
    """Return about how many elements have to be read or written in each image."""
    copy = table["source"] != table["target"]
    pixel = table["planes"] * table["channels"]
    size = table["width"] * table["height"]
    sides = (boxes[:, :, 2:] - boxes[:, :, :2]).max(2, initial=0).clip(0, np.sqrt(size)[:, None])
    valid = np.arange(boxes.shape[1]) < counts[:, None]
    regions = 8 * np.where(valid, sides * sides, 0).sum(1)  # support and neighbourhood together are about 8 d^2
    cost: np.ndarray = (regions + copy * size / 4) * pixel
    return cost


def share(
    work: Callable[[int, int], None],
    cost: np.ndarray,  # (n,) elements to read or write
    threads: int,
) -> None:
    """Call work(first, last) for consecutive pieces of about equal cost that make up all of `cost`, on the threads."""
    if threads == 1 or len(cost) < 2 or cost.sum() < MIN_SHARED:
        work(0, len(cost))
        return
    done = np.cumsum(cost)
    cuts = np.searchsorted(done, np.arange(1, PIECES * threads) * (done[-1] / (PIECES * threads)))
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
    """Call work(), which takes pieces from a queue until that is empty, on this thread and `threads` - 1 more."""
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

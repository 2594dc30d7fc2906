"""Tables, scratch and the launches of the CUDA kernel. Nothing here waits for the device.

Every size that the host uses comes from shapes and the recipe. `SCRATCH` bytes hold the cells of as many regions as
come; where B x N rows of the Regions could ask for more, one more launch (`rest`) stands by for those that find no
place. Masks cover whole images, so their batches are worked on in pieces that fit.
"""

import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

import torch
import triton
from torch import Tensor

from fastblur.kernels.constants import ALPHA_SUPPORT, FILL, MASK, MOSAIC, REPLICATE
from fastblur.kernels.cuda.average import average
from fastblur.kernels.cuda.blend import blend
from fastblur.kernels.cuda.layout import batched, ragged
from fastblur.kernels.cuda.plan import HEADER, ROW, UNIT, most_cells, most_lines
from fastblur.kernels.cuda.planner import plan_regions
from fastblur.kernels.cuda.rest import rest
from fastblur.kernels.cuda.smooth import smooth
from fastblur.kernels.triton_support import INTERPRETED

VERSION = tuple(int(part) for part in triton.__version__.split(".")[:2])
if VERSION < (3, 3):
    raise RuntimeError(f"triton is {triton.__version__}, expected 3.3 or newer: the compiler of older ones aborts")

SCRATCH = 1 << 28  # bytes
PRECISION = "ieee" if torch.version.hip else "tf32x3"  # what float32 products may lose: nothing that shows
OPTIONS: dict[str, dict[str, int]] = {
    "plan_regions": {"num_warps": 8},
    "average": {"num_warps": 2, "maxnreg": 168},  # without the bound fewer run at once: 4 in place of 6
    "smooth": {"num_warps": 4},
    "blend": {"num_warps": 2},
    "rest": {"num_warps": 4},
}
# Programs of a launch for each multiprocessor: more than run at once, so that a long one holds up no others.
PROGRAMS = {"average": 64, "smooth": 16, "blend": 64, "rest": 1}

_kept: dict[Any, Any] = {}  # compiled programs
_constants: dict[str, int] = {}  # how many of a program's parameters, the last ones, are constants


def launch(
    images: Sequence[Tensor],
    boxes: Tensor | None,
    counts: Tensor | None,
    *,
    mode: int,
    border: int,
    color: Tensor | None = None,
    sigmas: Tensor | None = None,
    masks: Sequence[Tensor] = (),
    strength: float = 0.0,
    margin: float = 0.0,
    feather: float = 0.0,
    blocks: int = 0,
    ellipse: bool = False,
    whole_image: bool = False,
) -> None:
    """Change the regions of `images` in place.

    `images` is a batch (B, C, H, W) alone in its list, or the images (C, H, W) of a ragged batch; `masks` are like it.
    `boxes` is (B, N, 4) and `counts` (B,); a mask has no boxes but `sigmas`, (B, 2).
    """
    layout = (batched if images[0].ndim == 4 else ragged)(images, masks, border != REPLICATE)
    half = images[0].dtype in (torch.uint8, torch.float16) and mode != MOSAIC and _multiplies_half()
    region = _region_elements(
        layout.height, layout.width, layout.channels, mode, strength, 1 + 2 * margin + 2 * ALPHA_SUPPORT * feather,
        blocks,
    )  # fmt: skip
    size, most = layout.size, 1 if boxes is None else boxes.shape[1]
    bytes_ = (2 if half else 4) * region
    piece = max(1, min(size, SCRATCH // bytes_)) if mode == MASK else size
    tables = HEADER.value + 1 + piece + (3 + ROW.value) * piece * most + ROW.value
    capacity = min(piece * most * bytes_, max(most * bytes_, SCRATCH - 4 * tables))
    device = images[0].device
    plan = torch.empty(tables, dtype=torch.int32, device=device)
    cells = torch.empty(capacity // (2 if half else 4), dtype=torch.float16 if half else torch.float32, device=device)
    units, count = len(cells) // UNIT.value, _multiprocessors(device)
    bits = _bits(strength), _bits(margin), _bits(feather)
    with _on(device):
        for first in range(0, size, piece):
            place = layout if piece == size else layout.part(first, first + piece)
            slots = place.size * most
            sizes = (place.height, place.width, place.channels)
            held = (plan, cells, place.size, slots)
            given = (boxes, counts, sigmas if sigmas is None else sigmas[first : first + piece])
            _run(
                plan_regions, 1, plan, place.table, *(plan if one is None else one for one in given), place.size, most,
                slots, 1 << (place.size - 1).bit_length(), *sizes, *bits, blocks, units,
                place.ragged, mode, ellipse, whole_image, border, place.together, half,
            )  # fmt: skip
            if mode != FILL:
                _run(
                    average, count, *place.image, *sizes, *held,
                    place.ragged, border, place.together, PRECISION, place.aligned,
                )  # fmt: skip
            if mode != FILL or not ellipse:
                _run(smooth, count, place.table, *sizes, *held, place.ragged, mode, place.together, PRECISION)
            paint, paint_step = (plan, 0) if color is None else (color, int(len(color) > 1))
            _run(
                blend, count, place.image[0], place.table, place.masks[0], *place.image[2:], *place.masks[1:], *sizes,
                paint, paint_step, *held, place.ragged, mode, ellipse, place.together, place.aligned,
            )  # fmt: skip
            if mode != MASK and capacity < slots * bytes_:
                _run(
                    rest, count, *place.image, *sizes, *held, units,
                    place.ragged, mode, ellipse, border, place.together, PRECISION, place.aligned,
                )  # fmt: skip


@lru_cache(maxsize=4096)
def _region_elements(
    height: int, width: int, channels: int, mode: int, strength: float, spread: float, blocks: int
) -> int:
    """Return the most elements of scratch that a region can take: its cells and its blurred lines."""
    edges = 2 * (width * channels + height + 4 * UNIT.value)  # of float32, in elements of half precision
    if mode == FILL:
        return int(edges)
    free, limit = (0.0 if mode == MASK else strength), (blocks if mode == MOSAIC else 0)
    columns = most_cells(width, free, spread, limit) + 2 * UNIT.value
    cells = most_cells(height, free, spread, limit) * columns
    lines = most_lines(height, free, spread, limit) * (width + 2 * UNIT.value)
    return int(-(-(channels * (cells + lines) + edges) // UNIT.value) * UNIT.value)


def _run(function: Any, multiprocessors: int, *arguments: Any) -> None:
    """Launch a program with positional arguments; from the second time on without what Triton does to find it."""
    name = function.fn.__name__
    programs = 1 if INTERPRETED or name == "plan_regions" else multiprocessors * PROGRAMS[name]
    if INTERPRETED:
        function[(programs,)](*arguments)
        return
    if name not in _constants:
        _constants[name] = sum(one.isupper() for one in function.arg_names)
    kinds = tuple(one.dtype for one in arguments if isinstance(one, Tensor))
    key = (name, arguments[0].device, kinds, arguments[-_constants[name] :])
    kept = _kept.get(key)
    if kept is not None:
        kept[(programs, 1, 1)](*arguments)
        return
    _kept[key] = function[(programs,)](*arguments, **_options(name))
    if function.arg_names[-1] == "ALIGNED":  # its twin too, with no work, so that no later call has to wait for it
        empty = torch.zeros(HEADER.value, dtype=torch.int32, device=arguments[0].device)
        idle = [empty if at == "plan" else one for at, one in zip(function.arg_names, arguments, strict=True)]
        idle[-1] = not arguments[-1]
        twin = (name, arguments[0].device, kinds, tuple(idle[-_constants[name] :]))
        _kept[twin] = function[(1,)](*idle, **_options(name))


def _options(name: str) -> dict[str, int]:
    """Return the options of a program; ROCm's compiler takes no bound on registers."""
    return {key: n for key, n in OPTIONS[name].items() if key != "maxnreg" or not torch.version.hip}


@lru_cache
def _multiprocessors(device: torch.device) -> int:
    return int(torch.cuda.get_device_properties(device).multi_processor_count) if device.type == "cuda" else 1


def _multiplies_half() -> bool:
    """Return whether half precision can be multiplied: Triton 3.3 aborts over that on compute capability 7.5."""
    if INTERPRETED or VERSION > (3, 3):
        return True
    target = triton.runtime.driver.active.get_current_target()
    return bool(target.backend != "cuda" or target.arch >= 80)


def _bits(value: float) -> int:
    """Return the bits of a float64, which Triton would hand over as a float32."""
    return int(struct.unpack("<q", struct.pack("<d", value + 0.0))[0])


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

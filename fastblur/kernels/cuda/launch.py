"""Tables, scratch and the two launches of the CUDA kernel. Nothing here waits for the device.

Every size that the host uses comes from shapes and the recipe: scratch holds the most cells that a region can have
(`plan.most_cells`) for each of the B x N rows of the Regions. Where that is more than `SCRATCH` bytes, the batch
is worked on in pieces of several images, each with its two launches, which share the scratch in stream order.
"""

import struct
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import triton
from torch import Tensor

from fastblur.kernels.cuda.average import COLUMNS, average
from fastblur.kernels.cuda.blend import blend
from fastblur.kernels.cuda.plan import BLUR, FLOATS, INTS, MASK, MOSAIC, most_cells
from fastblur.kernels.triton_support import INTERPRETED

if tuple(int(part) for part in triton.__version__.split(".")[:2]) < (3, 3):
    raise RuntimeError(f"triton is {triton.__version__}, expected 3.3 or newer: the compiler of older ones aborts")

SCRATCH = 1 << 29  # bytes
PARTS = 4096  # programs that share a launch, at least, where there is work for so many
# Two programs of 8 warps fit on a multiprocessor with 128 registers a thread; ROCm knows no such limit.
OPTIONS = {"num_warps": 8} if torch.version.hip else {"num_warps": 8, "maxnreg": 128}
PRECISION = "ieee" if torch.version.hip else "tf32x3"  # what the matrix products may lose: nothing that shows


def launch(
    out: Sequence[Tensor],
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
    """Write every pixel of `out`; or, without `images`, only those of the regions, in place.

    `out` is a batch (B, C, H, W) alone in its list, or the images (C, H, W) of a ragged batch; `images` and `masks`
    are like it. `boxes` is (B, N, 4) and `counts` (B,); a mask has no boxes but `sigmas`, (B, 2).
    """
    ragged = out[0].ndim == 3
    size = len(out) if ragged else out[0].shape[0]
    most = 1 if boxes is None else boxes.shape[1]
    heights, widths = [image.shape[-2] for image in out], [image.shape[-1] for image in out]
    channels = {image.shape[-3] for image in out}
    group = 3 if channels == {3} else 1
    groups = max(channels) // group
    spread = 1 + 2 * margin + 6 * feather
    limit = blocks if mode == MOSAIC.value else 0
    free = 0.0 if mode == MASK.value else strength
    needs_cells = mode in (BLUR.value, MOSAIC.value, MASK.value)
    across = most_cells(max(widths), free, spread, limit) if needs_cells else 1
    down = most_cells(max(heights), free, spread, limit) if needs_cells else 1
    cells_region = max(channels) * down * across
    # Slices of images keep the scratch within its bound.
    piece = max(1, min(size, SCRATCH // (4 * cells_region * most)))
    device = out[0].device
    scratch = torch.empty(piece * most * cells_region, dtype=torch.float32, device=device)
    ints = torch.empty(piece * most, INTS.value, dtype=torch.int32, device=device)
    floats = torch.empty(piece * most, FLOATS.value, dtype=torch.float32, device=device)
    source, nothing = (images or out), ints
    with _on(device):
        for first in range(0, size, piece):
            part = slice(first, first + piece)
            count = min(piece, size - first)
            if ragged:
                layout = _ragged(source[part], out[part], masks[part], nothing)
            else:
                layout = _batched(source[0][part], out[0][part], [mask[part] for mask in masks], nothing)
            slots = count * most
            shared: dict[str, Any] = {
                "ints": ints, "floats": floats, "cells": scratch, "cells_region": cells_region,
                "cells_plane": down * across, "cells_row": across, "most": most,
                "RAGGED": ragged, "MODE": mode, "ELLIPSE": ellipse, "GROUP": group, "PRECISION": PRECISION,
            }  # fmt: skip
            share = _share(slots)
            average[(share * slots * groups,)](
                **{name: value for name, value in layout.items() if not name.startswith(("target", "mask"))},
                **shared,
                boxes=nothing if boxes is None else boxes[part],
                counts=nothing if counts is None else counts[part],
                sigmas=nothing if sigmas is None else sigmas[part],
                slots=slots, parts=share, strength=_bits(strength), margin=_bits(margin), feather=_bits(feather),
                blocks=blocks, WHOLE=whole_image, BORDER=border, **OPTIONS,
            )  # fmt: skip
            share = _share(count)
            blend[(share * count * groups,)](
                **layout,
                **shared,
                counts=nothing if counts is None else counts[part],
                color=nothing if color is None else color,
                color_step=int(color is not None and len(color) > 1),
                images=count, parts=share, IN_PLACE=not images, **OPTIONS,
            )  # fmt: skip


def _share(count: int) -> int:
    """Return among how many programs the tiles of one region, or of one image, are shared out."""
    if INTERPRETED:
        return 1
    return max(8 if count <= PARTS else 1, min(256, PARTS // count))


def _bits(value: float) -> int:
    """Return the bits of a float64, which Triton would hand over as a float32."""
    return int(struct.unpack("<q", struct.pack("<d", value + 0.0))[0])


def _batched(source: Tensor, target: Tensor, masks: Sequence[Tensor], nothing: Tensor) -> dict[str, Any]:
    mask = masks[0] if masks else nothing
    names = ("image", "channel", "row", "column")
    strides = {f"source_{name}": stride for name, stride in zip(names, source.stride(), strict=True)}
    strides |= {f"target_{name}": stride for name, stride in zip(names, target.stride(), strict=True)}
    of_mask = mask.stride() if masks else (0, 0, 0, 0)
    strides |= {"mask_image": of_mask[0], "mask_row": of_mask[2], "mask_column": of_mask[3]}
    _, channels, height, width = source.shape
    sizes = {"height": height, "width": width, "channels": channels}
    return {"source": source, "target": target, "mask": mask, "table": nothing, **strides, **sizes}


def _ragged(
    source: Sequence[Tensor], target: Sequence[Tensor], masks: Sequence[Tensor], nothing: Tensor
) -> dict[str, Any]:
    """Put addresses, sizes and strides of every image into a table on the device, by way of pinned memory.

    Raises RuntimeError while a CUDA graph is captured, which would read that memory again after it has been given back.
    """
    if source[0].is_cuda and torch.cuda.is_current_stream_capturing():
        raise RuntimeError("a list of images is blurred while a CUDA graph is captured, expected a batch (B, C, H, W)")
    rows = []
    for i, (image, mine) in enumerate(zip(source, target, strict=True)):
        channels, height, width = image.shape
        row = [image.data_ptr(), mine.data_ptr(), masks[i].data_ptr() if masks else 0, height, width, channels]
        for tensor in (image, mine):
            row += [tensor.stride(1), tensor.stride(2), tensor.stride(0)]
        row += list(masks[i].stride()[1:]) if masks else [0, 0]
        rows.append(row + [0] * (COLUMNS.value - len(row)))
    table = torch.tensor(rows, dtype=torch.int64, pin_memory=source[0].is_cuda)
    table = table.to(source[0].device, non_blocking=True)
    zeros = dict.fromkeys(
        (f"{a}_{b}" for a in ("source", "target", "mask") for b in ("image", "row", "column", "channel")), 0
    )
    del zeros["mask_channel"]
    sizes = {"height": 0, "width": 0, "channels": 0}
    return {"source": source[0], "target": target[0], "mask": masks[0] if masks else nothing, "table": table} | {
        **zeros,
        **sizes,
    }


def _on(device: torch.device) -> AbstractContextManager[Any]:
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()

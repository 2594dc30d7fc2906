# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False
"""Letterbox on CUDA: one Triton launch from images of all sizes to the network's input, whatever their number.

It does what `fastblur.detectors.preprocess.letterbox` does, and then turns channels and normalises. With
TRITON_INTERPRET=1 in the environment when Triton is first imported, it runs on CPU tensors.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from fastblur.detectors.multi_scale import Size
from fastblur.kernels.cuda.image import image_at, image_size
from fastblur.kernels.cuda.layout import batched, ragged

HIGH, WIDE = tl.constexpr(8), tl.constexpr(64)  # pixels of the result that a program makes


def letterbox_triton(
    stacks: Sequence[Tensor],  # (b, 3, H, W) each, of one dtype but float64, on the device of the result
    sizes: Tensor,  # (B, 1, 2) float32, width and height of each image in the result, on that device
    canvas: Size,
    mean: Tensor,  # (3, 1, 1) float32, on that device, in the network's order of channels
    std: Tensor,  # (3, 1, 1) float32, likewise
    reverses: bool,  # whether the network's channels stand the other way round than the images'
    memory_format: torch.memory_format,
    dtype: torch.dtype,
) -> Tensor:  # (B, 3, *canvas) of `dtype`
    """Return (pixel - mean) / std of the images scaled into the canvas's upper left corner, and 0 elsewhere."""
    result = torch.empty((len(sizes), 3, *canvas), device=mean.device, dtype=dtype, memory_format=memory_format)
    stacks = [stack.detach().resolve_neg() for stack in stacks]
    if len(stacks) == 1:
        layout = batched(stacks, (), True)
    else:
        layout = ragged([image for stack in stacks for image in stack], (), True)
    across = triton.cdiv(canvas[1], WIDE.value)
    tiles = across * triton.cdiv(canvas[0], HIGH.value)
    with torch.cuda.device(mean.device) if mean.is_cuda else nullcontext():
        letterbox_tile[(len(sizes) * tiles,)](
            *layout.image, layout.height, layout.width, sizes.contiguous(), result, *result.stride(), *canvas,
            mean, std, tiles, across, layout.ragged, reverses,
        )  # fmt: skip
    return result


@triton.jit
def _taps(i, size, result):
    """Return of a line of `size` pixels scaled to `result` where the taps of pixels `i` begin and end.

    With them come the pixels' centres, the scale, and how many taps there are at most; PyTorch's filter "bilinear",
    antialiased: a triangle as wide as two pixels of the result.
    """
    scale = size.to(tl.float32) / result.to(tl.float32)
    center = scale * (i.to(tl.float32) + 0.5)
    first = tl.maximum((center - scale + 0.5).to(tl.int32), 0)
    last = tl.minimum((center + scale + 0.5).to(tl.int32), size)
    return first, last, center, scale, tl.where(size > result, (2 * scale).to(tl.int32) + 2, 1)


@triton.jit
def _weights(j, last, center, scale):
    """Return the weights, not normalised, of the pixels `j`."""
    weight = 1.0 - tl.abs((j.to(tl.float32) - center + 0.5) / scale)
    return tl.where(j < last, tl.maximum(weight, 0.0), 0.0)


@triton.jit
def _written(out, value, inside, mean, std, c, LEVELS: tl.constexpr):
    """Return what the network sees of a channel."""
    if not LEVELS:
        value = value * 255.0
    value = tl.div_rn(value - tl.load(mean + c), tl.load(std + c) + 0.0 * value)
    return tl.where(inside, value, 0.0).to(out.dtype.element_ty)


@triton.jit(do_not_specialize=["images", "table", "image", "plane", "row", "step", "height", "width", "out_image",
                               "out_plane", "out_row", "out_step", "high", "wide", "tiles", "across"])  # fmt: skip
def letterbox_tile(
    images, table, image: tl.int64, plane: tl.int64, row: tl.int64, step: tl.int64, height, width, sizes,
    out, out_image: tl.int64, out_plane: tl.int64, out_row: tl.int64, out_step: tl.int64, high, wide, mean, std,
    tiles, across, RAGGED: tl.constexpr, REVERSES: tl.constexpr,
):  # fmt: skip
    """Write one tile of one image's canvas, high x wide."""
    b, tile = tl.program_id(0) // tiles, tl.program_id(0) % tiles
    height_, width_, _deep = image_size(table, b, height, width, 3, RAGGED)
    base, plane_, row_, step_ = image_at(images, table, b, image, plane, row, step, RAGGED)
    x, y = tile % across * WIDE + tl.arange(0, WIDE), tile // across * HIGH + tl.arange(0, HIGH)
    seen_x, seen_y = tl.load(sizes + 2 * b).to(tl.int32), tl.load(sizes + 2 * b + 1).to(tl.int32)
    inside = (y < seen_y)[:, None] & (x < seen_x)[None, :]
    first_x, last_x, center_x, scale_x, taps_x = _taps(x, width_, seen_x)
    first_y, last_y, center_y, scale_y, taps_y = _taps(y, height_, seen_y)
    sum_x, sum_y = tl.zeros((WIDE,), tl.float32), tl.zeros((HIGH,), tl.float32)
    red = tl.zeros((HIGH, WIDE), tl.float32)
    green, blue = red, red
    for dx in range(0, taps_x):
        sum_x += _weights(first_x + dx, last_x, center_x, scale_x)
    if (tile % across * WIDE < seen_x) & (tile // across * HIGH < seen_y):
        for dy in range(0, taps_y):
            weight_y = _weights(first_y + dy, last_y, center_y, scale_y)
            sum_y += weight_y
            line = base + ((first_y + dy).to(tl.int64) * row_)[:, None]
            for dx in range(0, taps_x):
                weight = weight_y[:, None] * _weights(first_x + dx, last_x, center_x, scale_x)[None, :]
                at = line + ((first_x + dx).to(tl.int64) * step_)[None, :]
                read = inside & (weight > 0)
                red += weight * tl.load(at, mask=read, other=0).to(tl.float32)
                green += weight * tl.load(at + plane_, mask=read, other=0).to(tl.float32)
                blue += weight * tl.load(at + 2 * plane_, mask=read, other=0).to(tl.float32)
    total = tl.where(inside, sum_y[:, None] * sum_x[None, :], 1.0)
    red, green, blue = tl.div_rn(red, total), tl.div_rn(green, total), tl.div_rn(blue, total)
    if REVERSES:
        red, blue = blue, red
    levels: tl.constexpr = images.dtype.element_ty == tl.uint8
    at = out + b.to(tl.int64) * out_image + (y.to(tl.int64) * out_row)[:, None] + (x.to(tl.int64) * out_step)[None, :]
    there = (y < high)[:, None] & (x < wide)[None, :]
    tl.store(at, _written(out, red, inside, mean, std, 0, levels), mask=there)
    tl.store(at + out_plane, _written(out, green, inside, mean, std, 1, levels), mask=there)
    tl.store(at + 2 * out_plane, _written(out, blue, inside, mean, std, 2, levels), mask=there)

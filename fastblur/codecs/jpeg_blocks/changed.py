"""The blocks that change: from samples back to quantised coefficients."""

import numpy as np

from fastblur.codecs.jpeg_blocks.bits import compiled, load_f32, load_i16, load_u8, store_f32, store_i16
from fastblur.codecs.jpeg_blocks.huffman import TRANSPOSED
from fastblur.codecs.jpeg_blocks.scan import CHANGED, CODED
from fastblur.codecs.jpeg_blocks.transforms import to_coefficients


@compiled
def change_blocks(flags, across, of_block, component, changed, width, height, origin, stride, inverse, coefficients):
    """Transform the changed blocks of one component back, and those that hold what lies beyond the border.

    What pads the last blocks of a changed MCU may show what was there before: it becomes the border's new samples.

    Args:
        flags, across, of_block: see `scan.read_scan`. changed, width, height: see `plan.mark`.
        origin, stride: address of the sample at (0, 0), bytes between rows.
        inverse: (64,) float32, one over the quantisation table, transposed.
        coefficients: (MCUs encoded again * blocks, 64) int16, in the file's order.

    Returns how many blocks were changed.
    """
    transposed = np.empty(64, np.int16)
    order, target, n = TRANSPOSED.ctypes.data, transposed.ctypes.data, 0
    coded = -len(of_block)
    for m in range(len(flags)):
        if flags[m] & CODED == 0:
            continue
        coded += len(of_block)
        if flags[m] & CHANGED == 0:
            continue
        for b in range(len(of_block)):
            if of_block[b, 0] != component:
                continue
            row = m // across * of_block[b, 2] + of_block[b, 4]
            column = m % across * of_block[b, 1] + of_block[b, 3]
            y, x = 8 * row, 8 * column
            at_border = y + 8 > height or x + 8 > width
            if not (at_border or changed[row, column]):
                continue
            if at_border:
                _pad(origin, stride, x, y, width, height)
            to_coefficients(origin + y * stride + 4 * x, stride, inverse.ctypes.data, target)
            out = coefficients.ctypes.data + 128 * (coded + b)
            for k in range(64):
                store_i16(out + 2 * k, load_i16(target + 2 * load_u8(order + k)))
            n += 1
    return n


@compiled
def _pad(origin, stride, x, y, width, height):
    """Give the samples of a block that lie beyond the border those of the border."""
    for i in range(y, y + 8):
        for j in range(x, x + 8):
            if i >= height or j >= width:
                source = origin + min(i, height - 1) * stride + 4 * min(j, width - 1)
                store_f32(origin + i * stride + 4 * j, load_f32(source))

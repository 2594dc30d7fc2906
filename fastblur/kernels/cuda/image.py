"""Pixels of one image of a batch or of a ragged list, read and written in words where addresses allow.

A row of an image is a line of elements: of one channel, or, where all CHANNELS of a uint8 pixel lie side by side, of
all of them (element i is channel i % CHANNELS of pixel i // CHANNELS). `step` elements of memory lie between two of
a line, `row` between lines, `plane` between channels that have lines of their own. ALIGNED says that steps are 1 and
addresses, strides and lengths of lines multiples of 4 elements, so that 4 of them are one word.
"""

import triton
import triton.language as tl

TABLE = tl.constexpr(12)  # columns of the table of a ragged batch
ADDRESS, HEIGHT, WIDTH, DEPTH, PLANE, LINE, STEP, COVER, COVER_LINE, COVER_STEP = range(10)
_HEIGHT, _WIDTH, _DEPTH, _PLANE, _LINE, _STEP, _COVER, _COVER_LINE, _COVER_STEP = (
    tl.constexpr(i) for i in range(1, 10)
)


@triton.jit
def image_size(table, b, height, width, channels, RAGGED: tl.constexpr):
    """Return height, width and channels of image (or images) `b`, as int32 of its shape."""
    if RAGGED:
        row = table + b * TABLE
        return (
            tl.load(row + _HEIGHT).to(tl.int32),
            tl.load(row + _WIDTH).to(tl.int32),
            tl.load(row + _DEPTH).to(tl.int32),
        )
    return height + b * 0, width + b * 0, channels + b * 0


@triton.jit
def image_at(images, table, b, image, plane, row, step, RAGGED: tl.constexpr):
    """Return image `b`'s first element and its strides plane, row and step."""
    if RAGGED:
        at = table + b * TABLE
        base = tl.load(at).to(tl.pointer_type(images.dtype.element_ty))
        return base, tl.load(at + _PLANE), tl.load(at + _LINE), tl.load(at + _STEP)
    return images + image.to(tl.int64) * b, plane.to(tl.int64), row.to(tl.int64), step.to(tl.int64)


@triton.jit
def mask_at(masks, table, b, image, row, step, RAGGED: tl.constexpr):
    """Return the first element of image `b`'s mask and its strides row and step."""
    if RAGGED:
        at = table + b * TABLE
        base = tl.load(at + _COVER).to(tl.pointer_type(masks.dtype.element_ty))
        return base, tl.load(at + _COVER_LINE), tl.load(at + _COVER_STEP)
    return masks + image.to(tl.int64) * b, row, step


@triton.jit
def _places(base, y, i, row, step, ALIGNED: tl.constexpr):
    at = base + (y.to(tl.int64) * row)[:, None]
    if ALIGNED:
        if base.dtype.element_ty == tl.uint8:
            return tl.multiple_of(at + i[None, :], (1, 4))
        if base.dtype.element_ty == tl.float32:
            return tl.multiple_of(at + i[None, :], (1, 16))
        return tl.multiple_of(at + i[None, :], (1, 8))
    return at + (i.to(tl.int64) * step)[None, :]


@triton.jit
def load_elements(base, y, i, row, step, limit, mask, ALIGNED: tl.constexpr):
    """Return the elements `i` of lines `y` of the plane at `base`, (lines, elements); a line has `limit` of them.

    `i` begins at a multiple of 4, and `mask` is the same for each 4.
    """
    if not ALIGNED:
        mask = mask & (i < limit)[None, :]
    return tl.load(_places(base, y, i, row, step, ALIGNED), mask=mask, other=0)


@triton.jit
def store_elements(base, y, i, row, step, limit, values, mask, ALIGNED: tl.constexpr):
    """Write the elements `i` of lines `y` of the plane at `base`; see `load_elements`."""
    if not ALIGNED:
        mask = mask & (i < limit)[None, :]
    tl.store(_places(base, y, i, row, step, ALIGNED), values, mask=mask)

"""The fourth launch: tiles that regions touch, each written once, from the image and blurred lines.

A program looks at the tiles inside the bounds of one support. Where regions of an image overlap, the first of those
that touch a tile owns it, and the others leave it alone.
"""

import triton
import triton.language as tl

from fastblur.kernels.cuda.alpha import ellipse
from fastblur.kernels.cuda.image import image_at, image_size, load_elements, mask_at, store_elements
from fastblur.kernels.cuda.plan import (
    BLEND,
    COLOR,
    HIGH,
    MASK,
    MOSAIC,
    UNIT,
    WIDE,
    find,
    load_down,
    load_edges,
    load_image,
    load_lines,
    load_place,
    load_shape,
    load_support,
    regions_in,
    row_of,
    sums_of,
    tiles_of,
)


@triton.jit
def _alpha(region, cells, y, i, ELLIPSE: tl.constexpr, CHANNELS: tl.constexpr):
    """Return alpha of a region at lines y and elements i, whose first is a multiple of 4."""
    x0, y0, x1, y1 = load_support(region)
    if ELLIPSE:
        left, top, right, bottom, deviation = load_shape(region)
        x = i // CHANNELS
        from_x, from_y = (x - x0).to(tl.float32) + 0.5, (y - y0).to(tl.float32) + 0.5
        alpha = ellipse(from_x, from_y, left, top, right, bottom, deviation)
        alpha = tl.where(((x >= x0) & (x < x1))[None, :] & ((y >= y0) & (y < y1))[:, None], alpha, 0.0)
    else:
        edges = (cells + (load_place(region) * UNIT + load_edges(region))).to(tl.pointer_type(tl.float32))
        first, pitch, _lines, _place = load_lines(region)
        at = i - first // 4 * (4 * CHANNELS)
        across = tl.load(edges + at, mask=(at >= 0) & (at < pitch), other=0)
        down = tl.load(edges + pitch + (y - y0), mask=(y >= y0) & (y < y1), other=0)
        alpha = down[:, None] * across[None, :]
    return alpha


@triton.jit
def _lines(region, cells, y, i, MODE: tl.constexpr, CHANNELS: tl.constexpr):
    """Return how image lines y and elements i are read from a region's blurred lines.

    That is: where the elements begin on the three lines around each y, those elements that are there, the three lines'
    weights (a quadratic B-spline), how far planes lie apart, and whether the middle line alone counts.
    """
    step, reach, grid_y, _rows, _sharpness = load_down(region)
    first, pitch, lines, place = load_lines(region)
    from_first = i - first // 4 * (4 * CHANNELS)
    there = ((from_first >= 0) & (from_first < pitch))[None, :]
    cells_down = ((y - grid_y).to(tl.float32) + 0.5) * (1.0 / step.to(tl.float32))  # never near a whole number
    cell = tl.floor(cells_down)
    inside = cells_down - cell - 0.5
    low, high = 0.5 - inside, 0.5 + inside
    weights = (0.5 * low * low)[:, None], (0.75 - inside * inside)[:, None], (0.5 * high * high)[:, None]
    line, last = cell.to(tl.int32) - reach, lines - 1
    at = cells + (load_place(region) * UNIT + place) + from_first[None, :]
    above = at + (tl.minimum(tl.maximum(line - 1, 0), last).to(tl.int64) * pitch)[:, None]
    middle = at + (tl.minimum(tl.maximum(line, 0), last).to(tl.int64) * pitch)[:, None]
    below = at + (tl.minimum(tl.maximum(line + 1, 0), last).to(tl.int64) * pitch)[:, None]
    return (above, middle, below), there, weights, pitch.to(tl.int64) * lines, (step == 1) | (MODE == MOSAIC)


@triton.jit
def _blurred(lines, c):
    """Return the blurred values of plane `c`, of what `_lines` gave."""
    at, there, weights, plane, plain = lines
    value = tl.load(at[1] + plane * c, mask=there, other=0).to(tl.float32)
    if not plain:
        above = tl.load(at[0] + plane * c, mask=there, other=0).to(tl.float32)
        below = tl.load(at[2] + plane * c, mask=there, other=0).to(tl.float32)
        value = weights[0] * above + weights[1] * value + weights[2] * below
    return value


@triton.jit
def _rounded(value, like):
    """Return a result as the images store it: uint8 rounded half up. What is mixed of levels lies between them."""
    if like.dtype == tl.uint8:
        return (value + 0.5).to(tl.int32).to(tl.uint8)
    return value.to(like.dtype)


@triton.jit
def _touches(region, x, y, CHANNELS: tl.constexpr, mask=None):
    """Whether the supports of regions touch the tile whose first element is (x, y)."""
    x0, y0, x1, y1 = load_support(region, mask)
    return (x0 * CHANNELS < x + WIDE) & (y0 < y + HIGH) & (x1 * CHANNELS > x) & (y1 > y)


@triton.jit
def _touching(plan, images, slots, first, last, x, y, CHANNELS: tl.constexpr):
    """Return the first of the regions that touch a tile, and one past the last of them."""
    owner, end = last, first
    for start in range(first, last, 32):
        r = start + tl.arange(0, 32)
        near = _touches(row_of(plan, images, slots, r), x, y, CHANNELS, r < last) & (r < last)
        owner = tl.minimum(owner, tl.min(tl.where(near, r, last), 0))
        end = tl.maximum(end, tl.max(tl.where(near, r + 1, first), 0))
    return owner, end


@triton.jit
def _write(at, y, i, row, step, limit, shown, changed, weight, mixed, ALIGNED: tl.constexpr):
    """Write I + A (b - I) where some region is, and I itself elsewhere."""
    like = load_elements(at, y, i, row, step, limit, shown, ALIGNED)
    value = like.to(tl.float32)
    result = _rounded(value + weight * (mixed - value), like)
    store_elements(at, y, i, row, step, limit, tl.where(changed, result, like), shown, ALIGNED)


@triton.jit
def _color(color, color_step, y, i, c, CHANNELS: tl.constexpr):
    return tl.load(color + (i % CHANNELS + c) * color_step)[None, :] + 0.0 * y[:, None]


@triton.jit
def _several(
    base, plane, row, step, limit, channels, shown, y, i, color, color_step, plan, cells, images, slots, r, end,
    MODE: tl.constexpr, ELLIPSE: tl.constexpr, CHANNELS: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Write a tile that several of the regions `r` to `end` touch: b is their mean, weighed by alpha."""
    x, top = tl.min(i, 0), tl.min(y, 0)
    total = tl.zeros((HIGH, WIDE), tl.float32)
    for q in range(r, end):
        other = row_of(plan, images, slots, q)
        if _touches(other, x, top, CHANNELS):
            total += _alpha(other, cells, y, i, ELLIPSE, CHANNELS)
    changed, weight, inverse = total > 0, tl.minimum(total, 1.0), 1.0 / tl.where(total > 0, total, 1.0)
    for c in range(0, channels // CHANNELS):
        mixed = tl.zeros((HIGH, WIDE), tl.float32)
        for q in range(r, end):
            other = row_of(plan, images, slots, q)
            if _touches(other, x, top, CHANNELS):
                alpha = _alpha(other, cells, y, i, ELLIPSE, CHANNELS)
                share = tl.where(alpha == total, 1.0, alpha * inverse)
                if MODE == COLOR:
                    blurred = _color(color, color_step, y, i, c, CHANNELS)
                else:
                    blurred = _blurred(_lines(other, cells, y, i, MODE, CHANNELS), c)
                mixed += tl.where(alpha > 0, share * blurred, 0.0)  # what is not there may be no number
        _write(base + plane * c, y, i, row, step, limit, shown, changed, weight, mixed, ALIGNED)


@triton.jit
def blend_tile(
    base, plane, row, step, height, width, channels, cover, cover_row, cover_step, color, color_step,
    plan, cells, images, slots, r, t,
    MODE: tl.constexpr, ELLIPSE: tl.constexpr, CHANNELS: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Write tile `t` of region `r`'s support, if the region owns it; the image's scratch lies at `cells`."""
    region = row_of(plan, images, slots, r)
    x0, y0, x1, y1 = load_support(region)
    _b, first, last = load_image(region)
    tile_x, tile_y, tiles_x, _tiles_y = tiles_of(x0, y0, x1, y1, CHANNELS)
    tile_x, tile_y = (tile_x + t % tiles_x) * WIDE, (tile_y + t // tiles_x) * HIGH
    owner, end = r, r + 1
    if last - first > 1:
        owner, end = _touching(plan, images, slots, first, last, tile_x, tile_y, CHANNELS)
    i, y = tile_x + tl.arange(0, WIDE), tile_y + tl.arange(0, HIGH)
    limit = width * CHANNELS
    shown = (y < height)[:, None] & (i < (limit + 3) // 4 * 4)[None, :]
    if (owner == r) & (end - r > 1):
        _several(
            base, plane, row, step, limit, channels, shown, y, i, color, color_step, plan, cells, images, slots,
            r, end, MODE, ELLIPSE, CHANNELS, ALIGNED,
        )  # fmt: skip
    elif owner == r:
        if MODE == MASK:
            at = cover + (y.to(tl.int64) * cover_row)[:, None] + ((i // CHANNELS).to(tl.int64) * cover_step)[None, :]
            total = tl.load(at, mask=(y < height)[:, None] & (i < limit)[None, :], other=0).to(tl.float32)
        else:
            total = _alpha(region, cells, y, i, ELLIPSE, CHANNELS)
            shown = shown & ((y >= y0) & (y < y1))[:, None]
        changed, weight = total > 0, tl.minimum(total, 1.0)
        if MODE == COLOR:
            for c in range(0, channels // CHANNELS):
                mixed = _color(color, color_step, y, i, c, CHANNELS)
                _write(base + plane * c, y, i, row, step, limit, shown, changed, weight, mixed, ALIGNED)
        elif (MODE != MASK) | (tl.max(total) > 0):
            lines = _lines(region, cells, y, i, MODE, CHANNELS)
            for c in range(0, channels // CHANNELS):
                _write(base + plane * c, y, i, row, step, limit, shown, changed, weight, _blurred(lines, c), ALIGNED)


@triton.jit(do_not_specialize=["images_", "table", "masks", "image", "plane", "row", "step", "mask_image",
                               "mask_row", "mask_step", "height", "width", "channels", "color", "color_step", "images",
                               "slots"])  # fmt: skip
def blend(
    images_, table, masks, image: tl.int64, plane: tl.int64, row: tl.int64, step: tl.int64,
    mask_image: tl.int64, mask_row: tl.int64, mask_step: tl.int64, height, width, channels, color, color_step,
    plan, cells, images, slots,
    RAGGED: tl.constexpr, MODE: tl.constexpr, ELLIPSE: tl.constexpr, CHANNELS: tl.constexpr, ALIGNED: tl.constexpr,
):  # fmt: skip
    """Write the tiles of all images whose regions have their place in the scratch; as many programs as run at once."""
    _total, fitting = regions_in(plan)
    sums = sums_of(plan, images, slots, BLEND)
    tiles = tl.load(sums + fitting - 1, mask=fitting > 0, other=0)
    for work in range(tl.program_id(0), tiles, tl.num_programs(0)):
        r, t = find(sums, fitting, work)
        b, _first, last = load_image(row_of(plan, images, slots, r))
        if last <= fitting:
            high, wide, deep = image_size(table, b, height, width, channels, RAGGED)
            base, plane_, row_, step_ = image_at(images_, table, b, image, plane, row, step, RAGGED)
            cover, cover_row, cover_step = mask_at(masks, table, b, mask_image, mask_row, mask_step, RAGGED)
            blend_tile(
                base, plane_, row_, step_, high, wide, deep, cover, cover_row, cover_step, color, color_step,
                plan, cells, images, slots, r, t, MODE, ELLIPSE, CHANNELS, ALIGNED,
            )  # fmt: skip

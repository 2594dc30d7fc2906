"""The second launch: tiles of 64 x 16 pixels, each written once, from the image and the cells of its regions.

The Gaussian is evaluated where it is wanted: its weight for a pixel and a cell is that of their distance, so the
blurred tile is one product of three small matrices, (pixels x cells) (cells x cells) (cells x pixels), and no grid has
to be filtered or upsampled first. A step of 1 makes these the exact taps, a mosaic the matrices of ones and zeros.
"""

import triton
import triton.language as tl

from fastblur.kernels.cuda.average import COLUMNS, UNSPECIALIZED
from fastblur.kernels.cuda.plan import COLOR, FLOATS, INTS, MASK

HIGH, WIDE, BLOCK = tl.constexpr(16), tl.constexpr(64), tl.constexpr(32)  # pixels of a tile; cells at a time, a side


@triton.jit
def _interval(x, low, high, deviation):
    """Return the interval filtered with the feather at the pixel centres x."""
    if deviation > 0:
        scale = 0.7071067811865476 / deviation
        alpha = 0.5 * (tl.erf((x - low) * scale) - tl.erf((x - high) * scale))
    else:
        alpha = tl.where((x >= low) & (x <= high), 1.0, 0.0)
    return alpha


@triton.jit
def _ellipse(x, y, left, top, right, bottom, deviation):
    """Return alpha of the ellipse inscribed in the grown box, its distance to first order."""
    a, b = 0.5 * (right - left), 0.5 * (bottom - top)
    u, v = (x - 0.5 * (left + right)) / a, (y - 0.5 * (top + bottom)) / b
    u, v = u[None, :] + 0 * v[:, None], v[:, None] + 0 * u[None, :]
    k0, k1 = tl.sqrt(u * u + v * v), tl.sqrt((u / a) * (u / a) + (v / b) * (v / b))
    distance = tl.where(k1 > 0, k0 * (k0 - 1) / tl.where(k1 > 0, k1, 1.0), -tl.minimum(a, b))
    if deviation > 0:
        alpha = 0.5 - 0.5 * tl.erf(distance * (0.7071067811865476 / deviation))
    else:
        alpha = tl.where(distance <= 0, 1.0, 0.0)
    return tl.where(distance > 3 * deviation, 0.0, alpha)


@triton.jit
def _weights(pixel, cell, first, step, reach, half):
    """Return the Gaussian's weight, not normalised, of each cell for each pixel (their shapes broadcast)."""
    from_first = pixel - first
    distance = (from_first.to(tl.float32) + 0.5) / step.to(tl.float32) - (cell.to(tl.float32) + 0.5)
    near = tl.abs(cell - from_first // step) <= reach
    return tl.where(near, tl.exp(-half * distance * distance), 0.0)


@triton.jit
def _rounded(value, like):
    """Return a result as the images store it: uint8 rounded half up and clamped."""
    if like.dtype == tl.uint8:
        return tl.minimum(tl.maximum(tl.floor(value + 0.5), 0.0), 255.0).to(tl.int32).to(tl.uint8)
    return value.to(like.dtype)


@triton.jit
def _mixed(value, mixed, total, like):
    """Return I + A (b - I), and I itself where no region is."""
    mean = mixed / tl.where(total > 0, total, 1.0)
    result = value + tl.minimum(total, 1.0) * (mean - value)
    return tl.where(total > 0, _rounded(result, like), like)


@triton.jit(do_not_specialize=UNSPECIALIZED)
def blend(
    source, target, mask, table, source_image, source_row, source_column, source_channel,
    target_image, target_row, target_column, target_channel, mask_image, mask_row, mask_column,
    height, width, channels, counts, ints, floats, cells, cells_region, cells_plane, cells_row, color, color_step,
    images, parts, most,
    RAGGED: tl.constexpr, MODE: tl.constexpr, ELLIPSE: tl.constexpr, IN_PLACE: tl.constexpr, GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Write one image's share of tiles; program (part, image, group of channels)."""
    part = tl.program_id(0) % parts
    b = tl.program_id(0) // parts % images
    group = tl.program_id(0) // parts // images
    if RAGGED:
        row = table + b * COLUMNS
        read = tl.load(row).to(tl.pointer_type(source.dtype.element_ty))
        write = tl.load(row + 1).to(tl.pointer_type(source.dtype.element_ty))
        covered = tl.load(row + 2).to(tl.pointer_type(mask.dtype.element_ty))
        height, width = tl.load(row + 3).to(tl.int32), tl.load(row + 4).to(tl.int32)
        channels = tl.load(row + 5).to(tl.int32)
        source_row, source_column, source_channel = tl.load(row + 6), tl.load(row + 7), tl.load(row + 8)
        target_row, target_column, target_channel = tl.load(row + 9), tl.load(row + 10), tl.load(row + 11)
        mask_row, mask_column = tl.load(row + 12), tl.load(row + 13)
    else:
        read = source + b.to(tl.int64) * source_image
        write = target + b.to(tl.int64) * target_image
        covered = mask + b.to(tl.int64) * mask_image
    first_channel = group * GROUP
    read += first_channel.to(tl.int64) * source_channel
    write += first_channel.to(tl.int64) * target_channel
    cells += first_channel.to(tl.int64) * cells_plane
    if MODE == MASK:
        count = most
    else:
        count = tl.minimum(tl.load(counts + b), most).to(tl.int32)
    tiles_x = (width + WIDE - 1) // WIDE
    tiles = tiles_x * ((height + HIGH - 1) // HIGH)
    if IN_PLACE:
        tiles = tl.where(count > 0, tiles, 0)
    tiles = tl.where(first_channel < channels, tiles, 0)
    for t in range(part, tiles, parts):
        tile_x, tile_y = t % tiles_x * WIDE, t // tiles_x * HIGH
        x, y = tile_x + tl.arange(0, WIDE), tile_y + tl.arange(0, HIGH)
        inside = (y < height)[:, None] & (x < width)[None, :]
        total = tl.zeros((HIGH, WIDE), tl.float32)
        mixed0 = tl.zeros((HIGH, WIDE), tl.float32)
        if GROUP == 3:
            mixed1, mixed2 = tl.zeros((HIGH, WIDE), tl.float32), tl.zeros((HIGH, WIDE), tl.float32)
        for some in range(0, count, 32):
            n = some + tl.arange(0, 32)
            rects = ints + (b * most + n).to(tl.int64) * INTS
            near = (tl.load(rects, mask=n < count, other=0) < tile_x + WIDE) & (
                tl.load(rects + 1, mask=n < count, other=0) < tile_y + HIGH
            )
            near = near & (tl.load(rects + 2, mask=n < count, other=0) > tile_x)
            near = near & (tl.load(rects + 3, mask=n < count, other=0) > tile_y)
            last = tl.where(tl.max(near.to(tl.int32), 0) > 0, tl.minimum(some + 32, count), some)
            for i in range(some, last):
                slot = (b * most + i).to(tl.int64)
                at = ints + slot * INTS
                x0, y0, x1, y1 = tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3)
                if (x0 < tile_x + WIDE) & (y0 < tile_y + HIGH) & (x1 > tile_x) & (y1 > tile_y):
                    shape = floats + slot * FLOATS
                    if MODE == MASK:
                        at_mask = covered + (y.to(tl.int64) * mask_row)[:, None]
                        at_mask += (x.to(tl.int64) * mask_column)[None, :]
                        alpha = tl.load(at_mask, mask=inside, other=0).to(tl.float32)
                    else:
                        left, top = tl.load(shape), tl.load(shape + 1)
                        right, bottom = tl.load(shape + 2), tl.load(shape + 3)
                        deviation = tl.load(shape + 4)
                        from_x, from_y = (x - x0).to(tl.float32) + 0.5, (y - y0).to(tl.float32) + 0.5
                        if ELLIPSE:
                            alpha = _ellipse(from_x, from_y, left, top, right, bottom, deviation)
                        else:
                            alpha = _interval(from_y, top, bottom, deviation)[:, None]
                            alpha = alpha * _interval(from_x, left, right, deviation)[None, :]
                        supported = ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))[None, :]
                        alpha = tl.where(supported, alpha, 0.0)
                    total += alpha
                    if MODE == COLOR:
                        mixed0 += alpha * tl.load(color + first_channel * color_step)
                        if GROUP == 3:
                            mixed1 += alpha * tl.load(color + (first_channel + 1) * color_step)
                            mixed2 += alpha * tl.load(color + (first_channel + 2) * color_step)
                    elif tl.max(alpha) > 0:
                        step_x, step_y = tl.load(at + 4), tl.load(at + 5)
                        reach_x, reach_y = tl.load(at + 6), tl.load(at + 7)
                        first_x, first_y = tl.load(at + 8), tl.load(at + 9)
                        columns, rows = tl.load(at + 10), tl.load(at + 11)
                        half_x, half_y = tl.load(shape + 5), tl.load(shape + 6)
                        # Cells from `reach` before the first pixel's to `reach` after the last one's.
                        k_first = (tl.maximum(tile_x, x0) - first_x) // step_x - reach_x
                        k_last = (tl.minimum(tile_x + WIDE, x1) - 1 - first_x) // step_x + reach_x + 1
                        j_first = (tl.maximum(tile_y, y0) - first_y) // step_y - reach_y
                        j_last = (tl.minimum(tile_y + HIGH, y1) - 1 - first_y) // step_y + reach_y + 1
                        grid = cells + slot * cells_region
                        sum_x, sum_y = tl.zeros((WIDE,), tl.float32), tl.zeros((HIGH,), tl.float32)
                        blurred0 = tl.zeros((HIGH, WIDE), tl.float32)
                        if GROUP == 3:
                            blurred1 = tl.zeros((HIGH, WIDE), tl.float32)
                            blurred2 = tl.zeros((HIGH, WIDE), tl.float32)
                        for k0 in range(k_first, k_last, BLOCK):
                            k = k0 + tl.arange(0, BLOCK)
                            across = _weights(x[None, :], k[:, None], first_x, step_x, reach_x, half_x)
                            sum_x += tl.sum(across, 0)
                            sum_y = tl.zeros((HIGH,), tl.float32)
                            rows0 = tl.zeros((HIGH, BLOCK), tl.float32)
                            if GROUP == 3:
                                rows1 = tl.zeros((HIGH, BLOCK), tl.float32)
                                rows2 = tl.zeros((HIGH, BLOCK), tl.float32)
                            for j0 in range(j_first, j_last, BLOCK):
                                j = j0 + tl.arange(0, BLOCK)
                                down = _weights(y[:, None], j[None, :], first_y, step_y, reach_y, half_y)
                                sum_y += tl.sum(down, 1)
                                held = (j < rows)[:, None] & (k < columns)[None, :]
                                cell = grid + j[:, None].to(tl.int64) * cells_row + k[None, :]
                                block = tl.load(cell, mask=held, other=0)
                                rows0 = tl.dot(down, block, rows0, input_precision=PRECISION)
                                if GROUP == 3:
                                    block = tl.load(cell + cells_plane, mask=held, other=0)
                                    rows1 = tl.dot(down, block, rows1, input_precision=PRECISION)
                                    block = tl.load(cell + 2 * cells_plane, mask=held, other=0)
                                    rows2 = tl.dot(down, block, rows2, input_precision=PRECISION)
                            blurred0 = tl.dot(rows0, across, blurred0, input_precision=PRECISION)
                            if GROUP == 3:
                                blurred1 = tl.dot(rows1, across, blurred1, input_precision=PRECISION)
                                blurred2 = tl.dot(rows2, across, blurred2, input_precision=PRECISION)
                        norm = sum_y[:, None] * sum_x[None, :]
                        share = tl.where(alpha > 0, alpha / tl.where(alpha > 0, norm, 1.0), 0.0)
                        mixed0 += share * blurred0
                        if GROUP == 3:
                            mixed1 += share * blurred1
                            mixed2 += share * blurred2
        # In place, tiles that no region touches are not even read.
        changed = inside
        if IN_PLACE:
            changed = inside & (total > 0)
        pixel = (y.to(tl.int64) * source_row)[:, None] + (x.to(tl.int64) * source_column)[None, :]
        to = (y.to(tl.int64) * target_row)[:, None] + (x.to(tl.int64) * target_column)[None, :]
        like = tl.load(read + pixel, mask=changed, other=0)
        tl.store(write + to, _mixed(like.to(tl.float32), mixed0, total, like), mask=changed)
        if GROUP == 3:
            pixel += source_channel
            to += target_channel
            like = tl.load(read + pixel, mask=changed, other=0)
            tl.store(write + to, _mixed(like.to(tl.float32), mixed1, total, like), mask=changed)
            pixel += source_channel
            to += target_channel
            like = tl.load(read + pixel, mask=changed, other=0)
            tl.store(write + to, _mixed(like.to(tl.float32), mixed2, total, like), mask=changed)

"""The new scan: changed blocks transformed back, MCUs encoded with the file's own tables, all other bits as they were.

Where a table has no code for a symbol, in this order: a new code of 16 bits at the table's end, which changes no other
code; a 1 put among the zeros before the coefficient, or a 1 left out, which is one step of the quantisation; and where
neither is possible, or too often done, the whole scan is written with tables that have every code, `huffman.widened`.
No larger coefficient is ever left out.
"""

import numpy as np

from fastblur.codecs.jpeg_blocks.bits import (
    compiled,
    leading_zeros,
    load64,
    load_f32,
    load_i16,
    load_u8,
    load_u32,
    nonzero,
    store64,
    store_f32,
    store_i16,
    trailing_zeros,
)  # fmt: skip
from fastblur.codecs.jpeg_blocks.huffman import EOB, LOOK, TRANSPOSED, long_entry, new_code
from fastblur.codecs.jpeg_blocks.scan import CHANGED, CODED
from fastblur.codecs.jpeg_blocks.transforms import to_coefficients

BLOCK_BYTES = 512  # the most that a block takes: 64 times 27 bits, each byte of them stuffed
SPLIT, LEFT_OUT = 0, 1
"""Places in `steps`: how often a 1 was put among zeros, and how often one was left out."""


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


@compiled
def write_scan(stream, ends, finish, interval, of_block, tables, flags, places, predictors, coefficients, codes,
               counts, values, following, old, steps, target):  # fmt: skip
    """Write the scan.

    Args:
        stream .. predictors: see `scan.read_scan`. coefficients: see `change_blocks`.
        codes, counts, values, following: see `huffman.make_codes`; new codes are added to them.
        old: (single, longest, offset, values) of the tables that the stream is written with where they are others, so
            that all of it has to be translated; else None.
        steps: (2,) int64, see SPLIT.
        target: address of enough room: twice the stream (or 4 times, translated), BLOCK_BYTES for every block encoded,
            4 for every restart interval and 64.

    Returns the bytes written, -1 where a symbol can have no code.
    """
    mcus, all_codes = len(flags), codes.ctypes.data
    at, word, have = target, np.uint64(0), 0
    dc = np.zeros(4, np.int64)
    m = part = row = coded = 0
    while m < mcus:
        stop = min(mcus, m + interval) if interval > 0 else mcus
        while m < stop:
            start = m
            while m < stop and flags[m] & CODED == 0:
                if flags[m] != 0:
                    row += 1
                m += 1
            if m > start:
                if old is None:
                    end = places[m] if m < stop else finish[part]
                    at, word, have = copy_bits(at, word, have, stream, places[start], end)
                else:
                    at, word, have = translate(at, word, have, stream, places[start], m - start, of_block, tables, *old,
                                               codes)  # fmt: skip
                    if have < 0:
                        return -1
            if m < stop:
                for c in range(len(tables)):
                    dc[c] = predictors[row, c]
            while m < stop and flags[m] & CODED != 0:
                row += 1
                for b in range(len(of_block)):
                    c = of_block[b, 0]
                    block = coefficients.ctypes.data + 128 * coded
                    coded += 1
                    t, u = tables[c, 0], tables[c, 1]
                    place, bits, count = write_block(at, word, have, block, dc[c], all_codes + 1024 * t,
                                                     all_codes + 1024 * u)  # fmt: skip
                    if count < 0:
                        place, bits, count = write_rare_block(at, word, have, block, dc[c], t, u, codes, counts, values,
                                                              following, steps)  # fmt: skip
                        if count < 0:
                            return -1
                    at, word, have = place, bits, count
                    dc[c] = load_i16(block)
                m += 1
        if have & 7 > 0:
            n = 8 - (have & 7)
            at, word, have = put(at, word, have, np.uint64((1 << n) - 1), n)
        at = write_bytes(at, word, have >> 3)
        word, have = np.uint64(0), 0
        if m < mcus:
            store64(at, np.uint64(0xFFD0 + part % 8) << np.uint64(48))
            at += 2
            part += 1
    return at - target


@compiled
def translate(at, word, have, stream, place, mcus, of_block, tables, single, longest, offset, values, codes):
    """Append some MCUs of the stream, from the bit `place` on, symbol by symbol with other codes.

    `have` becomes -1 where the stream does not hold what was found in it, or a symbol has no code.
    """
    source = place
    for _ in range(mcus):
        for b in range(len(of_block)):
            c = of_block[b, 0]
            t = tables[c, 0]
            k = 0
            while k < 64:
                bits = load64(stream + (source >> 3)) << np.uint64(source & 7)
                entry = np.int64(single[t, np.int64(bits >> np.uint64(64 - LOOK))])
                if entry == 0:
                    entry = long_entry(bits, t, longest, offset, values)
                size, step = entry >> 24, entry >> 16 & 255
                symbol = size if k == 0 else (0 if step == EOB else (step - 1 & 15) << 4 | size)
                code = np.int64(codes[t, symbol])
                if entry == 0 or code == 0:
                    return at, word, -1
                value = np.int64(bits << np.uint64(entry >> 8 & 63) >> np.uint64(1) >> np.uint64(63 - size))
                at, word, have = put(at, word, have, np.uint64(code >> 8 << size | value), (code & 255) + size)
                source += entry & 63
                k = 1 if k == 0 else k + step
                t = tables[c, 1]
    return at, word, have


@compiled
def write_block(at, word, have, block, before, dc_codes, ac_codes):
    """Append a block whose symbols all have codes; else `have` becomes -1.

    block: address of 64 int16 in the file's order; before: the DC coefficient before it; dc_codes, ac_codes: addresses
    of a row of `codes`.
    """
    difference = load_i16(block) - before
    size = 64 - leading_zeros(np.uint64(abs(difference)))
    entry = load_u32(dc_codes + 4 * size)
    if entry == 0:
        return at, word, -1
    bits = difference - (difference < 0) & ((1 << size) - 1)
    at, word, have = put(at, word, have, np.uint64(entry >> 8 << size | bits), (entry & 255) + size)
    done = 0
    left = nonzero(block) & ~np.uint64(1)
    while left != 0:
        k = trailing_zeros(left)
        left &= left - np.uint64(1)
        value = load_i16(block + 2 * k)
        size = 64 - leading_zeros(np.uint64(abs(value)))
        run = k - done - 1
        done = k
        while run > 15:
            zeros = load_u32(ac_codes + 4 * 0xF0)
            if zeros == 0:
                return at, word, -1
            at, word, have = put(at, word, have, np.uint64(zeros >> 8), zeros & 255)
            run -= 16
        entry = load_u32(ac_codes + 4 * (run << 4 | size))
        if entry == 0:
            return at, word, -1
        bits = value - (value < 0) & ((1 << size) - 1)
        at, word, have = put(at, word, have, np.uint64(entry >> 8 << size | bits), (entry & 255) + size)
    if done < 63:
        entry = load_u32(ac_codes)
        if entry == 0:
            return at, word, -1
        at, word, have = put(at, word, have, np.uint64(entry >> 8), entry & 255)
    return at, word, have


@compiled
def write_rare_block(at, word, have, block, before, t, u, codes, counts, values, following, steps):
    """Append a block with a symbol that has no code; `have` becomes -1 where it can have none.

    t, u: rows of the DC and the AC table in `codes`, `counts`, `values` and `following`.
    """
    difference = load_i16(block) - before
    size = 64 - leading_zeros(np.uint64(abs(difference)))
    entry = np.int64(codes[t, size])
    if entry == 0:
        entry = new_code(size, t, codes, counts, values, following) if size <= 11 else 0
        if entry == 0:
            return at, word, -1
    bits = difference - (difference < 0) & ((1 << size) - 1)
    at, word, have = put(at, word, have, np.uint64(entry >> 8 << size | bits), (entry & 255) + size)
    done = 0
    left = nonzero(block) & ~np.uint64(1)
    while left != 0:
        k = trailing_zeros(left)
        left &= left - np.uint64(1)
        value = load_i16(block + 2 * k)
        size = 64 - leading_zeros(np.uint64(abs(value)))
        run = k - done - 1
        while run > 15:
            zeros = np.int64(codes[u, 0xF0])
            if zeros == 0:
                zeros = new_code(0xF0, u, codes, counts, values, following)
                if zeros == 0:
                    break
            if (
                codes[u, (run & 15) << 4 | size] == 0
                and new_code((run & 15) << 4 | size, u, codes, counts, values, following) == 0
            ):
                break
            at, word, have = put(at, word, have, np.uint64(zeros >> 8), zeros & 255)
            run -= 16
        entry = np.int64(codes[u, run << 4 | size]) if run <= 15 else 0
        if entry == 0 and run <= 15:
            entry = new_code(run << 4 | size, u, codes, counts, values, following)
        if entry == 0:
            split = _split_at(done, k, size, u, codes)
            if split > 0:
                steps[SPLIT] += 1
                entry = np.int64(codes[u, (split - done - 1) << 4 | 1])
                at, word, have = put(at, word, have, np.uint64(entry >> 8 << 1 | 1), (entry & 255) + 1)
                entry = np.int64(codes[u, (k - split - 1) << 4 | size])
            elif size == 1:
                steps[LEFT_OUT] += 1
                continue
            else:
                return at, word, -1
        bits = value - (value < 0) & ((1 << size) - 1)
        at, word, have = put(at, word, have, np.uint64(entry >> 8 << size | bits), (entry & 255) + size)
        done = k
    if done < 63:
        entry = np.int64(codes[u, 0])
        if entry == 0:
            entry = new_code(0, u, codes, counts, values, following)
            if entry == 0:
                return at, word, -1
        at, word, have = put(at, word, have, np.uint64(entry >> 8), entry & 255)
    return at, word, have


@compiled
def _split_at(done, k, size, u, codes):
    """Return where a 1 between two coefficients makes both runs of zeros ones that have codes, 0 for nowhere."""
    for split in range(k - 1, done, -1):
        after, before = k - split - 1, split - done - 1
        if after <= 15 and before <= 15 and codes[u, after << 4 | size] != 0 and codes[u, before << 4 | 1] != 0:
            return split
    return 0


@compiled
def put(at, word, have, bits, n):
    """Append the n low bits of `bits`, 0 < n < 64, to the `have` < 64 bits of `word` that are not written yet."""
    room = 64 - have
    if n < room:
        return at, word | bits << np.uint64(room - n), have + n
    at = write_bytes(at, word | bits >> np.uint64(n - room), 8)
    have = n - room
    return at, (bits << np.uint64(64 - have) if have > 0 else np.uint64(0)), have


@compiled
def write_bytes(at, word, count):
    """Write the first `count` bytes of a word, with a zero after each 0xFF; return the next address."""
    sevens = np.uint64(0x7F7F7F7F7F7F7F7F)
    inverse = ~word
    if count == 8 and ~(((inverse & sevens) + sevens) | inverse | sevens) == 0:
        store64(at, word)
        return at + 8
    for _ in range(count):
        store64(at, word & np.uint64(0xFF00000000000000))
        at += 1 + np.int64(word >> np.uint64(56) == np.uint64(255))
        word <<= np.uint64(8)
    return at


@compiled
def copy_bits(at, word, have, stream, first, last):
    """Append the bits first..last of the stream."""
    while have > 0 and first < last:  # until the word is full
        n = min(64 - have, last - first, 56)
        bits = load64(stream + (first >> 3)) << np.uint64(first & 7) >> np.uint64(64 - n)
        at, word, have = put(at, word, have, bits, n)
        first += n
    source, left = stream + (first >> 3), np.uint64(first & 7)
    sevens = np.uint64(0x7F7F7F7F7F7F7F7F)
    while first + 64 <= last:
        bits = load64(source) << left | np.uint64(load_u8(source + 8)) >> np.uint64(8) - left
        inverse = ~bits
        if ~(((inverse & sevens) + sevens) | inverse | sevens) == 0:
            store64(at, bits)
            at += 8
        else:
            at = write_bytes(at, bits, 8)
        source += 8
        first += 64
    while first < last:
        n = min(last - first, 56)
        bits = load64(stream + (first >> 3)) << np.uint64(first & 7) >> np.uint64(64 - n)
        at, word, have = put(at, word, have, bits, n)
        first += n
    return at, word, have

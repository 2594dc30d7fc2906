"""The new scan: MCUs encoded with the file's own tables, all other bits as they were.

Where a table has no code for a symbol, in this order: a new code of 16 bits at the table's end, which changes no other
code; a 1 put among the zeros before the coefficient, or a 1 left out, which is one step of the quantisation; and where
neither is possible, or too often done, the whole scan is written with tables that have every code, `huffman.widened`.
No larger coefficient is ever left out.
"""

import numpy as np

from fastblur.codecs.jpeg_blocks.bit_output import copy_bits, put, write_bytes
from fastblur.codecs.jpeg_blocks.bits import (
    compiled,
    leading_zeros,
    load64,
    load_i16,
    load_u32,
    nonzero,
    store64,
    trailing_zeros,
)
from fastblur.codecs.jpeg_blocks.huffman import EOB, LOOK, long_entry, new_code
from fastblur.codecs.jpeg_blocks.scan import CODED

BLOCK_BYTES = 512  # the most that a block takes: 64 times 27 bits, each byte of them stuffed
SPLIT, LEFT_OUT = 0, 1
"""Places in `steps`: how often a 1 was put among zeros, and how often one was left out."""


@compiled
def write_scan(stream, ends, finish, interval, of_block, tables, flags, places, predictors, coefficients, codes,
               counts, values, following, old, steps, target):  # fmt: skip
    """Write the scan.

    Args:
        stream .. predictors: see `scan.read_scan`. coefficients: see `changed.change_blocks`.
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

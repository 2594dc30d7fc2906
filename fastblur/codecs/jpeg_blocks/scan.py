"""The entropy-coded data of a baseline JPEG (ITU-T T.81, annex F): where every MCU begins, and the blocks of some.

The whole scan is read, which proves that it is whole and exact; of most MCUs nothing is kept but where they begin.

Why no load or store leaves its array: `unstuff` loads 8 bytes where so many are left and single bytes elsewhere, and
stores at most as many as it has loaded. A block takes at most 64 symbols of 26 bits and one of 27, an MCU 10 blocks,
and after each MCU the place is compared with the stream's end: PAD zeros after the stream are more than can be read
before that. All table indices are cut by shifts or masks to the tables' sizes. A block's coefficients are counted, and
never more than 64.
"""

import numpy as np

from fastblur.codecs.jpeg_blocks.bits import (
    clear_f32,
    clear_i16,
    compiled,
    leading_zeros,
    load64,
    load_f32,
    load_u8,
    load_u16,
    load_u32,
    store64,
    store_f32,
    store_i16,
)  # fmt: skip
from fastblur.codecs.jpeg_blocks.huffman import EOB, LOOK, PACK, PACKED_SIZE, SIZE, TRANSPOSED, long_entry, value_of
from fastblur.codecs.jpeg_blocks.transforms import MIDDLE, to_samples

PAD = 4096  # bytes after the stream that may be read
LARGEST_DC = 2047

NO_END, RESTARTS = -1, -2

READ, CHANGED, CODED = 1, 2, 4
"""Flags of an MCU: its samples are read; some of its blocks change; it is encoded again."""


@compiled
def unstuff(data, at, length, target, ends):
    """Copy a scan without stuffed zeros and restart markers.

    Args (addresses and offsets in bytes):
        data: the file. at: where the scan begins in it. length: of the file.
        target: room for length - at + PAD bytes.
        ends: (parts,) int64; becomes how many bytes of the result belong to the restart intervals 0..i.

    Returns the offset in the file of the marker after the scan, NO_END if there is none, RESTARTS if restart markers
    are out of order or not as many as there should be.
    """
    begin = target
    count = 0
    sevens = np.uint64(0x7F7F7F7F7F7F7F7F)
    while True:
        if at + 8 <= length:
            word = load64(data + at)
        else:
            word = np.uint64(0)
            for i in range(at, length):
                word |= np.uint64(load_u8(data + i)) << np.uint64(56 - 8 * (i - at))
        inverse = ~word
        found = ~(((inverse & sevens) + sevens) | inverse | sevens)  # the high bit of every byte of 0xFF
        store64(target, word)
        if found == 0:
            if at + 8 > length:
                return NO_END
            at += 8
            target += 8
            continue
        n = (leading_zeros(found) >> 3) + 1
        at += n
        target += n
        if at >= length:
            return NO_END
        mark = load_u8(data + at)
        if mark == 0:
            at += 1
            continue
        target -= 1
        if mark == 0xFF:
            continue  # fill before a marker: this 0xFF is the next one's first byte
        if 0xD0 <= mark <= 0xD7:
            if mark != 0xD0 + count % 8 or count >= len(ends) - 1:
                return RESTARTS
            ends[count] = target - begin
            count += 1
            at += 1
        else:
            if count != len(ends) - 1:
                return RESTARTS
            ends[count] = target - begin
            for i in range(0, PAD, 8):
                store64(target + i, np.uint64(0))
            return at - 1


@compiled
def read_scan(stream, ends, interval, of_block, selectors, single, packed, longest, offset, values, quantisation, flags,
              across, places, finish, predictors, origins, strides, coefficients):  # fmt: skip
    """Read a scan from its first bit to its last; decode the MCUs that have a flag.

    Args:
        stream: address of the result of `unstuff`, followed by PAD zeros; ends: likewise.
        interval: MCUs between restart markers, 0 for none.
        of_block, selectors: see `Layout`.
        single, packed, longest, offset, values: see `huffman.make_tables`.
        quantisation: (components, 64) float32, in the file's order.
        flags: (mcus,) uint8, see READ. across: MCUs in a row.
        places: (mcus,) int64; becomes the bit at which every MCU begins.
        finish: (parts,) int64; becomes the bit after every restart interval.
        predictors: (flagged MCUs, components) int64; becomes the DC predictors before each.
        origins, strides: (components,) int64, address of the sample at (0, 0) of each plane, and bytes between its
            rows, for the MCUs that are READ.
        coefficients: (CODED MCUs * blocks, 64) int16; becomes their coefficients, in the file's order.

    Returns how many MCUs were right: all, unless the scan is broken, cut short or too long.
    """
    mcus, blocks, components = len(flags), len(of_block), len(selectors)
    at, limit = stream, stream + ends[0]
    word, have = np.uint64(0), 0
    dc = np.zeros(4, np.int64)
    part = row = coded = 0
    dequantised, unused = np.empty(64, np.float32), np.empty(64, np.int16)
    work, order = dequantised.ctypes.data, TRANSPOSED.ctypes.data
    shift, pack_shift = np.uint64(64 - LOOK), np.uint64(64 - PACK)
    dc_tables, ac_tables, packs = np.empty(blocks, np.int64), np.empty(blocks, np.int64), np.empty(blocks, np.int64)
    for b in range(blocks):
        t, u = selectors[of_block[b, 0], 0], selectors[of_block[b, 0], 1]
        dc_tables[b], ac_tables[b] = single.ctypes.data + 4 * SIZE * t, single.ctypes.data + 4 * SIZE * u
        packs[b] = packed.ctypes.data + 2 * PACKED_SIZE * u
    until = interval if interval > 0 else mcus
    for m in range(mcus):
        if m == until:
            used = (at - stream) * 8 - have
            if (used + 7) >> 3 != ends[part]:
                return m
            finish[part] = used
            at = stream + ends[part]
            part += 1
            limit = stream + ends[part]
            word, have = np.uint64(0), 0
            dc[:] = 0
            until += interval
        places[m] = (at - stream) * 8 - have
        flag = flags[m]
        if flag != 0:
            for c in range(components):
                predictors[row, c] = dc[c]
            row += 1
        for b in range(blocks):
            c = of_block[b, 0]
            word |= load64(at) >> np.uint64(have)
            at += (63 - have) >> 3
            have |= 56
            entry = load_u32(dc_tables[b] + 4 * np.int64(word >> shift))
            if entry == 0:
                entry = long_entry(word, selectors[c, 0], longest, offset, values)
                if entry == 0:
                    return m
            dc[c] += value_of(word, entry)
            if abs(dc[c]) > LARGEST_DC:
                return m
            word <<= np.uint64(entry & 63)
            have -= entry & 63
            one = ac_tables[b]
            k = 1
            if flag == 0:
                pack = packs[b]
                while True:
                    word |= load64(at) >> np.uint64(have)
                    at += (63 - have) >> 3
                    have |= 56
                    entry = load_u16(pack + 2 * np.int64(word >> pack_shift))
                    after = k + (entry >> 8)
                    if after < 64:
                        word <<= np.uint64(entry & 63)
                        have -= entry & 63
                        k = after
                        entry = load_u16(pack + 2 * np.int64(word >> pack_shift))  # the bits suffice for two
                        after = k + (entry >> 8)
                        if after < 64:
                            word <<= np.uint64(entry & 63)
                            have -= entry & 63
                            k = after
                            continue
                    if EOB <= after < EOB + 64:
                        word <<= np.uint64(entry & 63)
                        have -= entry & 63
                        break
                    # A long code, or several symbols that reach beyond the block: one at a time.
                    word |= load64(at) >> np.uint64(have)
                    at += (63 - have) >> 3
                    have |= 56
                    entry = load_u32(one + 4 * np.int64(word >> shift))
                    if entry == 0:
                        entry = long_entry(word, selectors[c, 1], longest, offset, values)
                        if entry == 0:
                            return m
                    word <<= np.uint64(entry & 63)
                    have -= entry & 63
                    k += entry >> 16 & 255
                    if k >= 64:
                        if 64 < k < EOB:
                            return m
                        break
                continue
            out = unused.ctypes.data
            if flag & CODED:
                out = coefficients.ctypes.data + 128 * coded
                coded += 1
            table = quantisation.ctypes.data + 256 * c
            clear_i16(out)
            clear_f32(work)
            store_i16(out, dc[c])
            store_f32(work, np.float32(dc[c]) * load_f32(table) + np.float32(MIDDLE))
            while k < 64:
                word |= load64(at) >> np.uint64(have)
                at += (63 - have) >> 3
                have |= 56
                for _ in range(2):  # the bits suffice for two
                    entry = load_u32(one + 4 * np.int64(word >> shift))
                    if entry == 0:
                        entry = long_entry(word, selectors[c, 1], longest, offset, values)
                        if entry == 0:
                            return m
                    k += entry >> 16 & 255
                    if k > 64:
                        if k < EOB:
                            return m
                    elif entry >> 24 > 0:
                        value = value_of(word, entry)
                        store_i16(out + 2 * (k - 1), value)
                        place = work + 4 * load_u8(order + k - 1)
                        store_f32(place, np.float32(value) * load_f32(table + 4 * (k - 1)))
                    word <<= np.uint64(entry & 63)
                    have -= entry & 63
                    if k >= 64:
                        break
            if flag & READ:
                y = (m // across * of_block[b, 2] + of_block[b, 4]) * 8
                x = (m % across * of_block[b, 1] + of_block[b, 3]) * 8
                to_samples(work, origins[c] + y * strides[c] + 4 * x, strides[c])
        if at - (have >> 3) > limit:
            return m
    used = (at - stream) * 8 - have
    if (used + 7) >> 3 != ends[part] or part != len(ends) - 1:
        return mcus - 1
    finish[part] = used
    return mcus

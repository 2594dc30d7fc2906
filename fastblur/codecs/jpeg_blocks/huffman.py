"""Huffman tables (ITU-T T.81, annex C): for looking symbols up in the stream, and for writing them.

Tables have rows 0..3 for DC and 4..7 for AC. `counts` is (8, 17) uint8, the codes of each length; `values` (8, 256)
uint8, their symbols in order.
"""

import numpy as np
from numpy.typing import NDArray

from fastblur.codecs.jpeg_blocks.bits import compiled, load_u8

LOOK = 10  # bits that `single` looks up at once
SIZE = 1 << LOOK
PACK = 11  # bits that `packed` looks up at once
PACKED_SIZE = 1 << PACK
EOB = 128  # added to the coefficients that an entry moves on by, where it ends the block
SLOW = 255  # in place of that: there is no whole symbol in the bits looked at

# An entry of `single`, uint32: bits 0-7 how many bits code and value take, 8-15 the code's own, 16-23 coefficients
# moved on by, 24-31 the size of the value; 0 where the code is longer than LOOK or there is none.
# An entry of `packed`, uint16, of AC tables: bits 0-7 how many bits all symbols take whose codes are whole in it (the
# last one's value may reach beyond), 8-15 coefficients moved on by.
PACKED_BITS = PACK + 10  # the most that an entry takes

ZIGZAG = np.array(sorted(range(64), key=lambda i: (i // 8 + i % 8, i // 8 if (i // 8 + i % 8) % 2 else i % 8)))
"""(64,) where the k-th coefficient in the file's order stands in the block read row by row."""

TRANSPOSED = (ZIGZAG % 8 * 8 + ZIGZAG // 8).astype(np.uint8)
"""(64,) where it stands in the block read column by column, as `transforms` has it."""


@compiled
def make_tables(used, counts, values, single, packed, longest, offset):
    """Fill the tables that read a stream, of every row of `used`; return whether they are all possible.

    single: (8, SIZE) uint32; packed: (8, PACKED_SIZE) uint16; longest: (8, 17) int64, the largest code of each length,
    -1 for none; offset: (8, 17) int64, what to add to a code of that length for its place in `values`.
    """
    for t in used:
        is_dc = t < 4
        one, several = single[t], packed[t]
        one[:] = 0
        code = k = 0
        for length in range(1, 17):
            code <<= 1
            offset[t, length] = k - code
            for _ in range(counts[t, length]):
                if code >= 1 << length or k > 255:
                    return False
                symbol = np.int64(values[t, k])
                size, run = symbol & 15, symbol >> 4
                if is_dc:
                    if symbol > 11:
                        return False
                elif size > 10 or (size == 0 and run != 0 and run != 15):
                    return False
                if length <= LOOK:
                    entry = entry_of(symbol, length, is_dc)
                    first = code << (LOOK - length)
                    for i in range(first, first + (1 << (LOOK - length))):
                        one[i] = entry
                code += 1
                k += 1
            longest[t, length] = code - 1 if counts[t, length] > 0 else -1
        if not is_dc:
            _pack(one, several)
    return True


@compiled
def make_codes(used, counts, values, codes, following):
    """Fill the tables that write a stream, of every row of `used`; return False where a symbol has two codes.

    codes: (8, 256) uint32, code << 8 | length for each symbol, 0 for none; following: (8,) int64, the next free code
    of 16 bits.
    """
    for t in used:
        codes[t, :] = 0
        code = k = 0
        for length in range(1, 17):
            code <<= 1
            for _ in range(counts[t, length]):
                symbol = np.int64(values[t, k & 255])
                if codes[t, symbol] != 0:
                    return False
                codes[t, symbol] = code << 8 | length
                code += 1
                k += 1
        following[t] = code
    return True


@compiled
def entry_of(symbol, length, is_dc):
    """Return the entry of `single` for a symbol with a code of `length` bits."""
    size, run = symbol & 15, symbol >> 4
    step = 0 if is_dc else (EOB if symbol == 0 else run + 1)
    return (length + size) | length << 8 | step << 16 | size << 24


@compiled
def _pack(one, several):
    for i in range(PACKED_SIZE):
        used = step = 0
        while used < PACK:
            entry = np.int64(one[(i << used & (PACKED_SIZE - 1)) >> (PACK - LOOK)])
            moved = entry >> 16 & 255
            if entry == 0 or used + (entry >> 8 & 255) > PACK or (moved < EOB and step + moved > 63):
                break
            used += entry & 255
            step += moved
            if moved == EOB:
                break
        several[i] = used | step << 8 if used > 0 else SLOW << 8


@compiled
def long_entry(word, t, longest, offset, values):
    """Return the entry of the code of more than LOOK bits that `word` begins with, 0 if there is none."""
    for length in range(LOOK + 1, 17):
        code = np.int64(word >> np.uint64(64 - length))
        if code <= longest[t, length]:
            place = offset[t, length] + code & 255
            return entry_of(load_u8(values.ctypes.data + t * 256 + place), length, t < 4)
    return 0


@compiled
def value_of(word, entry):
    """Return the value that follows the code at the beginning of `word` (T.81, F.2.2.1)."""
    size = entry >> 24
    bits = np.int64(word << np.uint64(entry >> 8 & 63) >> np.uint64(1) >> np.uint64(63 - size))
    return bits - (((1 << size) - 1) & ((bits << 1 >> size) - 1))


@compiled
def new_code(symbol, t, codes, counts, values, following):
    """Give a symbol the next code of 16 bits, so that no other code changes; return its entry, 0 if none is left."""
    if following[t] >= 0xFFFF or codes[t, symbol] != 0:  # the code of 16 ones is not allowed
        return 0
    there = 0
    for length in range(counts.shape[1]):  # not sum(), whose code takes 0.1 s to load
        there += np.int64(counts[t, length])
    values[t, there & 255] = symbol
    counts[t, 16] += 1
    codes[t, symbol] = following[t] << 8 | 16
    following[t] += 1
    return np.int64(codes[t, symbol])


def widened(
    counts: NDArray[np.uint8],  # (17,)
    values: NDArray[np.uint8],  # (256,)
    is_dc: bool,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a table that has a code for every symbol of baseline coding, nearly as short as the given one.

    One symbol's code becomes longer by a bit, which makes room for all that have none: they get codes of 16 bits. So
    few symbols can fill a table only where some have codes of 7 bits or less.
    """
    lengths: dict[int, int] = {}
    k = 0
    for length in range(1, 17):
        for symbol in values[k : k + counts[length]].tolist():
            lengths[symbol] = length
        k += counts[length]
    known = list(range(12)) if is_dc else [0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 11))]
    added = [symbol for symbol in known if symbol not in lengths]
    taken = sum(1 << (16 - length) for length in lengths.values())  # of the codes of 16 bits
    if taken + len(added) > 0xFFFF:
        room = max(length for length in range(1, 16) if counts[length] and 1 << (15 - length) > len(added))
        lengths[next(symbol for symbol in reversed(lengths) if lengths[symbol] == room)] += 1
    lengths.update(dict.fromkeys(added, 16))
    new_counts, new_values = np.zeros(17, np.uint8), np.zeros(256, np.uint8)
    ordered = sorted(lengths, key=lambda symbol: lengths[symbol])  # of equal length as they were
    new_values[: len(ordered)] = ordered
    for length in lengths.values():
        new_counts[length] += 1
    return new_counts, new_values

"""Bits of the new scan on their way to memory: 64 of them at a time, with a zero after each byte 0xFF."""

import numpy as np

from fastblur.codecs.jpeg_blocks.bits import compiled, load64, load_u8, store64


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

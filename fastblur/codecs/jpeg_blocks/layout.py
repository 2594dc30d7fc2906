"""What the scan of a baseline JPEG is read with: frame, tables, MCUs."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastblur.codecs.further_pictures import check_jpeg
from fastblur.codecs.jpeg_blocks.huffman import TRANSPOSED
from fastblur.codecs.jpeg_segments import COM, DHT, DQT, SOS, Header, quantisation_tables, read_header
from fastblur.codecs.pillow_io import check_size
from fastblur.codecs.refused import Refused, RefusedKind

DRI, APP14 = 0xDD, 0xEE
_BASELINE, _EXTENDED = 0xC0, 0xC1
_PROGRESSIVE = 0xC2
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_KNOWN = {_BASELINE, _EXTENDED, DHT, DRI, DQT, COM, *range(0xE0, 0xF0)}
_UNITS = ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1))  # 4:4:4, 4:2:2, 4:4:0, 4:2:0 and 4:1:1
_MOST_BLOCKS = 10  # in an MCU (T.81, B.2.3)


class Group(NamedTuple):
    """Components of the same sampling factors.

    Attributes:
        members: their numbers.
        blocks_x, blocks_y: blocks of one of them in an MCU, across and down.
        unit_x, unit_y: pixels of the picture that one sample is wide and high.
        width, height: in samples, without what pads the last blocks.
    """

    members: list[int]
    blocks_x: int
    blocks_y: int
    unit_x: int
    unit_y: int
    width: int
    height: int


class Layout(NamedTuple):
    """Everything that stands before the scan.

    Attributes:
        header: the segments.
        scan: offset of the scan in the file.
        interval: MCUs between restart markers, 0 for none.
        across, down: MCUs.
        groups: the components.
        of_block: (blocks, 5) int64, for every block of an MCU its component, that component's blocks across and down in
            an MCU, and the block's own place among them, x and y.
        selectors: (components, 2) int64, rows of the DC and the AC table in `counts` and `values`.
        used: (n,) int64, all different ones of them.
        quantisation: (components, 64) float32, in the file's order.
        inverse: (components, 64) float32, one over it, transposed.
        counts, values: (8, 17) and (8, 256) uint8, the Huffman tables, see `huffman`.
    """

    header: Header
    scan: int
    interval: int
    across: int
    down: int
    groups: list[Group]
    of_block: NDArray[np.int64]
    selectors: NDArray[np.int64]
    used: NDArray[np.int64]
    quantisation: NDArray[np.float32]
    inverse: NDArray[np.float32]
    counts: NDArray[np.uint8]
    values: NDArray[np.uint8]


def read_layout(data: bytes, max_pixels: int) -> Layout:
    """Read a JPEG file up to its scan.

    Args:
        data: the file.
        max_pixels: most that the picture may have.

    Raises Refused where it has to be decoded, and CodecError where that would fail too: a file that nobody could read,
    with too many pixels, or with further pictures that are no previews of its first.
    """
    header = read_header(data)
    check_size(header.width, header.height, max_pixels)
    if data[:2] != b"\xff\xd8" or header.scan != 2 + sum(4 + len(payload) for _, payload in header.segments):
        raise Refused("bytes between its segments, expected none")
    components = header.components
    frames = [marker for marker, _ in header.segments if marker in _FRAMES]
    if len(frames) != 1 or header.frame not in (_BASELINE, _EXTENDED):
        kind: RefusedKind = "progressive" if header.frame == _PROGRESSIVE else "unsupported"
        raise Refused(
            f"frame 0x{header.frame:02X}, expected one of baseline or extended sequential Huffman coding", kind
        )
    if unknown := [marker for marker, _ in header.segments if marker not in _KNOWN]:
        raise Refused(f"a segment 0x{unknown[0]:02X}, expected tables, frame, APP and COM before the scan")
    if header.bits != 8:
        raise Refused(f"{header.bits} bits a sample, expected 8", "unsupported")
    if len(components) not in (1, 3, 4):
        raise Refused(f"{len(components)} components, expected 1, 3 or 4", "unsupported")
    if len({c[0] for c in components}) != len(components):
        raise Refused("components with the same identifier, expected different ones")
    if any(not (1 <= h <= 4 and 1 <= v <= 4) for _, h, v, _ in components):
        raise Refused("sampling factors out of range, expected 1 to 4")
    _check_colors(header)
    counts, values, interval = _tables_and_interval(header)
    scan, selectors = _scan_header(data, header)
    used = sorted({row for pair in selectors for row in pair})
    if any(row not in counts for row in used):
        raise Refused("no Huffman table of its own, expected one before the scan")
    sizes = tuple((h, v) for _, h, v, _ in components) if len(components) > 1 else ((1, 1),)  # one component: one block
    units, of_block, h, v = _sampling(sizes)
    groups = [
        Group(members, cx, cy, x, y, -(-header.width // x), -(-header.height // y)) for members, cx, cy, x, y in units
    ]
    quantisation, inverse = _quantisation(tuple(quantisation_tables(header)))
    check_jpeg(data, header)
    return Layout(
        header, scan, interval, -(-header.width // (8 * h)), -(-header.height // (8 * v)), groups, of_block,
        np.array(selectors, np.int64), np.array(used, np.int64), quantisation, inverse,
        _stacked(counts, 17), _stacked(values, 256),
    )  # fmt: skip


def _check_colors(header: Header) -> None:
    """Refuse what is read as other colours without the segments that are not kept, or by some readers only."""
    if header.jfif is not None and header.jfif[5] != 1:
        raise Refused(f"JFIF of version {header.jfif[5]}, expected 1", "unsupported")
    adobe = [payload for marker, payload in header.segments if marker == APP14 and payload.startswith(b"Adobe")]
    known = {1: (0, 1, 2), 3: (0, 1), 4: (0, 2)}[len(header.components)]
    if len(adobe) > 1 or any(len(payload) < 12 or payload[11] not in known for payload in adobe):
        raise Refused("an unusual Adobe segment, expected one with a known colour transform", "unsupported")


def _tables_and_interval(header: Header) -> tuple[dict[int, bytes], dict[int, bytes], int]:
    """Return the lengths and the symbols of each Huffman table by its row, and the restart interval."""
    counts: dict[int, bytes] = {}
    values: dict[int, bytes] = {}
    interval = 0
    for marker, payload in header.segments:
        if marker == DRI:
            if len(payload) != 2:
                raise Refused("a broken restart interval, expected 2 bytes")
            interval = payload[0] << 8 | payload[1]
        at = 0
        while marker == DHT and at < len(payload):
            lengths = payload[at + 1 : at + 17]
            total = sum(lengths)
            symbols = payload[at + 17 : at + 17 + total]
            if payload[at] & 0xEC or len(lengths) < 16 or len(symbols) != total or not 0 < total <= 256:
                raise Refused("a broken Huffman table, expected 16 lengths and their symbols")
            row = (payload[at] >> 4) * 4 + (payload[at] & 3)
            counts[row], values[row] = b"\0" + lengths, symbols
            at += 17 + total
    return counts, values, interval


def _stacked(rows: dict[int, bytes], width: int) -> NDArray[np.uint8]:
    """Return (8, width) uint8 with zeros where a row is absent or shorter."""
    return np.frombuffer(b"".join(rows.get(i, b"").ljust(width, b"\0") for i in range(8)), np.uint8).reshape(8, width)


def _scan_header(data: bytes, header: Header) -> tuple[int, list[tuple[int, int]]]:
    """Return where the scan's data begin, and the tables of each component."""
    at = header.scan
    if data[at + 1] != SOS:
        raise Refused("no scan, expected one")
    n = len(header.components)
    size = data[at + 2] << 8 | data[at + 3]
    body = data[at + 4 : at + 2 + size]
    if size != 6 + 2 * n or len(body) != size - 2 or body[0] != n:
        raise Refused("several scans, expected one of all components", "unsupported")
    if body[1 + 2 * n :] != b"\0\x3f\0":
        raise Refused("a scan of a part of the coefficients, expected all")
    highest = 1 if header.frame == _BASELINE else 3
    selectors = []
    for (identifier, *_), own, tables in zip(header.components, body[1::2], body[2::2], strict=False):
        dc, ac = tables >> 4, tables & 15
        if own != identifier or max(dc, ac) > highest:
            raise Refused("components in another order or with impossible tables, expected those of the frame")
        selectors.append((dc, 4 + ac))
    return at + 2 + size, selectors


@lru_cache(maxsize=64)
def _sampling(sizes: tuple[tuple[int, int], ...]) -> tuple[list[Any], NDArray[np.int64], int, int]:
    """Return what follows from the components' sampling factors.

    That is: the first five fields of each Group, `of_block`, and the largest factors, all not to be changed.
    """
    h, v = max(s[0] for s in sizes), max(s[1] for s in sizes)
    units = []
    usual = len(sizes) == 1 or (1, 1) in sizes or sizes[0] in ((2, 2), sizes[1])
    if sizes[0] != (h, v) or len(set(sizes[1:3])) > 1 or not usual:
        raise Refused(
            "sampling factors of no usual kind, expected the first component in full and the next two alike",
            "unsupported",
        )
    for cx, cy in dict.fromkeys(sizes):
        if h % cx or v % cy or (h // cx, v // cy) not in _UNITS:
            raise Refused(
                f"sampling factors {cx}, {cy} next to {h}, {v}, expected 4:4:4, 4:2:2, 4:4:0, 4:2:0 or 4:1:1",
                "unsupported",
            )
        members = [i for i, size in enumerate(sizes) if size == (cx, cy)]
        units.append((members, cx, cy, h // cx, v // cy))
    of_block = [(c, cx, cy, x, y) for c, (cx, cy) in enumerate(sizes) for y in range(cy) for x in range(cx)]
    if len(of_block) > _MOST_BLOCKS:
        raise Refused(f"{len(of_block)} blocks in an MCU, expected at most {_MOST_BLOCKS}", "unsupported")
    return units, np.array(of_block, np.int64), h, v


@lru_cache(maxsize=64)
def _quantisation(tables: tuple[tuple[int, ...], ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return `quantisation` and `inverse`, not to be changed: the files of a data set have few different tables."""
    quantisation = np.array(tables, np.float32)
    if not quantisation.all():
        raise Refused("a quantisation table with a 0, expected values from 1 on")
    inverse = np.empty_like(quantisation)
    inverse[:, TRANSPOSED] = 1 / quantisation
    return quantisation, inverse

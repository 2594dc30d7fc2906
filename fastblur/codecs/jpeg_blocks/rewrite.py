"""Faces hidden in the bytes of a JPEG file: of its blocks only those change that the operator changes."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastblur.boxes import Boxes, check_boxes
from fastblur.codecs.jpeg_blocks import changed, encode, planes, scan
from fastblur.codecs.jpeg_blocks.huffman import PACKED_SIZE, SIZE, make_codes, make_tables, widened
from fastblur.codecs.jpeg_blocks.layout import APP14, DRI, Group, Layout
from fastblur.codecs.jpeg_blocks.plan import mark, mark_coded
from fastblur.codecs.jpeg_segments import DHT, DQT, SOS, Header, kept_segments, segment
from fastblur.codecs.refused import Refused
from fastblur.kernels.parameters import KernelParameters

_ADOBE_BYTES = 12
MOST_STEPS = 1 / 32  # coefficients a changed block that may go a step of the quantisation before tables are widened


class Rewritten(NamedTuple):
    """A file with regions hidden, and what it took.

    Attributes:
        data: the file.
        mcus, mcus_read, mcus_changed, mcus_coded: MCUs in all; whose samples were read; with blocks that changed; that
            were encoded again.
        blocks_changed: blocks that were transformed and quantised again.
        new_codes: codes that the Huffman tables got; many where the whole scan was written with wider tables.
        splits, left_out: coefficients of 1 put among zeros, and left out, for want of a code.
    """

    data: bytes
    mcus: int
    mcus_read: int = 0
    mcus_changed: int = 0
    mcus_coded: int = 0
    blocks_changed: int = 0
    new_codes: int = 0
    splits: int = 0
    left_out: int = 0


def hide(
    data: bytes,
    layout: Layout,
    boxes: Boxes,  # (n, 4) float32 xyxy px, stored coordinates
    parameters: KernelParameters,
    levels: dict[str, list[float]] | None,
) -> Rewritten:
    """Hide boxes in a JPEG file. Every block that they do not touch keeps its coefficients, bit by bit.

    Args:
        data: the file.
        layout: what `read_layout` found in it; the caller has checked its size.
        boxes: those to hide.
        parameters: of the operator.
        levels: to fill with, 0..255: of each channel of a grey ("L"), an "RGB" and a "CMYK" picture (ink); else None.

    Raises Refused where the file has to be decoded and encoded instead, ValueError for a coordinate that `check_boxes`
    refuses.
    """
    header = layout.header
    rows = np.ascontiguousarray(boxes, np.float32)
    check_boxes(rows[None], np.array([len(rows)]))
    regions = planes.plan_regions(rows, header.height, header.width, parameters)
    mode = parameters.mode
    flags = np.zeros(layout.across * layout.down, np.uint8)
    planned = [_planned(layout, group, regions, mode, flags) for group in layout.groups]
    flagged, read, changed_mcus, coded, *window = mark_coded(flags, layout.across, layout.interval)

    tables = _Tables(layout)
    stream, ends = _unstuffed(data, layout)
    address = stream.ctypes.data
    samples = [_Window(layout, group, window) for group in layout.groups]
    origins, strides = np.empty(len(layout.selectors), np.int64), np.empty(len(layout.selectors), np.int64)
    for group, plane in zip(layout.groups, samples, strict=True):
        for i, component in enumerate(group.members):
            origins[component], strides[component] = plane.origin(i), plane.stride
    places, finish = np.empty(len(flags), np.int64), np.empty_like(ends)
    predictors = np.empty((flagged, len(layout.selectors)), np.int64)
    coefficients = np.empty((coded * len(layout.of_block), 64), np.int16)
    found = scan.read_scan(
        address, ends, layout.interval, layout.of_block, layout.selectors, tables.single, tables.packed, tables.longest,
        tables.offset, layout.values, layout.quantisation, flags, layout.across, places, finish, predictors, origins,
        strides, coefficients,
    )  # fmt: skip
    if found != len(flags):
        raise Refused(f"a scan that is broken in MCU {found} of {len(flags)}, expected it whole and nothing after it")
    color = _color(header, levels)
    blocks_changed = 0
    for group, plane, (own, mosaics, flagged_blocks) in zip(layout.groups, samples, planned, strict=True):
        planes.hide_plane(
            plane.origin(0), plane.stride // 4, plane.size, len(group.members), group.width, group.height, own, mosaics,
            color[group.members] if len(color) else color, mode,
        )  # fmt: skip
        for component in group.members:
            blocks_changed += changed.change_blocks(
                flags, layout.across, layout.of_block, component, flagged_blocks, group.width, group.height,
                origins[component], strides[component], layout.inverse[component], coefficients,
            )  # fmt: skip

    found_mcus = (flags, places, predictors, coefficients)
    written = _written(layout, tables, address, ends, finish, found_mcus, widen=False)
    if written is None or written.steps.sum() > MOST_STEPS * blocks_changed:
        written = _written(layout, tables, address, ends, finish, found_mcus, widen=True)
    if written is None:
        raise Refused("a difference of two DC coefficients that is too large for any code")
    return Rewritten(
        data=b"".join((*_segments(layout, written.codes), written.scan, b"\xff\xd9")),
        mcus=len(flags),
        mcus_read=read,
        mcus_changed=changed_mcus,
        mcus_coded=coded,
        blocks_changed=blocks_changed,
        new_codes=int(written.codes.counts.sum()) - int(layout.counts.sum()),
        splits=int(written.steps[encode.SPLIT]),
        left_out=int(written.steps[encode.LEFT_OUT]),
    )


class _Written(NamedTuple):
    """A new scan, the tables that it is written with, and `encode.write_scan`'s steps."""

    codes: "_Codes"
    scan: memoryview
    steps: NDArray[np.int64]


def _written(
    layout: Layout,
    tables: "_Tables",
    stream: int,
    ends: NDArray[np.int64],
    finish: NDArray[np.int64],
    found: tuple[Any, ...],  # flags, places, predictors and coefficients
    widen: bool,
) -> _Written | None:
    """Write the new scan; None where a symbol can have no code."""
    codes, steps = _Codes(layout, widen), np.zeros(2, np.int64)
    room = (4 if widen else 2) * int(ends[-1]) + len(found[-1]) * encode.BLOCK_BYTES + 4 * len(ends) + 64
    target = np.empty(room, np.uint8)
    old = (tables.single, tables.longest, tables.offset, layout.values) if widen else None
    size = encode.write_scan(
        stream, ends, finish, layout.interval, layout.of_block, layout.selectors, *found, codes.codes, codes.counts,
        codes.values, codes.following, old, steps, target.ctypes.data,
    )  # fmt: skip
    return None if size < 0 else _Written(codes, target[:size].data, steps)


def _planned(layout: Layout, group: Group, regions: Any, mode: int, flags: NDArray[np.uint8]) -> tuple[Any, Any, Any]:
    """Return a group's regions, mosaics, and which of its blocks change, (rows, columns) uint8; mark its MCUs."""
    header = layout.header
    own, mosaics = planes.plan_plane(
        regions, group.unit_x, group.unit_y, group.width, group.height, header.width, header.height, mode
    )
    changed = np.zeros((layout.down * group.blocks_y, layout.across * group.blocks_x), np.uint8)
    mark(own, mosaics, mode, group.width, group.height, group.blocks_x, group.blocks_y, layout.across, flags, changed)
    return own, mosaics, changed


class _Tables:
    """What reads the scan, see `huffman.make_tables`."""

    def __init__(self, layout: Layout) -> None:
        self.single, self.packed = np.empty((8, SIZE), np.uint32), np.empty((8, PACKED_SIZE), np.uint16)
        self.longest, self.offset = np.empty((8, 17), np.int64), np.empty((8, 17), np.int64)
        if not make_tables(
            layout.used, layout.counts, layout.values, self.single, self.packed, self.longest, self.offset
        ):
            raise Refused("an impossible Huffman table, expected codes and symbols of baseline coding")


class _Codes:
    """What writes the scan, see `huffman.make_codes`: the file's own tables, or wider ones."""

    def __init__(self, layout: Layout, widen: bool) -> None:
        self.counts, self.values = layout.counts.copy(), layout.values.copy()
        if widen:
            for t in layout.used.tolist():
                self.counts[t], self.values[t] = widened(layout.counts[t], layout.values[t], t < 4)
        self.codes, self.following = np.empty((8, 256), np.uint32), np.empty(8, np.int64)
        if not make_codes(layout.used, self.counts, self.values, self.codes, self.following):
            raise Refused("a Huffman table with two codes for a symbol, expected one for each")


def _unstuffed(data: bytes, layout: Layout) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the scan's bits, followed by zeros, and where its restart intervals end, in bytes."""
    mcus = layout.across * layout.down
    parts = -(-mcus // layout.interval) if layout.interval else 1
    source = np.frombuffer(data, np.uint8)
    if len(source) - layout.scan < 2 * parts:
        raise Refused("a scan that is shorter than its restart markers")
    stream, ends = np.empty(len(source) - layout.scan + scan.PAD + 8, np.uint8), np.empty(parts, np.int64)
    end = scan.unstuff(source.ctypes.data, layout.scan, len(source), stream.ctypes.data, ends)
    if end == scan.RESTARTS:
        raise Refused("restart markers that are out of order, too few or too many")
    if end == scan.NO_END or data[end + 1] != 0xD9:
        raise Refused("no end of the image after its scan, expected it there")
    return stream, ends


class _Window:
    """The samples of a group's components in a window of MCUs, float32."""

    def __init__(self, layout: Layout, group: Group, window: list[int]) -> None:
        x0, y0, x1, y1 = window
        columns, rows = 8 * group.blocks_x * (x1 - x0), 8 * group.blocks_y * (y1 - y0)
        self.samples = np.empty((len(group.members), rows, columns), np.float32)
        self.size, self.stride = rows * columns, 4 * columns  # samples in a plane, bytes between rows
        self._offset = 8 * group.blocks_y * y0 * self.stride + 4 * 8 * group.blocks_x * x0

    def origin(self, member: int) -> int:
        """Return the address that the sample at (0, 0) of a component has, or would have."""
        return self.samples.ctypes.data + 4 * member * self.size - self._offset


def _color(header: Header, levels: dict[str, list[float]] | None) -> NDArray[np.float32]:
    """Return the level of each component to fill with, (components,); empty without one."""
    if levels is None:
        return np.empty(0, np.float32)
    if len(header.components) == 1:
        return np.array(levels["L"], np.float32)
    if len(header.components) == 4:
        ink = levels["CMYK"]
        if header.adobe == 2:  # YCCK: the luma and chroma of the ink, and the black inverted as in every CMYK file
            return np.array([*_ycc(*ink[:3]), 255 - ink[3]], np.float32)
        return 255 - np.array(ink, np.float32)
    return np.array(levels["RGB"] if header.is_rgb else _ycc(*levels["RGB"]), np.float32)


def _ycc(red: float, green: float, blue: float) -> list[float]:
    """Return luma and chroma as JFIF has them (ITU-T T.871)."""
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return [luma, 128 + (blue - luma) / 1.772, 128 + (red - luma) / 1.402]


def _segments(layout: Layout, tables: _Codes) -> list[bytes]:
    """Return everything before the new scan: metadata without previews, tables, frame, and the scan's header."""
    header = layout.header
    kept = kept_segments(header)
    if len(header.components) != 3 or header.is_rgb:  # else it is among those that are kept
        kept += [
            segment(APP14, b"", payload[:_ADOBE_BYTES])
            for marker, payload in header.segments
            if marker == APP14 and payload.startswith(b"Adobe")
        ]
    own = [segment(m, b"", payload) for m, payload in header.segments if m in (DQT, DRI, header.frame)]
    codes = bytearray()
    for t in layout.used.tolist():
        lengths = tables.counts[t, 1:].tobytes()
        codes.append((t >> 2) << 4 | t & 3)
        codes += lengths + tables.values[t, : sum(lengths)].tobytes()
    selectors = [
        (c[0], dc << 4 | ac - 4) for c, (dc, ac) in zip(header.components, layout.selectors.tolist(), strict=True)
    ]
    scan_header = bytes((len(selectors), *(number for pair in selectors for number in pair), 0, 63, 0))
    return [b"\xff\xd8", *kept, *own, segment(DHT, b"", bytes(codes)), segment(SOS, b"", scan_header)]

"""Whether an image of the output is its source with the regions hidden, and nothing else.

The formula's own result is computed by `formula`, which shares no code with the kernels that made the output. In a
cell of a region the output o lies somewhere between the source s and that result e: its coverage is the least-squares
c of o = s + c (e - s), 1 where the cell is hidden as the formula says and 0 where it shows the source. A region's
coverage is that of its worst cell.

How far the codec may be off is not guessed: the source is hidden again the way that the run took, and compared too.
"""

from collections.abc import Sequence
from math import ceil, floor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastblur.audit.formula import Formula, Levels, levels
from fastblur.audit.problems import Kind
from fastblur.codecs import CodecError, Picture, decode

LEAST_COVERAGE = 0.9  # of a cell that is hidden
CELL = 16  # px of a cell's side, about
MOST_CELLS = 8  # along a side of a region
SEEN = 3.0  # levels, root mean square: with less to be hidden, source and result look the same
CODEC_LEVELS = 4.0  # by which other versions of a codec may differ from this one, outside the regions
INSIDE_LEVELS = 24.0  # by which the kernels, whose results differ by 2 levels, and the codec may differ within them
BLOCK = 16  # px of the largest usual MCU of a JPEG


class Verdict(NamedTuple):
    """What was found of an image.

    Attributes:
        coverages: of its regions, in their order.
        kind: what is wrong, or None.
        sentence: what was found and expected.
    """

    coverages: list[float]
    kind: Kind | None = None
    sentence: str = ""


def check_hidden(
    source: bytes,
    output: bytes,
    redone: bytes | None,
    boxes: Sequence[Sequence[float]],  # (n, 4) xyxy px, stored
    formula: Formula,
) -> Verdict:
    """Return whether an image of the output is its source with these boxes hidden.

    Args:
        source, output: the image's files.
        redone: the source's file hidden again; None where that failed.
        boxes: of the regions, as the journal has them.
        formula: of the run.
    """
    none = [0.0] * len(boxes)
    if output == source:
        return Verdict(none, "not hidden", "is the source's own file, with nothing hidden in it")
    if redone is None:
        return Verdict(none, "changed", "cannot be made from the source again, so nothing is known about it")
    try:
        before, after, again = (decode(data) for data in (source, output, redone))
    except CodecError as error:
        return Verdict(none, "changed", f"cannot be compared with its source: {error}")
    if (before.format, before.pixels.shape, before.pixels.dtype) != (
        after.format,
        after.pixels.shape,
        after.pixels.dtype,
    ):
        return Verdict(
            none,
            "changed",
            f"is a {after.format} of {after.pixels.shape}, its source is a {before.format} of {before.pixels.shape}",
        )
    if before.orientation != after.orientation:
        return Verdict(
            none, "changed", f"has the EXIF orientation {after.orientation}, its source {before.orientation}"
        )
    height, width = before.pixels.shape[:2]
    rows = np.array(boxes, np.float32)
    if ((rows[:, :2] >= (width, height)) | (rows[:, 2:] <= 0)).any():
        return Verdict(none, "changed", f"has a region outside its {width} x {height} pixels in the journal")
    supports = formula.supports(rows, height, width)
    window = (
        slice(min(part.start for part, _ in supports), max(part.stop for part, _ in supports)),
        slice(min(part.start for _, part in supports), max(part.stop for _, part in supports)),
    )
    e = formula.result(before, rows, window)
    s, o, r = (levels(picture, window) for picture in (before, after, again))
    origin = np.array([window[1].start, window[0].start] * 2)
    coverages = [_coverage(box, s, o, e, r) for box in (rows - origin).tolist()]
    if min(coverages) < LEAST_COVERAGE:
        worst = int(np.argmin(coverages))
        box = [round(value) for value in boxes[worst]]
        return Verdict(
            coverages, "not hidden", f"shows the source in its region {box}: covered by {coverages[worst]:.0%}"
        )
    inside = np.zeros((height, width), bool)
    for support in supports:
        inside[support] = True
    if (place := _first_apart(before, after, again, ~inside)) is not None:
        sentence = "differs at pixel ({}, {}), outside all regions, from what its source gives".format(*place)
        return Verdict(coverages, "changed outside", sentence)
    off = np.abs(o - r)[inside[window]]
    if float(off.max(initial=0)) > INSIDE_LEVELS or _apart(o, e, r, inside[window]):
        return Verdict(coverages, "changed", "is not what the formula gives in its regions")
    return Verdict(coverages)


def _coverage(
    box: Sequence[float],  # xyxy px
    s: Levels,
    o: Levels,
    e: Levels,
    r: Levels,
) -> float:
    """Return the least coverage of the cells of a region, 1 where nothing is to be seen in any."""
    height, width = s.shape[:2]
    x0, x1 = max(0, floor(box[0])), min(width, ceil(box[2]))
    y0, y1 = max(0, floor(box[1])), min(height, ceil(box[3]))
    least = 1.0
    for rows in np.array_split(np.arange(y0, y1), _cells(y1 - y0)):
        for columns in np.array_split(np.arange(x0, x1), _cells(x1 - x0)):
            cell = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            hidden = (e[cell] - s[cell]).ravel()
            energy = float(hidden @ hidden)
            noise = float(((r[cell] - e[cell]) ** 2).sum())
            if energy > max(hidden.size * SEEN**2, 4 * noise):
                least = min(least, float((o[cell] - s[cell]).ravel() @ hidden) / energy)
    return max(0.0, least)


def _cells(side: int) -> int:
    return min(MOST_CELLS, max(1, side // CELL))


def _first_apart(
    before: Picture,
    after: Picture,
    again: Picture,
    outside: NDArray[np.bool_],  # (H, W)
) -> tuple[int, int] | None:
    """Return the first pixel (x, y) outside the regions that is not that of the source hidden again; None without one.

    Where that is the source's own pixel, no other will do. Elsewhere another version of the codec may be off by
    CODEC_LEVELS: in the blocks of a JPEG that reach into a support, or everywhere if the whole picture was encoded.
    """
    differs = outside & (after.pixels != again.pixels).any(2)
    if not differs.any():
        return None
    changed = outside & (again.pixels != before.pixels).any(2)
    down, across = (-(-side // BLOCK) for side in changed.shape)
    padded = np.pad(changed, ((0, down * BLOCK - changed.shape[0]), (0, across * BLOCK - changed.shape[1])))
    blocks = np.logical_or.reduce(padded.reshape(down, BLOCK, across, BLOCK), axis=(1, 3))
    scale = 257 if after.pixels.dtype == np.uint16 else 1
    y, x = np.nonzero(differs)
    off = np.abs(after.pixels[y, x].astype(np.int32) - again.pixels[y, x].astype(np.int32)).max(1) / scale
    wrong = np.flatnonzero(~blocks[y // BLOCK, x // BLOCK] | (off > CODEC_LEVELS))
    return (int(x[wrong[0]]), int(y[wrong[0]])) if len(wrong) else None


def _apart(
    o: Levels,
    e: Levels,
    r: Levels,
    inside: NDArray[np.bool_],  # (H, W)
) -> bool:
    """Return whether the output is further from the formula's result than the codec explains, in some cell."""
    for y in range(0, o.shape[0], CELL):
        for x in range(0, o.shape[1], CELL):
            cell = slice(y, y + CELL), slice(x, x + CELL)
            if (mask := inside[cell]).any():
                found, explained = (float(((one[cell] - e[cell])[mask] ** 2).mean() ** 0.5) for one in (o, r))
                if found > 1.5 * explained + SEEN:
                    return True
    return False

"""Whether an image of the output is its source with the regions hidden, and nothing else.

The formula's own result is computed by `formula`, which shares no code with the kernels that made the output, and
`compared` measures how near the output comes to it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fastblur.audit.as_coded import as_coded, coarsest_step
from fastblur.audit.compared import LEAST_COVERAGE, Compared
from fastblur.audit.formula import Formula, Window, levels, per_level
from fastblur.audit.problems import Kind
from fastblur.codecs import CodecError, Picture, decode

CODEC_LEVELS = 4.0  # by which other versions of a codec may differ from this one, outside the regions
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
    if output == source != redone:
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
    supports = [one for one in formula.supports(rows, height, width) if _has_pixels(one)]
    if not supports:  # boxes that lie between the centres of pixels
        same = output == redone or np.array_equal(after.pixels, again.pixels)
        kind: Kind | None = None if same else "changed outside"
        return Verdict([1.0] * len(boxes), kind, "" if same else "differs from what its source gives, without a region")
    window = (
        slice(min(part.start for part, _ in supports), max(part.stop for part, _ in supports)),
        slice(min(part.start for _, part in supports), max(part.stop for _, part in supports)),
    )
    e = formula.result(before, rows, window)
    compared = Compared(
        levels(before, window),
        levels(after, window),
        e,
        levels(again, window),
        step=1 / per_level(before),
        coarsest=coarsest_step(before),
        encode=lambda: as_coded(before, window, e),
    )
    origin = np.array([window[1].start, window[0].start] * 2)
    places = (rows - origin).tolist()
    coverages = [compared.coverage(box) for box in places]
    if min(coverages) < LEAST_COVERAGE:
        return _not_hidden(coverages, boxes, "covered by")
    if output != redone:
        shown = [compared.shown(box) for box in places]
        if max(shown) > 0:
            coverages = [min(pair) for pair in zip(coverages, (1 - part for part in shown), strict=True)]
            return _not_hidden(coverages, boxes, "more than formula and codec leave: covered by")
    inside = np.zeros((height, width), bool)
    for support in supports:
        inside[support] = True
    if output != redone and (place := _first_apart(before, after, again, ~inside)) is not None:
        sentence = "differs at pixel ({}, {}), outside all regions, from what its source gives".format(*place)
        return Verdict(coverages, "changed outside", sentence)
    if not compared.is_formulas(inside[window]):
        return Verdict(coverages, "changed", "is not what the formula gives in its regions")
    return Verdict(coverages)


def _not_hidden(coverages: list[float], boxes: Sequence[Sequence[float]], how: str) -> Verdict:
    worst = int(np.argmin(coverages))
    box = [round(value) for value in boxes[worst]]
    return Verdict(coverages, "not hidden", f"shows the source in its region {box}, {how} {coverages[worst]:.0%}")


def _has_pixels(window: Window) -> bool:
    return all(part.start < part.stop for part in window)


def _first_apart(
    before: Picture,
    after: Picture,
    again: Picture,
    outside: NDArray[np.bool_],  # (H, W)
) -> tuple[int, int] | None:
    """Return the first pixel (x, y) outside the regions that is not that of the source hidden again; None without one.

    Where that is the source's own pixel, no other will do. Elsewhere, in the blocks of a JPEG that reach into a support
    or everywhere if the whole picture was encoded, another version of the codec may be off by CODEC_LEVELS. A level
    more or less within a region may turn a coefficient of its block to the next step, so that outside it the output is
    off as the source hidden again is, in other pixels.
    """
    differs = outside & (after.pixels != again.pixels).any(2)
    if not differs.any():
        return None
    apart = _most_apart(again, before)
    lost = _most_in_blocks(np.where(outside, apart, 0))[1]
    may_differ = _most_in_blocks(np.where(outside, apart, 1))[0]  # 0 where neither a region nor another pixel is near
    y, x = np.nonzero(differs)
    block = y // BLOCK, x // BLOCK
    explained = (_most_apart(after, again)[y, x] <= CODEC_LEVELS) | (
        _most_apart(after, before)[y, x] <= 2 * lost[block] + CODEC_LEVELS
    )
    wrong = np.flatnonzero((may_differ[block] == 0) | ~explained)
    return (int(x[wrong[0]]), int(y[wrong[0]])) if len(wrong) else None


def _most_apart(one: Picture, other: Picture) -> NDArray[np.float32]:  # (H, W)
    """Return by how many levels the pixels of two pictures differ in the channel that differs most."""
    apart: NDArray[np.float32] = np.abs(one.pixels.astype(np.float32) - other.pixels).max(2)
    apart /= np.float32(per_level(one))
    return apart


def _most_in_blocks(values: NDArray[np.float32]) -> list[NDArray[np.float32]]:  # values: (H, W)
    """Return the largest value of each block with the pixels next to it, and with the blocks next to it."""
    height, width = values.shape
    tall, wide = (-(-side // BLOCK) * BLOCK for side in values.shape)
    largest = []
    for border in (1, BLOCK):
        padded = np.pad(values, ((border, border + tall - height), (border, border + wide - width)))
        windows = sliding_window_view(padded, (BLOCK + 2 * border,) * 2)[::BLOCK, ::BLOCK]
        largest.append(windows.max((2, 3)))
    return largest

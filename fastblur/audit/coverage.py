"""Whether an image of the output is its source with the regions hidden, and nothing else.

The formula's own result is computed by the reference (`fastblur.kernels.reference`), which shares no code with the
kernels that made the output. In a cell of a region the output o lies somewhere between the source s and that result e:
its coverage is the least-squares c of o = s + c (e - s), 1 where the cell is hidden as the formula says and 0 where it
shows the source. A region's coverage is that of its worst cell.

How far the codec may be off is not guessed: the source is hidden again by the way that the run took, and compared too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastblur.audit.problems import Kind
from fastblur.boxes import Boxes
from fastblur.codecs import CodecError, Picture, decode
from fastblur.codecs.jpeg_segments import read_header
from fastblur.kernels.constants import ALPHA_SUPPORT
from fastblur.method_options import operator_arguments
from fastblur.pipeline.images.methods import as_levels, parse_color

LEAST_COVERAGE = 0.9  # of a cell that is hidden
CELL = 16  # px of a cell's side, about
MOST_CELLS = 8  # along a side of a region
SEEN = 3.0  # levels, root mean square: with less to be hidden, source and result look the same
CODEC_LEVELS = 4.0  # by which other versions of a codec may differ from this one, outside the regions
INSIDE_LEVELS = 24.0  # by which the kernels, whose results differ by 2 levels, and the codec may differ within them
BLOCK = 16  # px of the largest usual MCU of a JPEG

Levels = NDArray[np.float32]
"""Pixels in 0..255, whatever their depth, (H, W, C)."""


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


@dataclass
class Formula:
    """What a run does to the pixels of a region, by the reference.

    Args:
        method: "blur", "pixelate" or "fill".
        options: of its operator, as the run's record has them.
    """

    method: str
    options: dict[str, Any]
    _arguments: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self._arguments, _ = operator_arguments(self.method, **self.options)

    def result(self, picture: Picture, boxes: Boxes) -> Levels:
        """Return the picture with its boxes hidden, not rounded."""
        import torch

        from fastblur.kernels import reference
        from fastblur.regions import Regions

        arguments = dict(self._arguments)
        if self.method == "fill":
            arguments["color"] = torch.tensor(as_levels(parse_color(arguments["color"]), picture.color))
        image = torch.from_numpy(levels(picture)).permute(2, 0, 1)
        made = getattr(reference, self.method)([image], Regions.from_boxes([boxes]), **arguments)
        return np.ascontiguousarray(made[0].permute(1, 2, 0).numpy())

    def support(
        self,
        boxes: Boxes,  # (n, 4) xyxy px
        height: int,
        width: int,
    ) -> NDArray[np.bool_]:  # (H, W)
        """Return the pixels that the formula may change: those of an ellipse count as those of its box."""
        recipe = self._arguments.get("recipe")
        margin = recipe.margin if recipe else self._arguments["margin"]
        feather = recipe.feather if recipe else self._arguments.get("feather", 0.0)
        longest = (boxes[:, 2:] - boxes[:, :2]).max(1).astype(np.float64)
        widest = np.full_like(longest, longest.max()) if recipe and recipe.scope == "image" else longest
        mask = np.zeros((height, width), bool)
        for (x0, y0, x1, y1), d, w in zip(boxes.astype(np.float64).tolist(), longest, widest, strict=True):
            reach = margin * d + ALPHA_SUPPORT * feather * w + 1e-3
            rows = slice(max(0, ceil(y0 - reach - 0.5)), max(0, floor(y1 + reach - 0.5) + 1))
            mask[rows, max(0, ceil(x0 - reach - 0.5)) : max(0, floor(x1 + reach - 0.5) + 1)] = True
        return mask


def levels(picture: Picture) -> Levels:
    """Return a picture's pixels in 0..255."""
    scale = 257 if picture.pixels.dtype == np.uint16 else 1
    return picture.pixels.astype(np.float32) / np.float32(scale)


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
    if (before.format, before.pixels.shape, before.pixels.dtype) != (after.format, after.pixels.shape, after.pixels.dtype):
        return Verdict(none, "changed", f"is a {after.format} of {after.pixels.shape}, its source is a {before.format} of {before.pixels.shape}")
    if before.orientation != after.orientation:
        return Verdict(none, "changed", f"has the EXIF orientation {after.orientation}, its source {before.orientation}")
    rows = np.array(boxes, np.float32)
    s, o, r = (levels(picture) for picture in (before, after, again))
    outside = ~formula.support(rows, *s.shape[:2])
    e = formula.result(before, rows)
    coverages = [_coverage(box, s, o, e, r) for box in rows.tolist()]
    if min(coverages) < LEAST_COVERAGE:
        worst = int(np.argmin(coverages))
        box = [round(value) for value in boxes[worst]]
        return Verdict(coverages, "not hidden", f"shows the source in its region {box}: it is covered by {coverages[worst]:.0%}")
    off = np.abs(o - r).max(2)
    if (wrong := outside & (off > _tolerance(before, s, r, outside))).any():
        y, x = np.argwhere(wrong)[0]
        sentence = f"differs at pixel ({x}, {y}), outside all regions, from what its source gives, by {off[y, x]:.0f} levels"
        return Verdict(coverages, "changed outside", sentence)
    if (off > INSIDE_LEVELS).any() or _apart(o, e, r, ~outside):
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


def _tolerance(
    picture: Picture,
    s: Levels,
    r: Levels,
    outside: NDArray[np.bool_],  # (H, W)
) -> NDArray[np.float32]:  # (H, W) levels
    """Return how far pixels outside the regions may be from the source hidden again.

    Nothing where that left them as they were; elsewhere as far as another version of the codec may be, as in the blocks
    of a JPEG that reach into a support, or everywhere where the way was to encode the whole picture.
    """
    changed = outside & (r != s).any(2)
    if not changed.any():
        return np.zeros(changed.shape, np.float32)
    down, across = (-(-side // BLOCK) for side in changed.shape)
    padded = np.pad(changed, ((0, down * BLOCK - changed.shape[0]), (0, across * BLOCK - changed.shape[1])))
    blocks = padded.reshape(down, BLOCK, across, BLOCK).any((1, 3))
    near = np.repeat(np.repeat(blocks, BLOCK, 0), BLOCK, 1)[: changed.shape[0], : changed.shape[1]]
    return np.where(near, np.float32(CODEC_LEVELS), np.float32(0))


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

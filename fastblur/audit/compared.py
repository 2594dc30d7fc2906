"""A window of a picture's output, held against its source and the formula's result.

In a cell of a region the output o lies somewhere between the source s and the formula's result e. Its coverage is the
least-squares c of o = s + c (e - s): 1 where the cell is hidden as the formula says, 0 where it shows the source.

A codec may keep an output from being e. How far it may be off is not guessed: e is encoded too, by the codec alone,
and an output that is as near to e as that counts as covered. And the source is hidden again the way that the run took,
which gives r: an output that is further from e than r is, towards the source, shows the part p of o = r + p (s - r).
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import NDArray

from fastblur.audit.formula import Levels

LEAST_COVERAGE = 0.9  # of a cell that is hidden
MOST_SHOWN = 0.01  # of the source in a region or cell, above what chance may give
CELL = 16  # px of a cell's side, about
MOST_CELLS = 8  # along a side of a region
SEEN = 3.0  # levels, root mean square: with less to be hidden, source and result look the same
AGAIN_ENERGY = 1.2  # times the energy of r - e: what shows the source is further from e
OTHER_ENERGY = 2.0  # times that too: what shows something else is
CODEC_ENERGY = 4.0  # times the codec's own, of a cell that counts as covered: there are other ways to quantise e
FORMULA_ENERGY = 16.0  # times that, of whatever the code of the run gives, in a few pixels of a cell too
SLACK = 0.2, 0.3  # by which right results differ, root mean square: levels in a picture of full range, steps of depth
CELL_SLACK = 1.0, 0.5  # in a cell, or the few pixels of it that lie inside a support
STEP_SHARE = 4  # of a step of a coefficient, what it changes in its block, root mean square, at most
BLOCK = 64  # px of a block of a JPEG, whose errors are not independent
Cell = tuple[slice, slice]


class Compared:
    """A window of a picture, four times: all are levels (H, W, C).

    Args:
        source: as it was.
        output: as the run left it.
        formula: hidden as the formula says, not rounded.
        again: the source hidden again by the code of the run.
        step: levels between two values of the file's depth.
        coarsest: the largest step of a coefficient, 0 for a file that loses nothing: where the Huffman tables of a JPEG
            have no code for one, its neighbour is written.
        encode: returns the formula's result once it went through the codec; called where there is doubt.
    """

    def __init__(
        self,
        source: Levels,
        output: Levels,
        formula: Levels,
        again: Levels,
        step: float,
        coarsest: float,
        encode: Callable[[], Levels],
    ) -> None:
        self._s, self._o, self._e, self._r = source, output, formula, again
        self._encode = encode
        self._range = float(np.ptp(source)) / 255
        self._step = step
        self._another_step = (coarsest / STEP_SHARE) ** 2

    @cached_property
    def _encoded(self) -> Levels:
        return self._encode()

    def coverage(self, box: Sequence[float]) -> float:  # xyxy px of the window
        """Return the least coverage of the cells of a region, 1 where nothing is to be seen in any."""
        least = 1.0
        for cell in self._cells(box):
            hidden = (self._e[cell] - self._s[cell]).ravel()
            energy = float(hidden @ hidden)
            if energy <= hidden.size * SEEN**2:
                continue
            covered = float((self._o[cell] - self._s[cell]).ravel() @ hidden) / energy
            if covered < least and (covered >= LEAST_COVERAGE or not self._is_as_coded(cell)):
                least = covered
        return max(0.0, least)

    def shown(self, box: Sequence[float]) -> float:  # xyxy px of the window
        """Return how much of the source is in a region or one of its cells; 0 where it is not more than it may be."""
        most = 0.0
        for cell in self._cells(box, whole=True):
            hidden = (self._s[cell] - self._r[cell]).ravel()
            energy = float(hidden @ hidden) / hidden.size
            found, noise = self._off(self._o, cell), self._off(self._r, cell)
            if energy == 0 or found <= AGAIN_ENERGY * noise + self._slack(SLACK):
                continue
            part = float((self._o[cell] - self._r[cell]).ravel() @ hidden) / hidden.size / energy
            blocks = max(1.0, self._s[cell][:, :, 0].size / BLOCK)
            if part > max(most, MOST_SHOWN + sqrt(noise / energy / blocks)):
                most = part
        return min(1.0, most)

    def is_formulas(self, inside: NDArray[np.bool_]) -> bool:  # (H, W)
        """Return whether the output is as near to the formula's result as codec and run explain, in all cells."""
        for y in range(0, self._o.shape[0], CELL):
            for x in range(0, self._o.shape[1], CELL):
                cell = slice(y, y + CELL), slice(x, x + CELL)
                if (mask := inside[cell]).any() and not self._is_near(cell, mask):
                    return False
        return True

    def _is_near(self, cell: Cell, mask: NDArray[np.bool_]) -> bool:
        found = _energy((self._o[cell] - self._e[cell])[mask])
        if found > self._slack(CELL_SLACK) + OTHER_ENERGY * self._most_off(self._r, cell, mask):
            return False
        slack = SEEN**2 + self._another_step
        return found <= slack or found <= slack + FORMULA_ENERGY * self._most_off(self._encoded, cell, mask)

    def _most_off(self, one: Levels, cell: Cell, mask: NDArray[np.bool_]) -> float:
        """Return the energy of what is off in a cell's mask, or around it where that is more: a mask may be small."""
        y, x = cell[0].start, cell[1].start
        around = slice(max(0, y - CELL), y + 2 * CELL), slice(max(0, x - CELL), x + 2 * CELL)
        return max(_energy((one[cell] - self._e[cell])[mask]), self._off(one, around))

    def _is_as_coded(self, cell: Cell) -> bool:
        return self._off(self._o, cell) <= CODEC_ENERGY * self._off(self._encoded, cell) + self._slack(CELL_SLACK)

    def _off(self, one: Levels, cell: Cell) -> float:
        return _energy(one[cell] - self._e[cell])

    def _slack(self, slack: tuple[float, float]) -> float:
        """Return the energy by which right results may differ in this picture."""
        levels, steps = slack
        return (levels * self._range) ** 2 + (steps * self._step) ** 2

    def _cells(self, box: Sequence[float], *, whole: bool = False) -> Iterator[Cell]:
        height, width = self._s.shape[:2]
        x0, x1 = max(0, floor(box[0])), min(width, ceil(box[2]))
        y0, y1 = max(0, floor(box[1])), min(height, ceil(box[3]))
        if y0 >= y1 or x0 >= x1:  # a region between the centres of pixels
            return
        if whole:
            yield slice(y0, y1), slice(x0, x1)
        for rows in np.array_split(np.arange(y0, y1), _count(y1 - y0)):
            for columns in np.array_split(np.arange(x0, x1), _count(x1 - x0)):
                yield slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _count(side: int) -> int:
    return min(MOST_CELLS, max(1, side // CELL))


def _energy(values: NDArray[np.float32]) -> float:
    return float((values**2).mean())

"""The numbers of the formula (docs/architecture.md) and the codes of modes and borders, once for all kernels.

It imports neither torch nor Numba nor Triton. How far a kernel's own approximation goes (where its taps end) stands in
that kernel.
"""

from typing import get_args

from fastblur.recipes import BorderType

MIN_SIGMA = 0.5  # pixels; a blur's deviation is not smaller
ALPHA_SUPPORT = 3.0  # deviations of the feather outside the grown box at which alpha ends
MIN_BLOCK = 2  # pixels; a mosaic's blocks are not smaller
SIGMA_PER_STEP = 2.25  # least sigma over the step of the grid on which it is filtered
MIN_RADIUS = 2  # cells; the taps on each side of a cell are not fewer

BLUR, MOSAIC, FILL, MASK = range(4)
"""What a kernel does in a region: blur, pixelate and fill, and masked_blur2d."""


REPLICATE, REFLECT, CONSTANT, CIRCULAR, INSIDE = range(5)
"""What stands for pixels outside the image; with INSIDE nothing does, and means are those of the pixels inside."""

BORDERS: dict[str, int] = dict(zip(get_args(BorderType), (REPLICATE, REFLECT, CONSTANT, CIRCULAR), strict=True))

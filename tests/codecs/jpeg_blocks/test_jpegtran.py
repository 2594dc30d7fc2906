"""The way of a peer that blurs with jpegtran: a piece is cut out, and dropped into the file again, without loss.

Where only a rectangle of MCUs has changed, that rectangle of the result, dropped into the source, gives the result.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.codecs.jpeg_blocks.files import SAMPLINGS, coefficients, jpeg, rewritten

JPEGTRAN = shutil.which("jpegtran")
HEIGHT, WIDTH = 128, 192  # whole MCUs of every sampling
BOX = (70.0, 50.0, 110.0, 84.0)

pytestmark = pytest.mark.skipif(JPEGTRAN is None, reason="jpegtran is not installed (libjpeg-turbo-progs)")


def jpegtran(*arguments: str | Path) -> bytes:
    return subprocess.run([str(JPEGTRAN), *map(str, arguments)], check=True, capture_output=True).stdout


@pytest.mark.parametrize("method", ["default", "pixelate", "fill ellipse"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_the_changed_rectangle_dropped_into_the_source_is_the_result(
    tmp_path: Path, sampling: str, method: str
) -> None:
    before, after, piece, joined = (tmp_path / f"{name}.jpg" for name in ("before", "after", "piece", "joined"))
    before.write_bytes(jpeg("YCbCr", sampling, HEIGHT, WIDTH))
    after.write_bytes(rewritten(before.read_bytes(), [BOX], method).data)
    reach = 0.45 * max(BOX[2] - BOX[0], BOX[3] - BOX[1])  # more than the margin and the feather of each method
    unit_x, unit_y = (8 * n for n in SAMPLINGS[sampling])
    x0, y0 = int((BOX[0] - reach) // unit_x * unit_x), int((BOX[1] - reach) // unit_y * unit_y)
    x1, y1 = int(-(-(BOX[2] + reach) // unit_x) * unit_x), int(-(-(BOX[3] + reach) // unit_y) * unit_y)
    assert x0 > 0 < y0, "a border of the source is left"
    assert x1 < WIDTH
    assert y1 < HEIGHT
    piece.write_bytes(jpegtran("-crop", f"{x1 - x0}x{y1 - y0}+{x0}+{y0}", after))
    joined.write_bytes(jpegtran("-drop", f"+{x0}+{y0}", piece, before))
    for expected, found in zip(
        coefficients(joined.read_bytes(), tmp_path), coefficients(after.read_bytes(), tmp_path), strict=True
    ):
        assert np.array_equal(expected, found)
    assert joined.read_bytes() != before.read_bytes()

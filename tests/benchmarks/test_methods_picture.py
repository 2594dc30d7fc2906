"""The picture of every method: each panel hides the face, and only it."""

import numpy as np
import pytest

from benchmarks.methods_picture import FACE, METHODS, draw, panels
from tests.pipeline.helpers import detail, outside


def test_each_panel_hides_the_face_and_only_it(tmp_path) -> None:
    photograph = pytest.importorskip("skimage.data").astronaut()
    shown = panels(photograph)
    first, *others = shown
    assert np.array_equal(shown[first], photograph)
    assert len(others) == len(METHODS) - 1 >= 6
    x0, y0, x1, y1 = map(int, FACE)
    middle = (x0 + 30, y0 + 35, x1 - 30, y1 - 35)
    far = outside(photograph.shape, (x0, y0, x1, y1))
    for name in others:
        assert detail(shown[name], middle) < 0.45 * detail(photograph, middle), name
        changed = (shown[name] != photograph).any(2)
        assert not changed[far].any() or "ilsvrc" in name, name
    pytest.importorskip("matplotlib")
    draw(tmp_path / "methods.jpg")
    assert (tmp_path / "methods.jpg").stat().st_size > 50_000

"""Every peer hides what is in the boxes."""

import numpy as np
import pytest

pytest.importorskip("cv2", reason="the peers need the package opencv, which is absent")

from benchmarks import peers
from tests import formula

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", peers.found()[0])
def test_a_peer_hides_what_is_in_the_boxes_and_says_what_it_is(name: str) -> None:
    peer = peers.found()[0][name]
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    boxes = np.array([[40.0, 30, 80, 75]])
    before = pixels.copy()
    out = peer.pixels(peer.hide(peer.image(pixels.copy()), boxes))
    assert (out.shape, out.dtype) == (pixels.shape, np.uint8)
    inside = out[40:65, 50:70].astype(int)
    assert (
        np.abs(np.diff(inside, axis=0)).mean() < 0.3 * np.abs(np.diff(before[40:65, 50:70].astype(int), axis=0)).mean()
    )
    np.testing.assert_array_equal(out[:, 110:], before[:, 110:])
    if peer.SAME:
        exact, support = formula.blur(before.transpose(2, 0, 1).astype(np.float64), boxes, **formula.RECIPES["ilsvrc"])
        assert np.abs(out.transpose(2, 0, 1) - exact)[:, support].mean() < 2
    record = peers.described(peer)
    assert record["version"]
    assert record["lacks"] or record["package"] == "fastblur"

"""No load or store leaves its array, and no sample is used that was not decoded."""

import multiprocessing
import sys

import numpy as np
import pytest

from benchmarks import fuzz_jpeg
from fastblur.codecs.jpeg_blocks import rewrite
from tests.codecs.jpeg_blocks.files import METHODS, jpeg, kinds, rewritten

KINDS = dict(kinds())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages without access are Linux's here")
@pytest.mark.parametrize("seed", [1_000_000, 1_000_001])
def test_fuzzed_files_against_pages_without_access(seed):
    """A process of its own, which a load or store beyond an array would end."""
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=fuzz_jpeg._work, args=(seed, 400, results))
    child.start()
    child.join(timeout=300)
    assert child.exitcode == 0
    counts, faults = results.get()
    assert faults == []
    assert counts.total() == 400
    assert len({kind for kind, what in counts if what == "rewritten"}) >= 6


class Poisoned(fuzz_jpeg.GuardedNumpy):
    """NumPy, whose new arrays of floats hold NaN and whose others are as they come."""

    def __init__(self):
        self.made = []

    def empty(self, shape, dtype=float):
        array = np.empty(shape, dtype)
        array.view(np.uint8)[...] = 0xFF
        if dtype is np.float32:
            self.made.append(array)
        return array

    def frombuffer(self, data, dtype):
        return np.frombuffer(data, dtype)


@pytest.mark.parametrize("kind", ["L 444 {} {}", "CMYK 420 {} {}", "YCbCr 422 {} {}", "YCbCr 420 {} {}", "YCbCr 411"])
@pytest.mark.parametrize("method", METHODS)
def test_only_decoded_samples_are_used(monkeypatch, kind, method):
    """Planes begin as NaN: what the operators read without its being decoded would show, as coefficients of 1023."""
    for seed, (height, width) in enumerate([(61, 83), (200, 240), (33, 300), (8, 8)]):
        data = jpeg(**KINDS[kind], height=height, width=width, seed=seed)
        rng = np.random.default_rng(seed)
        for _ in range(6):
            low = rng.uniform(-20, [width - 4, height - 4])
            boxes = [[*low, *(low + rng.uniform(3, 60, 2))] for _ in range(2)]
            plain = rewritten(data, boxes, method)
            with monkeypatch.context() as patch:
                poisoned = Poisoned()
                patch.setattr(rewrite, "np", poisoned)
                again = rewritten(data, boxes, method)
            assert again == plain
            assert plain.blocks_changed == 0 or poisoned.made

"""Symbols that the file's Huffman tables have no code for: never a coefficient lost, and each way counted."""

import numpy as np
import pytest

from fastblur.codecs.jpeg_blocks import rewrite
from fastblur.codecs.jpeg_blocks.huffman import widened
from tests.codecs.jpeg_blocks.files import coefficients, jpeg, planes, rewritten, strictly_decoded

BOXES = [[20, 10, 45, 38], [60, 40, 90, 70]]


def tables_of(data):
    """(class and number, lengths, symbols) of each Huffman table."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        k = at + 4
        while data[at + 1] == 0xC4 and k < end:
            lengths = list(data[k + 1 : k + 17])
            found.append((data[k], lengths, list(data[k + 17 : k + 17 + sum(lengths)])))
            k += 17 + sum(lengths)
        at = end
    return found


def test_standard_tables_stay_as_they_are():
    """They have every symbol."""
    data = jpeg()
    for method in ("default", "pixelate", "fill"):
        result = rewritten(data, BOXES, method)
        assert (result.new_codes, result.splits, result.left_out) == (0, 0, 0)
        assert sorted(tables_of(result.data)) == sorted(tables_of(data))


@pytest.mark.parametrize("colors", ["L", "YCbCr", "CMYK"])
def test_new_codes_change_no_other_code(colors):
    """A small optimised table has room at its end."""
    counted = 0
    for seed in range(8):
        data = jpeg(colors, height=40, width=48, quality=60, optimize=True, seed=seed)
        result = rewritten(data, [[8, 8, 30, 30]], "fill")
        strictly_decoded(result.data)
        counted += result.new_codes
        if result.new_codes > 100:
            continue  # wider tables
        for (key, lengths, symbols), (_, more, all_symbols) in zip(
            sorted(tables_of(data)), sorted(tables_of(result.data)), strict=True
        ):
            assert lengths[:15] == more[:15], key
            assert all_symbols[: len(symbols)] == symbols
            assert more[15] - lengths[15] == len(all_symbols) - len(symbols)
    assert counted > 0


def test_every_way_gives_the_same_coefficients_but_for_single_steps(monkeypatch, tmp_path):
    """Splits, and 1s left out, differ from wider tables by one step of the quantisation."""
    steps = widths = 0
    for seed in range(12):
        data = jpeg("CMYK", height=96, width=96, quality=97, optimize=True, seed=seed)
        monkeypatch.setattr(rewrite, "MOST_STEPS", -1.0)
        exact = rewritten(data, BOXES, "pixelate")
        assert exact.splits == exact.left_out == 0
        monkeypatch.setattr(rewrite, "MOST_STEPS", 1e9)
        result = rewritten(data, BOXES, "pixelate")
        strictly_decoded(result.data)
        strictly_decoded(exact.data)
        difference = [
            np.abs(a.astype(int) - b)
            for a, b in zip(coefficients(exact.data, tmp_path), coefficients(result.data, tmp_path), strict=True)
        ]
        assert sum(int((d > 0).sum()) for d in difference) == result.splits + result.left_out
        assert max(d.max() for d in difference) <= 1
        steps += result.splits + result.left_out
        widths += exact.new_codes
    assert steps > 0
    assert widths > 0


def test_translating_a_whole_scan_changes_no_coefficient(monkeypatch, tmp_path):
    monkeypatch.setattr(rewrite, "MOST_STEPS", -1.0)
    for options in ({}, {"restart_marker_blocks": 5}, {"sampling": "420", "restart_marker_rows": 1}):
        data = jpeg(height=80, width=120, optimize=True, **options)
        result = rewritten(data, [[8, 8, 14, 14]])
        assert result.new_codes > 50
        same = [
            (a == b).all((2, 3)).mean()
            for a, b in zip(coefficients(data, tmp_path), coefficients(result.data, tmp_path), strict=True)
        ]
        assert 0.4 < min(same) < 1
        assert np.abs(planes(data, tmp_path)[0] - planes(result.data, tmp_path)[0])[40:].max() == 0


def test_wider_tables_have_every_symbol_and_are_prefix_codes():
    for data in (
        jpeg(optimize=True),
        jpeg(),
        jpeg("L", quality=100, optimize=True),
        jpeg("CMYK", quality=99, optimize=True),
    ):
        for key, lengths, symbols in tables_of(data):
            counts, values = np.array([0, *lengths], np.uint8), np.zeros(256, np.uint8)
            values[: len(symbols)] = symbols
            new_counts, new_values = widened(counts, values, key < 16)
            wanted = set(range(12)) if key < 16 else {0, 0xF0} | {r << 4 | s for r in range(16) for s in range(1, 11)}
            assert set(new_values[: new_counts.sum()].tolist()) == wanted | set(symbols)
            assert sum(int(n) << (16 - length) for length, n in enumerate(new_counts) if length) <= 0xFFFF


def test_a_coefficient_is_never_left_out_but_a_single_step(tmp_path):
    """The samples of filled faces are those of the colour, whatever codes the tables had."""
    for seed in range(6):
        data = jpeg("L", height=64, width=64, quality=80, optimize=True, seed=seed)
        out = rewritten(data, [[12, 12, 44, 44]], "fill").data
        inside = planes(out, tmp_path)[0][20:36, 20:36]
        assert np.abs(inside - 70).max() < 12

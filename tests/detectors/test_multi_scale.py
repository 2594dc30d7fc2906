"""Sizes, canvases and groups: worked out by hand, on shapes alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastblur.detectors import multi_scale
from fastblur.detectors.multi_scale import (
    Piece,
    canvas_of,
    fit_within,
    groups_of_equal_canvas,
    image_indices,
    images_in,
    pass_sizes,
)

sizes = st.tuples(st.integers(1, 3000), st.integers(1, 3000))


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((480, 640), 320, (240, 320)),
        ((640, 480), 320, (320, 240)),
        ((100, 200), 320, (100, 200)),  # never enlarged
        ((100, 200), None, (100, 200)),
        ((3000, 1), 300, (300, 1)),  # never without a pixel
    ],
)
def test_fit_within(size, longest, expected):
    assert fit_within(size, longest) == expected


def test_a_canvas_holds_every_size():
    assert canvas_of([(1, 65), (33, 2)], 32) == (64, 96)
    assert canvas_of([(64, 64)], 64) == (64, 64)


def test_large_images_get_a_second_coarse_pass():
    assert pass_sizes([(300, 512)], 1920) == [[(300, 512)]]
    assert pass_sizes([(300, 513)], 1920) == [[(300, 513)], [(187, 320)]]
    assert pass_sizes([(600, 800)], 400) == [[(300, 400)]]  # by the size that the network sees
    assert pass_sizes([(600, 800), (30, 40)], None) == [[(600, 800), (30, 40)], [(240, 320), (30, 40)]]


def test_images_of_one_canvas_go_together_and_others_apart():
    groups = groups_of_equal_canvas([1, 2, 1, 1], [(60, 60), (90, 60), (64, 33), (90, 33)], None, 32)
    assert groups == [[Piece(0, 0, 1), Piece(2, 0, 1)], [Piece(1, 0, 2), Piece(3, 0, 1)]]
    assert image_indices(groups, [1, 2, 1, 1]) == [0, 3, 1, 2, 4]


def test_images_that_differ_in_a_later_pass_alone_go_apart():
    # On 1024 x 1024 both; in the coarse pass one is 320 x 320, the other 317 x 320 on the same canvas: together.
    assert len(groups_of_equal_canvas([1, 1], [(1024, 1024), (1015, 1024)], None, 32)) == 2  # each fills a chunk
    assert multi_scale.CHUNK_PIXELS < 2 * 1024 * 1024
    fine = [(520, 512), (520, 400)]
    assert [canvas_of([size], 64) for size in fine] == [(576, 512), (576, 448)]
    assert len(groups_of_equal_canvas([1, 1], fine, None, 64)) == 2


def test_a_group_has_as_many_images_as_fit_into_a_chunk(monkeypatch):
    monkeypatch.setattr(multi_scale, "CHUNK_PIXELS", 3 * 32 * 32)
    groups = groups_of_equal_canvas([7], [(32, 32)], None, 32)
    assert groups == [[Piece(0, 0, 3)], [Piece(0, 3, 6)], [Piece(0, 6, 7)]]
    # A piece that does not fit beside what a group has begins the next one.
    groups = groups_of_equal_canvas([2, 2], [(32, 32), (31, 31)], None, 32)
    assert groups == [[Piece(0, 0, 2)], [Piece(1, 0, 2)]]


@given(st.lists(st.tuples(st.integers(0, 5), sizes), min_size=1, max_size=6), st.sampled_from([None, 100, 640]))
def test_every_image_is_in_one_group(stacks, longest):
    counts, shapes = [count for count, _ in stacks], [size for _, size in stacks]
    groups = groups_of_equal_canvas(counts, shapes, longest, 32)
    assert sorted(image_indices(groups, counts)) == list(range(sum(counts)))
    for group in groups:
        canvases = {tuple(canvas_of(s, 32) for s in pass_sizes([shapes[piece.stack]], longest)) for piece in group}
        assert len(canvases) == 1
        height, width = canvases.pop()[0]
        assert images_in(group) == 1 or images_in(group) * height * width <= multi_scale.CHUNK_PIXELS

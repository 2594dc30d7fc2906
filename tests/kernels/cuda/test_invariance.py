"""What must not change a bit of the CUDA kernel's results: layout, batching, scratch, place, padding."""

from functools import partial

import pytest
import torch

import fastblur
from tests.kernels.backends import DTYPES
from tests.kernels.cases import noise
from tests.kernels.cuda.gpu import DEVICE, called, put, runs
from tests.ops.test_invariance import hwc, masks_of

pytestmark = [pytest.mark.gpu, runs]

ROWS = [[[3.3, 4.1, 17.2, 20.0], [12, 8, 40.7, 25.1]], [], [[6, 6, 24, 20]]]
OPERATORS = {
    "blur": fastblur.blur,
    "blur ellipse": partial(fastblur.blur, recipe="ilsvrc", shape="ellipse", strength=0.3),
    "pixelate": partial(fastblur.pixelate, blocks=5),
    "fill": partial(fastblur.fill, color=1, feather=0.1),
    "masked_blur2d": lambda images, rows, **kw: fastblur.masked_blur2d(images, put(masks_of(images, rows)), 2.5, **kw),
}
over_operators = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())


def batch_of(dtype=torch.uint8, channels=3):
    return torch.stack([noise(27, 45, channels, dtype, seed=i) for i in range(3)])


@over_operators
def test_layouts_and_places(operator):
    """Every layout, in place and not; what is written to was full of other values."""
    for dtype in (torch.uint8, torch.float32):
        images = batch_of(dtype)
        expected = called(operator, images, ROWS)
        assert not torch.equal(expected[0], images[0])
        assert torch.equal(expected[1], images[1])
        assert torch.equal(called(operator, hwc(images), ROWS), expected)
        wide = torch.full((3, 5, 60, 100), 77, dtype=dtype, device=DEVICE)
        views = [wide[:, 1:4, 7:34, 20:65], wide[:, 1:4, 7:34, 3:93:2], wide[:, 1:4, 5:50, :27].transpose(2, 3)]
        for view in views if dtype == torch.uint8 else views[1:2]:
            wide.fill_(77)
            view.copy_(images)
            before = wide.clone()
            assert operator(view, ROWS, out=view, backend="cuda") is view
            assert torch.equal(view.cpu(), expected)
            view.copy_(images)
            assert torch.equal(wide, before), "something beside the view was written"
        source, out = put(images), hwc(torch.full_like(put(images), 99))
        assert operator(source, ROWS, out=out, backend="cuda") is out
        assert torch.equal(out.cpu(), expected)
        assert torch.equal(source.cpu(), images)


@over_operators
def test_batches_lists_and_single_images(operator):
    images = batch_of()
    whole = called(operator, images, ROWS)
    ragged = [images[0], noise(20, 61, 1, seed=1), hwc(images[2:])[0]]
    rows = [ROWS[0], [[1, 2, 15.5, 17]], ROWS[2]]
    results = called(operator, ragged, rows)
    assert torch.equal(results[0], whole[0])
    assert torch.equal(results[2], whole[2])
    assert torch.equal(results[1], called(operator, ragged[1], rows[1]))
    mine = put(ragged)
    assert operator(mine, rows, out=mine, backend="cuda") is mine
    assert all(torch.equal(a.cpu(), b) for a, b in zip(mine, results, strict=True))
    assert torch.equal(called(operator, images[2:], ROWS[2:])[0], whole[2])


@over_operators
def test_scratch_is_neither_trusted_nor_left_unwritten(operator, monkeypatch):
    """Scratch full of NaN, then of large numbers, then in pieces of one image each; and the same call twice."""
    from fastblur.kernels.cuda import launch

    images = batch_of(torch.float32)
    expected = called(operator, images, ROWS)
    empty = torch.empty
    for poison in (float("nan"), 1e30):

        def poisoned(*shape, poison=poison, **options):
            made = empty(*shape, **options)
            return made.fill_(poison if made.is_floating_point() else 12345)

        with monkeypatch.context() as patched:
            patched.setattr(launch.torch, "empty", poisoned)
            assert torch.equal(called(operator, images, ROWS), expected)
    monkeypatch.setattr(launch, "SCRATCH", 1)
    assert torch.equal(called(operator, images, ROWS), expected)
    assert torch.equal(torch.stack(called(operator, list(images), ROWS)), expected)


@pytest.mark.parametrize("name", ["blur", "blur ellipse", "pixelate"])
def test_images_that_find_no_place_in_the_scratch(name, monkeypatch):
    """Two of three images, each of which would fill it, are left to the last launch; see `rest`."""
    from fastblur.kernels.cuda import launch
    from fastblur.kernels.cuda.plan import HEADER, ROW, UNIT

    images, rows, operator = batch_of(), [ROWS[0]] * 3, OPERATORS[name]
    empty, plans = torch.empty, []

    def watched(*shape, **options):
        made = empty(*shape, **options)
        if made.dtype == torch.int32:
            plans.append(made)
        return made

    monkeypatch.setattr(launch.torch, "empty", watched)
    expected = called(operator, images, rows)
    assert plans[0][:2].tolist() == [6, 6], "all have their place"
    end = HEADER.value + 3 + 1 + 3 * 6 + 6 * ROW.value  # the row after the last region's
    taken = int(plans[0][end + 15]) * UNIT.value
    assert taken % 6 == 0
    monkeypatch.setattr(launch, "SCRATCH", 1)
    monkeypatch.setattr(launch, "_region_elements", lambda *_: taken // 6)
    assert torch.equal(called(operator, images, rows), expected)
    assert plans[1][:2].tolist() == [6, 2]


def test_more_regions_than_are_planned_at_once():
    """270 of them, 256 at a time: as each image alone."""
    images = batch_of()
    row = [[x, y, x + 1.5, y + 1.2] for x in range(1, 41, 4) for y in range(1, 27, 3)]
    rows = [[[x + i, y, x2 + i, y2] for x, y, x2, y2 in row] for i in range(3)]
    assert sum(map(len, rows)) == 270
    result = called(fastblur.fill, images, rows, color=7)
    for i in (0, 2):
        assert torch.equal(result[i], called(fastblur.fill, images[i], rows[i], color=7))


@pytest.mark.parametrize("name", ["blur", "fill"])
def test_rows_of_padding_and_broken_coordinates(name):
    images, operator = batch_of(), OPERATORS[name]
    plain = fastblur.Regions.from_boxes(ROWS)
    expected = called(operator, images, plain.to(DEVICE))
    for filler in (float("nan"), float("inf"), 5.0):
        boxes = torch.full((3, 7, 4), filler)
        boxes[..., 2:] += 9
        boxes[:, :2][plain.valid] = plain.boxes[plain.valid]
        regions = fastblur.Regions(boxes, plain.counts).to(DEVICE)
        assert torch.equal(called(operator, images, regions), expected)


@over_operators
def test_nothing_in_nothing_out(operator):
    empty = torch.zeros(0, 3, 20, 30, dtype=torch.uint8)
    assert called(operator, empty, []).shape == (0, 3, 20, 30)
    assert operator([], [], backend="cuda") == []
    images = batch_of()
    for rows in ([[], [], []], [[[5, 5, 5, 5]], [], [[100, 100, 120, 120]]]):
        assert torch.equal(called(operator, images, rows), images)
        mine = put(images)
        assert operator(mine, rows, out=mine, backend="cuda") is mine
        assert torch.equal(mine.cpu(), images)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_order_of_regions(dtype):
    images = batch_of(dtype)
    rows = [[*ROWS[0], [5, 5, 30, 22]], [], []]
    step = {torch.uint8: 1.0, torch.float32: 1e-6, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-7}[dtype]
    forward = called(fastblur.blur, images, rows).double()
    assert (called(fastblur.blur, images, [rows[0][::-1], [], []]).double() - forward).abs().max() <= step

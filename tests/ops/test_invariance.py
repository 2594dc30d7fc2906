"""What must not change a result by a bit: the order of regions, how images are batched, laid out and written.

Every operator, every kernel, every dtype, on the same three images with regions that overlap, nest and cross borders.
"""

from functools import partial

import numpy as np
import pytest
import torch

import fastblur
from tests.kernels.backends import BACKENDS, DTYPES
from tests.kernels.cases import noise

ROWS = [
    [[3.3, 4.1, 20.2, 25.0], [15, 10, 40.7, 31.1], [28, -4, 60, 18], [-5.5, 22, 9.25, 50]],
    [],
    [[8, 8, 30, 30], [12, 12, 20, 19.5], [12, 12, 20, 19.5]],
]
OPERATORS = {
    "blur": fastblur.blur,
    "blur ilsvrc": partial(fastblur.blur, recipe="ilsvrc"),
    "blur hard ellipse": partial(fastblur.blur, shape="ellipse", feather=0.0, margin=0.3),
    "pixelate": partial(fastblur.pixelate, blocks=5),
    "fill": partial(fastblur.fill, color=1, feather=0.1),
    "masked_blur2d": lambda images, rows, **kw: fastblur.masked_blur2d(images, masks_of(images, rows), 2.5, **kw),
}

over_backends = pytest.mark.parametrize("backend", BACKENDS)
over_operators = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())
over_dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=[str(d).removeprefix("torch.") for d in DTYPES])
everywhere = [over_backends, over_operators, over_dtypes]


def every_way(test):
    for mark in everywhere:
        test = mark(test)
    return test


def masks_of(images, rows):
    """A mask that depends on the image's own regions alone, in the form of the images."""
    boxes = rows if isinstance(rows, fastblur.Regions) else list(rows)
    if isinstance(images, torch.Tensor) and images.ndim == 3:
        return mask_of(images, boxes[0] if isinstance(boxes, fastblur.Regions) else boxes)
    masks = [mask_of(image, box) for image, box in zip(images, boxes, strict=True)]
    if not isinstance(images, torch.Tensor):
        return masks
    return torch.stack(masks) if masks else torch.zeros(0, 1, *images.shape[-2:])


def mask_of(image, rows):
    mask = torch.zeros(1, *image.shape[-2:])
    for x0, y0, x1, y1 in np.asarray(rows).reshape(-1, 4):
        mask[:, max(0, int(y0)) : int(y1), max(0, int(x0)) : int(x1)] += 0.4
    return mask.clamp(max=1)


def batch_of(dtype, channels=3):
    return torch.stack([noise(37, 45, channels, dtype, seed=i) for i in range(3)])


def hwc(images):
    """The same pixels, in memory as (B, H, W, C)."""
    return images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


@every_way
def test_does_something_and_keeps_type(backend, operator, dtype):
    images = batch_of(dtype)
    before = images.clone()
    result = operator(images, ROWS, backend=backend)
    assert (result.shape, result.dtype, result.device) == (images.shape, dtype, images.device)
    assert result.is_contiguous()
    assert torch.equal(images, before)
    assert not torch.equal(result[0], images[0])
    assert torch.equal(result[1], images[1])
    assert result.data_ptr() != images.data_ptr()


@every_way
def test_order_of_regions(backend, operator, dtype):
    images = batch_of(dtype)
    forward = operator(images, ROWS, backend=backend).double()
    # Sums of more than two numbers depend on their order in the last bit: one step of the dtype.
    step = {torch.uint8: 1.0, torch.float32: 1e-6, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}[dtype]
    for shift in range(1, 4):
        rows = [(row[shift:] + row[:shift])[::-1] for row in ROWS]
        assert (operator(images, rows, backend=backend).double() - forward).abs().max() <= step


@every_way
def test_splitting_a_batch(backend, operator, dtype):
    images = batch_of(dtype)
    whole = operator(images, ROWS, backend=backend)
    for first, last in ((0, 1), (1, 3), (2, 3)):
        assert torch.equal(operator(images[first:last], ROWS[first:last], backend=backend), whole[first:last])
    for image, rows, expected in zip(images, ROWS, whole, strict=True):
        result = operator(image, rows, backend=backend)
        assert result.shape == image.shape
        assert torch.equal(result, expected)


@every_way
def test_layouts(backend, operator, dtype):
    images = batch_of(dtype)
    expected = operator(images, ROWS, backend=backend)
    last = hwc(images)
    result = operator(last, ROWS, backend=backend)
    assert torch.equal(result, expected)
    assert result.stride() == last.stride()
    for image, rows, one in zip(last, ROWS, expected, strict=True):
        single = operator(image, rows, backend=backend)
        assert torch.equal(single, one)
        assert single.stride() == image.stride()
    wide = torch.zeros(3, 5, 50, 100, dtype=dtype)
    views = {
        "a window": wide[:, 1:4, 7:44, 20:65],
        "every second column": wide[:, 1:4, 7:44, 3:93:2],
        "transposed": wide[:, 1:4, :45, :37].transpose(2, 3),
    }
    for name, view in views.items():
        view.copy_(images)
        assert torch.equal(operator(view, ROWS, backend=backend), expected), name


@every_way
@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "window", "every second column"])
def test_in_place_and_out(backend, operator, dtype, layout):
    def laid_out(values):
        if layout == "channels_last":
            return hwc(values)
        if layout == "contiguous":
            return values.clone()
        wide = torch.full((3, 4, 40, 100), 77, dtype=values.dtype)
        view = wide[:, 1:, 2:39, 9:54] if layout == "window" else wide[:, :3, :37, :90:2]
        return view.copy_(values)

    images = batch_of(dtype)
    expected = operator(images, ROWS, backend=backend)
    out = laid_out(torch.zeros_like(images))
    source = laid_out(images)
    assert operator(source, ROWS, out=out, backend=backend) is out
    assert torch.equal(out, expected)
    assert torch.equal(source, images)
    assert operator(source, ROWS, out=source, backend=backend) is source
    assert torch.equal(source, expected)
    if source._base is not None and layout in ("window", "every second column"):
        touched = torch.full_like(source._base, 77)
        (touched[:, 1:, 2:39, 9:54] if layout == "window" else touched[:, :3, :37, :90:2]).copy_(expected)
        assert torch.equal(source._base, touched), "something beside the view was written"


@every_way
def test_out_of_another_layout(backend, operator, dtype):
    images = batch_of(dtype)
    expected = operator(images, ROWS, backend=backend)
    for source, out in ((hwc(images), torch.empty_like(images)), (images, hwc(torch.zeros_like(images)))):
        strides = out.stride()
        assert operator(source, ROWS, out=out, backend=backend) is out
        assert torch.equal(out, expected)
        assert out.stride() == strides


@every_way
def test_ragged_lists(backend, operator, dtype):
    images = [noise(37, 45, 3, dtype), hwc(noise(20, 61, 3, dtype, seed=1)[None])[0], noise(9, 7, 1, dtype)]
    rows = [ROWS[0], ROWS[2], [[1, 2, 5.5, 7]]]
    results = operator(images, rows, backend=backend)
    assert isinstance(results, list)
    for image, row, result in zip(images, rows, results, strict=True):
        assert torch.equal(result, operator(image, row, backend=backend))
        assert result.stride() == image.stride()
    assert not any(torch.equal(a, b) for a, b in zip(images, results, strict=True))
    out = [torch.empty_like(image) for image in images]
    assert operator(images, rows, out=out, backend=backend) is out
    assert all(torch.equal(a, b) for a, b in zip(out, results, strict=True))
    assert operator(images, rows, out=images, backend=backend) is images
    assert all(torch.equal(a, b) for a, b in zip(images, results, strict=True))


@every_way
def test_an_image_in_a_list_of_equal_sizes_is_that_in_a_batch(backend, operator, dtype):
    images = batch_of(dtype)
    expected = operator(images, ROWS, backend=backend)
    assert torch.equal(torch.stack(operator(list(images), ROWS, backend=backend)), expected)
    assert torch.equal(torch.stack(operator(tuple(images), ROWS, backend=backend)), expected)


@over_backends
@pytest.mark.parametrize("name", [n for n in OPERATORS if n != "masked_blur2d"])
def test_rows_of_padding_are_never_looked_at(backend, name):
    images = batch_of(torch.uint8)
    expected = OPERATORS[name](images, ROWS, backend=backend)
    plain = fastblur.Regions.from_boxes(ROWS)
    for filler in (float("nan"), float("inf"), 5.0, 30.0):
        boxes = torch.full((3, 7, 4), filler)
        boxes[..., 2:] += 9
        boxes[:, :4][plain.valid] = plain.boxes[plain.valid]
        assert torch.equal(OPERATORS[name](images, fastblur.Regions(boxes, plain.counts), backend=backend), expected)


@over_backends
@pytest.mark.parametrize("name", [n for n in OPERATORS if n != "masked_blur2d"])
def test_regions_in_every_form(backend, name):
    images, operator = batch_of(torch.uint8), OPERATORS[name]
    expected = operator(images, ROWS, backend=backend)
    regions = fastblur.Regions.from_boxes(ROWS)
    forms = {
        "Regions": regions,
        "arrays": [np.array(rows, np.float64).reshape(-1, 4) for rows in ROWS],
        "tensors": [torch.tensor(rows).reshape(-1, 4) for rows in ROWS],
        "that require a gradient": fastblur.Regions(regions.boxes.clone().requires_grad_(), regions.counts),
        "of strange strides": fastblur.Regions(
            regions.boxes.permute(2, 0, 1).contiguous().permute(1, 2, 0), regions.counts.repeat_interleave(2)[::2]
        ),
    }
    for form, given in forms.items():
        assert torch.equal(operator(images, given, backend=backend), expected), form
    single = operator(images[0], regions[:1], backend=backend)
    for form in (ROWS[0], [ROWS[0]], np.array(ROWS[0]), torch.tensor(ROWS[0])):
        assert torch.equal(operator(images[0], form, backend=backend), single)


@over_backends
@over_operators
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_channels_do_not_mix(backend, operator, channels):
    images = batch_of(torch.uint8, channels)
    result = operator(images, ROWS, backend=backend)
    last = operator(hwc(images), ROWS, backend=backend)
    assert torch.equal(last, result)
    for c in range(channels):
        assert torch.equal(operator(images[:, c : c + 1], ROWS, backend=backend), result[:, c : c + 1])


@over_backends
@over_operators
def test_nothing_in_nothing_out(backend, operator):
    empty = torch.zeros(0, 3, 20, 30, dtype=torch.uint8)
    assert operator(empty, [], backend=backend).shape == (0, 3, 20, 30)
    assert operator([], [], backend=backend) == []
    images = batch_of(torch.uint8)
    for rows in ([[], [], []], [[[5, 5, 5, 5]], [], [[100, 100, 120, 120]]]):
        assert torch.equal(operator(images, rows, backend=backend), images)
        assert operator(images, rows, out=images, backend=backend) is images


@over_backends
@over_operators
@pytest.mark.parametrize("size", [(1, 1), (1, 13), (13, 1)])
def test_images_of_one_row_or_column(backend, operator, size):
    images = torch.stack([noise(*size, seed=i) for i in range(2)])
    rows = [[[0, 0, size[1], size[0]]], [[0.2, 0.2, 0.9, 0.9]]]
    results = operator(images, rows, backend=backend)
    assert torch.equal(operator(hwc(images), rows, backend=backend), results)
    assert operator(images, rows, out=images, backend=backend) is images
    assert torch.equal(images, results)


@pytest.mark.parametrize("dtype", DTYPES)
@over_operators
def test_the_fastest_kernel_is_taken(operator, dtype):
    images = batch_of(dtype)
    assert torch.equal(operator(images, ROWS), operator(images, ROWS, backend="cpu"))

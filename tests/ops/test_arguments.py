"""Arguments that do not fit: one sentence each, with the value and what was expected."""

import re
from functools import partial

import numpy as np
import pytest
import torch

import fastblur
from tests.kernels.cases import noise

IMAGES = torch.zeros(2, 3, 8, 9, dtype=torch.uint8)
ROWS = [[[1, 1, 5, 5]], []]
ONES = torch.tensor([1, 1])
NAN, INF = float("nan"), float("inf")

on_regions = pytest.mark.parametrize("operator", [fastblur.blur, fastblur.pixelate, fastblur.fill])
ones = partial(fastblur.masked_blur2d, mask=torch.ones(2, 1, 8, 9), sigma=1.0)
on_images = pytest.mark.parametrize(
    "operator",
    [*(partial(f, regions=ROWS) for f in (fastblur.blur, fastblur.pixelate, fastblur.fill)), ones],
    ids=["blur", "pixelate", "fill", "masked_blur2d"],
)


def raises(error, sentence):
    """Expect `error` whose message is one sentence that contains `sentence`."""
    return pytest.raises(error, match=r"^(?!.*\n).*" + re.escape(sentence))


@on_images
def test_images(operator):
    with raises(TypeError, "images are a ndarray, expected a tensor or a list of tensors"):
        operator(IMAGES.numpy())
    with raises(TypeError, "images are a str, expected a tensor or a list of tensors"):
        operator("x.jpg")
    for shape in ((8, 9), (1, 2, 3, 8, 9), ()):
        with raises(ValueError, f"images have shape {shape}, expected (B, C, H, W) or (C, H, W)"):
            operator(torch.zeros(shape))
    for dtype in (torch.int64, torch.int8, torch.bool, torch.complex64):
        with raises(ValueError, f"images have dtype {dtype}, expected uint8, float32, float16 or bfloat16"):
            operator(IMAGES.to(dtype))
    for shape in ((2, 0, 8, 9), (2, 3, 0, 9), (2, 3, 8, 0)):
        with raises(ValueError, f"images have shape {shape}, expected at least one channel, row and column"):
            operator(torch.zeros(shape))


@on_images
def test_lists_of_images(operator):
    with raises(TypeError, "image 1 is a ndarray, expected a tensor (C, H, W)"):
        operator([IMAGES[0], IMAGES[1].numpy()])
    with raises(ValueError, "image 1 has shape (8, 9), expected (C, H, W)"):
        operator([IMAGES[0], IMAGES[1, 0]])
    with raises(ValueError, "image 1 is torch.float32 on cpu, expected torch.uint8 on cpu as image 0"):
        operator([IMAGES[0], IMAGES[1].float()])
    with raises(ValueError, "image 1 is torch.uint8 on meta, expected torch.uint8 on cpu as image 0"):
        operator([IMAGES[0], IMAGES[1].to("meta")])


@on_images
def test_out(operator):
    with raises(ValueError, "out is (2, 3, 8, 8) torch.uint8 on cpu, expected (2, 3, 8, 9) torch.uint8 on cpu"):
        operator(IMAGES, out=torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    with raises(ValueError, "out is (2, 3, 8, 9) torch.float32 on cpu, expected (2, 3, 8, 9) torch.uint8 on cpu"):
        operator(IMAGES, out=torch.zeros(2, 3, 8, 9))
    with raises(ValueError, "out is (2, 3, 8, 9) torch.uint8 on meta, expected (2, 3, 8, 9) torch.uint8 on cpu"):
        operator(IMAGES, out=IMAGES.to("meta"))
    with raises(ValueError, "out is a list of 2 images, expected (2, 3, 8, 9) torch.uint8 on cpu"):
        operator(IMAGES, out=list(IMAGES))
    with raises(TypeError, "images are a ndarray"):
        operator(IMAGES, out=IMAGES.numpy())


def test_out_of_lists_and_gradients():
    with raises(ValueError, "out is a list of 1 images, expected a list of 2 images"):
        fastblur.blur(list(IMAGES), ROWS, out=[IMAGES[0]])
    with raises(ValueError, "out is (3, 8, 8) torch.uint8 on cpu, expected (3, 8, 9) torch.uint8 on cpu as the images"):
        fastblur.blur(list(IMAGES), ROWS, out=[IMAGES[0], torch.zeros(3, 8, 8, dtype=torch.uint8)])
    images = torch.zeros(2, 3, 8, 9, requires_grad=True)
    with raises(ValueError, "out= was given for images that require a gradient"):
        fastblur.blur(images, ROWS, out=torch.zeros(2, 3, 8, 9))
    with torch.no_grad():
        fastblur.blur(images, ROWS, out=torch.zeros(2, 3, 8, 9))


@on_images
def test_backend(operator):
    with raises(ValueError, "backend is 'numpy', expected 'cpu', 'cuda' or 'reference'"):
        operator(IMAGES, backend="numpy")
    with raises(ValueError, "backend is 'cuda'"):
        operator(IMAGES, backend="cuda")
    with raises(ValueError, "backend is 'cpu' for float64 images, expected backend='reference'"):
        operator(IMAGES.double(), backend="cpu")
    with raises(ValueError, "backend is 'cpu' for"):
        operator(IMAGES.float().requires_grad_(), backend="cpu")


@on_regions
def test_regions(operator):
    for count in (1, 3):
        with raises(ValueError, f"regions are for {count} images, expected 2 as the images"):
            operator(IMAGES, [[]] * count)
        with raises(ValueError, f"regions are for {count} images, expected 2 as the images"):
            operator(IMAGES, fastblur.Regions.from_boxes([[]] * count))
    with raises(ValueError, "regions are for 2 images, expected 1 as the images"):
        operator(IMAGES[0], fastblur.Regions.from_boxes([[], []]))
    with raises(ValueError, "regions are on meta, expected cpu as the images"):
        operator(IMAGES, fastblur.Regions.from_boxes(ROWS).to("meta"))
    with raises(TypeError, "regions are a NoneType, expected Regions or a list of (n, 4) boxes an image"):
        operator(IMAGES, None)
    with raises(ValueError, "boxes of image 0 have shape (1, 5), expected (n, 4)"):
        operator(IMAGES, [[[1, 2, 3, 4, 0.9]], []])
    with raises(ValueError, "boxes of image 1 are"):
        operator(IMAGES, [[], [["a", "b", "c", "d"]]])
    for reversed_corners in ([5, 1, 1, 5], [1, 5, 5, 1]):
        for given in (
            [[], [reversed_corners]],
            fastblur.Regions(torch.tensor([[[1.0] * 4], [reversed_corners]]), ONES),
        ):
            with raises(ValueError, "image 1 has a region"):
                operator(IMAGES, given)
    relative = [[], [[0.1, 0.2, 0.4, 0.9], [0, 0, 1, 1]]]
    with raises(ValueError, "as if in parts of the image, expected pixels; Regions.from_boxes(boxes, format='xyxyn'"):
        operator(IMAGES, relative)
    with raises(ValueError, "as if in parts of the image"):
        operator(IMAGES, fastblur.Regions(torch.tensor([[[0.1, 0.2, 0.4, 0.9]]] * 2), ONES))
    for past in ([[-0.01, 0.2, 0.3, 0.5]], [[0.5, 0.2, 1.02, 0.5]], [[0.1, 0.2, 0.3, 0.5], [0.9, 0.9, 1.01, 0.95]]):
        with raises(ValueError, "as if in parts of the image"):  # detectors' boxes reach out of the image
            operator(IMAGES, [[], past])


@on_regions
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("place", range(4))
def test_coordinates_that_are_not_finite(operator, place, bad):
    row = [1.0, 2.0, 3.0, 4.0]
    row[place] = bad
    sentence = f"image 1 has a region {row}, expected finite coordinates"
    with raises(ValueError, sentence):
        operator(IMAGES, [[[1, 1, 2, 2]], [[1, 1, 5, 5], row]])
    boxes = torch.tensor([[[1.0, 1, 2, 2], row], [[1.0, 1, 5, 5], row]])
    with raises(ValueError, sentence):
        operator(IMAGES, fastblur.Regions(boxes, torch.tensor([1, 2])))
    operator(IMAGES, fastblur.Regions(boxes, torch.tensor([1, 1])))


@on_regions
def test_counts_and_far_regions(operator):
    for counts in ([1, 3], [-1, 0]):
        with raises(ValueError, f"Regions counts are {counts}, expected 0 to 2 as the boxes"):
            operator(IMAGES, fastblur.Regions(torch.zeros(2, 2, 4), torch.tensor(counts)))
    with raises(ValueError, "[0.0, 0.0, 10.0, 16777218.0], expected finite coordinates up to 16777216 px"):
        operator(IMAGES, [[[0, 0, 10, 2**24 + 2]], []])


@pytest.mark.parametrize("name", ["strength", "margin", "feather"])
@pytest.mark.parametrize("value", [-0.1, NAN, INF, "0.1", True])
def test_parameters_of_blur(name, value):
    with raises(ValueError, f"{name} is {value!r}, expected a number from 0 to 100"):
        fastblur.blur(IMAGES, ROWS, **{name: value})


def test_recipes_of_blur():
    with raises(ValueError, "recipe is 'none', expected 'default' or 'ilsvrc'"):
        fastblur.blur(IMAGES, ROWS, "none")
    with raises(TypeError, "recipe is a dict, expected a name or a Recipe"):
        fastblur.blur(IMAGES, ROWS, {"strength": 0.1})
    with raises(ValueError, "shape is 'round', expected 'box' or 'ellipse'"):
        fastblur.blur(IMAGES, ROWS, shape="round")
    with raises(ValueError, "scope is 'batch', expected 'region' or 'image'"):
        fastblur.blur(IMAGES, ROWS, scope="batch")


def test_parameters_of_pixelate_and_fill():
    for blocks in (0, -3, 2.5, True, "8"):
        with raises(ValueError, f"blocks is {blocks!r}, expected an int from 1 to 65536"):
            fastblur.pixelate(IMAGES, ROWS, blocks=blocks)
    for operator in (fastblur.pixelate, fastblur.fill):
        for margin in (-0.1, NAN, INF, "x"):
            with raises(ValueError, f"margin is {margin!r}, expected a number from 0 to 100"):
                operator(IMAGES, ROWS, margin=margin)
        with raises(ValueError, "shape is 'round', expected 'box' or 'ellipse'"):
            operator(IMAGES, ROWS, shape="round")
    with raises(ValueError, "feather is -1, expected a number from 0 to 100"):
        fastblur.fill(IMAGES, ROWS, feather=-1)


def test_colors():
    for color in ("red", None, [[1], [2, 3]]):
        with raises(ValueError, f"color is {color!r}, expected a number or one for each channel"):
            fastblur.fill(IMAGES, ROWS, color=color)
    with raises(ValueError, "color has 2 values, expected 1 or 3 as the images have channels"):
        fastblur.fill(IMAGES, ROWS, color=[1, 2])
    for color in (-1, 256, [0, 0, 300], NAN):
        with raises(ValueError, f"color is {color!r}, expected values in 0..255 for torch.uint8 images"):
            fastblur.fill(IMAGES, ROWS, color=color)
    with raises(ValueError, "color is 255, expected values in 0..1 for torch.float32 images"):
        fastblur.fill(IMAGES.float(), ROWS, color=255)
    with raises(ValueError, "color has 3 values"):
        fastblur.fill([IMAGES[0], IMAGES[1, :1]], ROWS, color=[1, 2, 3])


def test_masks():
    def blurred(mask, images=IMAGES):
        return fastblur.masked_blur2d(images, mask, 1.0)

    for shape in ((2, 3, 8, 9), (2, 1, 9, 8), (2, 1, 8, 8), (2, 8, 9), (2, 1, 1, 1)):
        with raises(ValueError, f"mask of image 0 has shape {shape[1:]}, expected (1, 8, 9)"):
            blurred(torch.ones(shape))
    with raises(ValueError, "mask is for 1 images, expected 2 as the images"):
        blurred(torch.ones(1, 1, 8, 9))
    for dtype in (torch.uint8, torch.int64):
        with raises(ValueError, f"mask has dtype {dtype}, expected bool or floating"):
            blurred(torch.ones(2, 1, 8, 9, dtype=dtype))
    with raises(TypeError, "mask is a ndarray, expected a Tensor as the images"):
        blurred(np.ones((2, 1, 8, 9)))
    with raises(TypeError, "mask is a list, expected a Tensor as the images"):
        blurred([torch.ones(1, 8, 9)] * 2)
    with raises(ValueError, "mask is on meta, expected cpu as the images"):
        blurred(torch.ones(2, 1, 8, 9, device="meta"))
    with raises(ValueError, "mask of image 1 has dtype torch.bool, expected torch.float32 as the mask of image 0"):
        blurred([torch.ones(1, 8, 9), torch.ones(1, 8, 9, dtype=torch.bool)], list(IMAGES))
    with raises(ValueError, "mask of image 1 has shape (1, 8, 9), expected (1, 4, 4)"):
        blurred([torch.ones(1, 8, 9)] * 2, [IMAGES[0], IMAGES[1, :, :4, :4]])


def test_sigmas_and_borders():
    mask = torch.ones(2, 1, 8, 9)
    for sigma in (0, -1.0, NAN, INF, [1.0, 0.0]):
        with raises(ValueError, f"sigma is {sigma!r}, expected finite numbers > 0"):
            fastblur.masked_blur2d(IMAGES, mask, sigma)
    for sigma in ([1.0, 2.0, 3.0], [[1.0, 2.0]] * 3, [[1.0, 2.0, 3.0]] * 2):
        with raises(
            ValueError, f"sigma has shape {np.shape(sigma)}, expected one number, a tuple (y, x), (2,) or (2, 2)"
        ):
            fastblur.masked_blur2d(IMAGES, mask, sigma)
    for sigma in ((1.0,), (1.0, 2.0, 3.0)):
        with raises(ValueError, f"sigma is {sigma!r}, expected (y, x), or a list of 2 numbers, one for each image"):
            fastblur.masked_blur2d(IMAGES, mask, sigma)
    with raises(ValueError, "sigma is 'wide', expected a number, (y, x), (B,) or (B, 2) numbers"):
        fastblur.masked_blur2d(IMAGES, mask, "wide")
    with raises(ValueError, "border_type is 'mirror', expected 'replicate', 'reflect', 'constant' or 'circular'"):
        fastblur.masked_blur2d(IMAGES, mask, 1.0, border_type="mirror")
    with raises(ValueError, "border_type is 'reflect' for an image one pixel high or wide"):
        fastblur.masked_blur2d(IMAGES[:, :, :1], mask[:, :, :1], 1.0, border_type="reflect")


def test_a_refused_call_writes_nothing():
    images = noise(8, 9)[None]
    before = images.clone()
    for call in (
        lambda: fastblur.blur(images, [[[1, 1, 5, 5], [1, 1, NAN, 5]]], out=images),
        lambda: fastblur.fill(images, [[[1, 1, 5, 5]]], color=300, out=images),
        lambda: fastblur.masked_blur2d(images, torch.ones(1, 1, 8, 9), -1.0, out=images),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()
    assert torch.equal(images, before)


def test_out_in_memory_that_is_not_its_own_is_refused() -> None:
    memory = torch.zeros(2, 3, 41, 50)
    regions = [[[5, 5, 30, 30]], []]
    with pytest.raises(ValueError, match="out overlaps the images"):
        fastblur.blur(memory[:, :, :40], regions, out=memory[:, :, 1:])
    with pytest.raises(ValueError, match="out overlaps the images"):
        fastblur.blur([memory[0, :, :40], memory[1, :, :40]], regions, out=[memory[0, :, 1:], memory[1, :, 1:]])
    with pytest.raises(ValueError, match="share memory"):
        fastblur.blur(memory, regions, out=torch.zeros(1, 3, 41, 50).expand(2, -1, -1, -1))
    shared = memory[:1].expand(2, -1, -1, -1)
    with pytest.raises(ValueError, match="share memory"):
        fastblur.blur(shared, regions, out=shared)
    view = memory[:, :, :40]
    assert (
        fastblur.blur(view, regions, out=memory[:, :, :40]).data_ptr() == view.data_ptr()
    )  # in place, by another view


def test_views_that_negate_are_read_as_what_they_show() -> None:
    image = torch.rand(3, 20, 20)
    view = torch._neg_view(image)
    torch.testing.assert_close(fastblur.blur(view, [[2, 2, 9, 9]]), fastblur.blur(-image, [[2, 2, 9, 9]]))
    with pytest.raises(ValueError, match="negates"):
        fastblur.blur(view, [[2, 2, 9, 9]], out=view)


def test_sparse_images_are_refused() -> None:
    with pytest.raises(ValueError, match="expected dense"):
        fastblur.blur(torch.zeros(3, 4, 4).to_sparse(), [[]])


def test_out_in_another_order_or_twice_is_refused():
    images = [torch.zeros(3, 8, 8, dtype=torch.uint8) for _ in range(2)]
    rows = [[[1, 1, 5, 5]]] * 2
    with raises(ValueError, "out 0 is image 1, expected image 0 or memory of its own"):
        fastblur.blur(images, rows, out=images[::-1])
    with raises(ValueError, "out has the same memory for several images"):
        fastblur.blur(images, rows, out=[images[0]] * 2)
    with raises(ValueError, "out has the same memory for several images"):
        fastblur.blur([images[0]] * 2, rows, out=[images[0]] * 2)


def test_autograd_knows_of_a_write():
    image = torch.rand(1, 3, 16, 16)
    weight = torch.ones_like(image, requires_grad=True)
    total = (image * weight).sum()
    with torch.no_grad():
        fastblur.blur(image, [[[2, 2, 9, 9]]], out=image)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


@pytest.mark.parametrize("channels_last", [False, True])
def test_tiles_of_one_image_may_be_written_but_not_where_they_overlap(channels_last):
    large = torch.zeros(40, 60, 3, dtype=torch.uint8).permute(2, 0, 1)
    large = large if channels_last else large.contiguous()
    rows = [[[1, 1, 9, 9]]] * 4
    corners = [(0, 0), (0, 20), (20, 0), (20, 20)]
    apart = [large[:, y : y + 20, x : x + 20] for y, x in corners]
    fastblur.blur(apart, rows, out=apart)
    for size in (21, 30):
        tiles = [large[:, y : y + size, x : x + size] for y, x in corners]
        with raises(ValueError, "out has the same memory for several images"):
            fastblur.blur(tiles, rows, out=tiles)
    windows = large.unfold(1, 30, 10).unfold(2, 30, 10).permute(1, 2, 0, 3, 4)[0]
    with raises(ValueError, "whose elements share memory"):
        fastblur.blur(windows, [[]] * len(windows), out=windows)


def test_images_of_different_shapes_whose_elements_interleave():
    """Two views of one memory meet only where an element is in both, whatever their strides."""
    memory = torch.zeros(3, 40, 60, dtype=torch.uint8)
    columns = [memory[:, :, ::2], memory[:, :30, 1::2]]
    fastblur.blur(columns, [[[1, 1, 9, 9]]] * 2, out=columns)
    turned = [memory[:, :20, :20], memory[:, 20:, :20].transpose(1, 2)]
    fastblur.blur(turned, [[[1, 1, 9, 9]]] * 2, out=turned)
    for other in (memory[:, 19:39, :20].transpose(1, 2), memory[:, ::3, ::3]):
        with raises(ValueError, "out has the same memory for several images"):
            fastblur.blur([memory[:, :20, :20], other], [[[1, 1, 9, 9]]] * 2, out=[memory[:, :20, :20], other])


@pytest.mark.parametrize("shape", [(40, 50, 3), (2, 40, 50, 3), (40, 50, 1), (8, 9, 4), (40, 50, 5)])
def test_channels_that_come_last_are_refused(shape):
    images = torch.zeros(shape, dtype=torch.uint8)
    rows = [[[5, 5, 20, 30]]] * (2 if images.ndim == 4 else 1)
    for operator in (fastblur.blur, fastblur.pixelate, fastblur.fill):
        for given in (images, *([[images]] if images.ndim == 3 else [])):
            with raises(ValueError, "as if (H, W, C), expected (C, H, W)"):
                operator(given, rows)
    with raises(ValueError, "as if (H, W, C), expected (C, H, W)"):
        fastblur.masked_blur2d(images, images, 2.0)
    narrow = torch.zeros(3, 40, 4, dtype=torch.uint8)
    assert fastblur.blur(narrow, [[[0, 5, 4, 30]]]).shape == narrow.shape

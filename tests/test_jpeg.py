"""hide_jpeg: bytes in, bytes out."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastblur
from fastblur.codecs import CodecError, decode
from tests.codecs.files import array, image, psnr, saved

BOX = [[20, 10, 45, 38]]


@pytest.mark.parametrize(("method", "options"), [
    ("blur", {}), ("blur", {"recipe": "ilsvrc", "shape": "ellipse"}), ("pixelate", {"blocks": 5}),
    ("fill", {"color": (200, 30, 90)}), ("fill", {"color": 77, "feather": 0.05}),
])  # fmt: skip
@pytest.mark.parametrize("progressive", [False, True])
def test_like_the_operator_on_the_pixels(method, options, progressive):
    """Whether block by block or by decoding and encoding: the operator's result, as well as JPEG keeps it."""
    data = saved(image(), "JPEG", quality=97, subsampling=0, progressive=progressive)
    out = fastblur.hide_jpeg(data, BOX, method, **options)
    import torch

    pixels = torch.from_numpy(array(data).copy()).permute(2, 0, 1)
    if method == "fill":
        color = torch.tensor(np.broadcast_to(options["color"], 3).copy(), dtype=torch.float32)
        options = options | {"color": color}
    expected = getattr(fastblur, method)(pixels, BOX, **options).permute(1, 2, 0).numpy()
    assert psnr(array(out), expected) > 34
    face = np.s_[12:36, 22:43]
    error = np.abs(array(out)[face].astype(float) - expected[face]).mean()
    assert error < np.abs(array(data)[face].astype(float) - expected[face]).mean() / 2


def test_other_files_are_decoded_and_encoded_or_refused():
    data = saved(image(), "JPEG", progressive=True)
    out = fastblur.hide_jpeg(data, BOX)
    assert b"\xff\xc2" in out
    with pytest.raises(CodecError, match="cannot be rewritten block by block: it has frame 0xC2"):
        fastblur.hide_jpeg(data, BOX, blocks_only=True)


def test_without_boxes_nothing_changes():
    data = saved(image(), "JPEG")
    assert fastblur.hide_jpeg(data, []) is data
    assert fastblur.hide_jpeg(data, np.zeros((0, 4))) is data


@pytest.mark.parametrize(("boxes", "message"), [
    ([[1, 2, 3]], "boxes have shape"), ([1, 2, 3, 4], "boxes have shape"), ([[5, 5, 2, 9]], "expected x0 <= x1"),
    ([[500, 500, 510, 510]], "outside the image"), ([[0.1, 0.1, 0.5, 0.5]], "parts of the image"),
    ([[0, 0, float("nan"), 5]], "finite"),
])  # fmt: skip
@pytest.mark.parametrize("progressive", [False, True])
def test_boxes_that_do_not_fit(boxes, message, progressive):
    with pytest.raises(ValueError, match=message):
        fastblur.hide_jpeg(saved(image(), "JPEG", progressive=progressive), boxes)


def test_arguments_that_do_not_fit():
    data = saved(image(), "JPEG")
    with pytest.raises(CodecError, match="JPEG"):
        fastblur.hide_jpeg(saved(image(), "PNG"), BOX)
    with pytest.raises(TypeError, match="bytes"):
        fastblur.hide_jpeg(bytearray(data), BOX)
    with pytest.raises(ValueError, match="method"):
        fastblur.hide_jpeg(data, BOX, "smear")
    with pytest.raises(ValueError, match="blocks"):
        fastblur.hide_jpeg(data, BOX, "blur", blocks=3)
    with pytest.raises(CodecError, match="max_pixels"):
        fastblur.hide_jpeg(data, BOX, max_pixels=100)


def test_threads_share_nothing():
    files = [saved(image(seed=seed), "JPEG", quality=80 + seed) for seed in range(8)]
    expected = [fastblur.hide_jpeg(data, BOX) for data in files]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert list(pool.map(lambda data: fastblur.hide_jpeg(data, BOX), files)) == expected
    assert decode(expected[0]).pixels.shape == (61, 83, 3)

"""What the suites of kornia, torchvision and img2dataset look at, asked of fastblur against those packages' results."""

import numpy as np
import pytest
import torch

import fastblur
from tests.kernels.backends import NOISE

kornia_filters = pytest.importorskip("kornia.filters")

BORDERS = ["replicate", "reflect", "constant", "circular"]
SIZE = (37, 46)


def images(batch=2, channels=3, dtype=torch.float32):
    return torch.rand(batch, channels, *SIZE, dtype=dtype, generator=torch.Generator().manual_seed(batch + channels))


def everywhere(batch):
    return torch.ones(len(batch), 1, *batch.shape[2:])


def peer(batch, sigma, border="replicate"):
    """Kornia's blur with taps that end where nothing is left, sigma (B, 2) as (y, x)."""
    sizes = [2 * int(np.ceil(6 * float(s))) + 1 for s in sigma.amax(0)]
    padded_reach = max(sizes) // 2
    if border in ("reflect", "circular") and padded_reach >= min(SIZE):
        raise AssertionError("kornia pads by less than the image's size")
    return kornia_filters.gaussian_blur2d(batch, tuple(sizes), sigma.to(batch), border)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("sigma", [(1.5, 1.5), (0.7, 3.2), (4.9, 2.0)])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_kornia_borders_and_a_sigma_for_each_axis(backend, sigma, border):
    batch = images()
    expected = peer(batch, torch.tensor([sigma] * 2), border)
    found = fastblur.masked_blur2d(batch, everywhere(batch), sigma, border_type=border, backend=backend)
    torch.testing.assert_close(found, expected, atol=NOISE / 255 if backend == "cpu" else 1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (3, 2), (4, 3)])
def test_kornia_batches_channels_and_forms_of_sigma(shape):
    batch = images(*shape)
    each = torch.linspace(1.0, 4.0, shape[0])
    both = torch.stack((each, each.flip(0)), 1)
    for sigma, as_pairs in (
        (2.5, torch.full((shape[0], 2), 2.5)),
        (each, each[:, None].expand(-1, 2)),
        (both, both),
        (torch.tensor([[1.2, 3.4]]), torch.tensor([[1.2, 3.4]] * shape[0])),
    ):
        found = fastblur.masked_blur2d(batch, everywhere(batch), sigma)
        assert found.shape == batch.shape
        torch.testing.assert_close(found, peer(batch, as_pairs), atol=NOISE / 255, rtol=0)
        torch.testing.assert_close(
            found, fastblur.MaskedGaussianBlur2d(sigma)(batch, everywhere(batch)), atol=0, rtol=0
        )


def test_kornia_a_transposed_batch_is_blurred_the_same():
    batch = images()
    turned = batch.transpose(2, 3)
    found = fastblur.masked_blur2d(turned, everywhere(turned), (3.0, 1.0))
    expected = fastblur.masked_blur2d(turned.contiguous(), everywhere(turned), (3.0, 1.0))
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("border", BORDERS)
def test_kornia_gradcheck(border):
    batch = torch.rand(1, 2, 9, 8, dtype=torch.float64, requires_grad=True)
    mask, sigma = torch.rand(1, 1, 9, 8), torch.tensor([[1.1, 0.8]], dtype=torch.float64)

    def blur(x):
        return fastblur.masked_blur2d(x, mask, sigma, border_type=border)

    assert torch.autograd.gradcheck(blur, (batch,), fast_mode=True)


def test_kornia_dynamo():
    batch = images()
    compiled = torch.compile(fastblur.MaskedGaussianBlur2d(2.0), fullgraph=True, backend="aot_eager")
    expected = fastblur.masked_blur2d(batch, everywhere(batch), 2.0)
    torch.testing.assert_close(compiled(batch, everywhere(batch)), expected, atol=0, rtol=0)
    torch._dynamo.reset()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("kernel", "sigma"), [((13, 13), (2.0, 2.0)), ((7, 25), (1.0, 4.0)), ((25, 5), (4.0, 0.8))])
def test_torchvision_gaussian_blur(torchvision_part, kernel, sigma, channels_last, dtype):
    """Torchvision takes sizes and sigmas as (x, y), ends its taps at the size, and pads by reflection."""
    functional = torchvision_part("transforms.v2.functional")
    batch = images(dtype=torch.float64)
    batch = (batch * 255).round().to(dtype) if dtype == torch.uint8 else batch.to(dtype)
    batch = batch.contiguous(memory_format=torch.channels_last) if channels_last else batch
    expected = functional.gaussian_blur(batch, list(kernel), list(sigma))
    found = fastblur.masked_blur2d(batch, everywhere(batch), sigma[::-1], border_type="reflect")
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last) == channels_last
    # Taps that end at three deviations lose 0.3 % of the weight.
    error = (found.double() - expected.double()).abs().max() / (255 if dtype == torch.uint8 else 1)
    assert error <= 2.5 / 255


def test_img2dataset_blurs_a_box_as_a_recipe_does():
    """Its blurrer: the mask and the image each filtered with a tenth of the longest side, as Albumentations does it."""
    cv2 = pytest.importorskip("cv2")
    data = pytest.importorskip("skimage.data")
    image = np.ascontiguousarray(data.astronaut())
    box = np.array([175.0, 60, 275, 190])
    longest = max(box[2] - box[0], box[3] - box[1])
    sigma = 0.1 * longest
    grown = box + np.array([-1, -1, 1, 1]) * 0.1 * longest
    mask = np.zeros(image.shape[:2])
    x0, y0, x1, y1 = grown.round().astype(int)
    mask[y0:y1, x0:x1] = 1
    size = 2 * int(np.ceil(4 * sigma)) + 1
    soft = cv2.GaussianBlur(mask, (size, size), sigma, borderType=cv2.BORDER_REPLICATE)[..., None]
    blurred = cv2.GaussianBlur(image.astype(np.float64), (size, size), sigma, borderType=cv2.BORDER_REPLICATE)
    expected = soft * blurred + (1 - soft) * image
    found = fastblur.blur(torch.from_numpy(image).permute(2, 0, 1), [box.tolist()], "ilsvrc").permute(1, 2, 0).double()
    error = np.abs(found.numpy() - expected)
    support = soft[..., 0] > 1e-3
    assert error[support].mean() <= 0.7
    assert error.max() <= 4

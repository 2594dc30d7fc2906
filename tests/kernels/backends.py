"""The kernels under test, and how close each must come to the formula. A new kernel is one more entry here."""

import os
from importlib.util import find_spec

import numpy as np
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
"""Whether Triton runs its programs on CPU tensors. It cuts bfloat16 off then, where a GPU rounds."""

BACKENDS = ["reference", "cpu", *(["cuda"] if INTERPRETED else [])]

NATIVE = torch.cuda.is_available() and find_spec("triton") is not None and not INTERPRETED
"""Whether a GPU runs Triton's programs."""

RUNNING = [*BACKENDS, *(["cuda"] if NATIVE else [])]
"""The kernels that run here at all; on a GPU "cuda" takes no CPU tensors, so that tests go through `called`."""

DTYPES = [torch.uint8, torch.float32, torch.float16, torch.bfloat16]

# Half a unit in the last place of numbers up to 1: what storing the result in the dtype costs.
STORAGE = {torch.float64: 0.0, torch.float32: 0.0, torch.float16: 2.0**-12, torch.bfloat16: 2.0**-9}

# The bound on photographs is promised (docs/architecture.md). White noise is harder, most of all in images a pixel
# wide; the worst of 1500 random cases was 3.9 levels.
PHOTOGRAPH, NOISE = 2.0, 5.0


def tolerance(backend, dtype, *, approximate=True, noise=False):
    """The largest error allowed, in the images' own scale.

    approximate: whether the operator filters, which the fast kernels do only nearly.
    """
    if dtype == torch.float64:
        return 1e-6
    storage = STORAGE[dtype] if dtype.is_floating_point else 0.0
    if backend == "cuda" and dtype == torch.bfloat16 and INTERPRETED:
        storage *= 2
    if backend == "reference" or not approximate:
        return 0.5 + 0.002 if dtype == torch.uint8 else 5e-6 + storage
    levels = NOISE if noise else PHOTOGRAPH
    return levels if dtype == torch.uint8 else levels / 255 + storage


def called(backend, operator, images, *arguments, **parameters):
    """Call an operator with a kernel, where it runs, and return what it makes of the images, on the CPU."""
    device = "cuda" if backend == "cuda" and NATIVE else "cpu"
    given = images.to(device) if isinstance(images, torch.Tensor) else [image.to(device) for image in images]
    result = operator(given, *arguments, backend=backend, **parameters)
    return result.cpu() if isinstance(result, torch.Tensor) else [one.cpu() for one in result]


def assert_agrees(result, image, low, high, support, limit):
    """Hold one (C, H, W) result against the formula's bounds; outside the support it must be the image, bit for bit.

    Raises AssertionError with the place and size of the worst difference. Returns the absolute errors, (C, H, W).
    """
    assert result.shape == image.shape
    assert result.dtype == image.dtype
    outside = torch.from_numpy(~support).expand(image.shape)
    assert torch.equal(result[outside], image[outside]), "pixels outside the support were changed"
    values = result.detach().double().numpy()
    if result.dtype == torch.uint8:
        low, high = np.clip(low, 0, 255), np.clip(high, 0, 255)
    error = np.maximum(np.maximum(low - values, values - high), 0)
    worst = np.unravel_index(np.argmax(error), error.shape)
    assert np.isfinite(values).all()
    assert error[worst] <= limit, (
        f"error {error[worst]:.5f} at (c, y, x) = {tuple(map(int, worst))}: {values[worst]:.5f}, "
        f"formula {low[worst]:.5f}..{high[worst]:.5f}; limit {limit:.5f}"
    )
    return error

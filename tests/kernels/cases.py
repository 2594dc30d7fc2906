"""Hypothesis strategies for images, regions and parameters; the examples are the same in every run."""

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

STABLE = settings(
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SIZES = st.tuples(st.integers(1, 48), st.integers(1, 48))
"""Height and width."""


@st.composite
def boxes(draw, height, width, most=4):
    """Up to `most` regions: inside, over every border, outside, sub-pixel, without area, nested, the whole image."""
    return draw(st.lists(box(height, width), max_size=most).filter(in_pixels))


def in_pixels(found):
    """Whether not all boxes with an area lie about within 0..1, which the operators refuse as relative ones."""
    with_area = [one for one in found if one[2] > one[0] and one[3] > one[1]]
    return not with_area or any(min(one) < -0.5 or max(one) > 1.5 for one in with_area)


@st.composite
def box(draw, height, width):
    kind = draw(st.sampled_from(["any", "any", "any", "tiny", "empty", "whole"]))
    if kind == "whole":
        return [0.0, 0.0, float(width), float(height)]
    x0, y0 = draw(sixteenths(-width, 2 * width)), draw(sixteenths(-height, 2 * height))
    if kind == "tiny":
        return [x0, y0, x0 + draw(sixteenths(0.0625, 1.5)), y0 + draw(sixteenths(0.0625, 1.5))]
    if kind == "empty":
        return [x0, y0, x0, y0 + draw(sixteenths(0, 3))]
    return [x0, y0, x0 + draw(sixteenths(1, 1.5 * width + 1)), y0 + draw(sixteenths(1, 1.5 * height + 1))]


def sixteenths(low, high):
    return st.integers(round(low * 16), round(high * 16)).map(lambda n: n / 16)


RECIPES = st.fixed_dictionaries(
    {
        "strength": st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.3]),
        "margin": st.sampled_from([0.0, 0.1, 0.15, 0.5]),
        "feather": st.sampled_from([0.0, 0.0, 0.05, 0.1, 0.3]),
        "shape": st.sampled_from(["box", "ellipse"]),
        "scope": st.sampled_from(["region", "image"]),
    }
)


def noise(height, width, channels=3, dtype=torch.uint8, seed=0):
    """White noise over the whole range, (C, H, W)."""
    return as_dtype(np.random.default_rng(seed).random((channels, height, width)), dtype)


def piece(photograph, height, width, channels=3, dtype=torch.uint8, seed=0):
    """A piece of a photograph, (C, H, W), as it is or two to four times smaller, from where `seed` says."""
    rng = np.random.default_rng(seed)
    step = int(rng.integers(1, 5))
    y = int(rng.integers(0, photograph.shape[1] - step * height + 1))
    x = int(rng.integers(0, photograph.shape[2] - step * width + 1))
    part = photograph[:, y : y + step * height, x : x + step * width].double() / 255
    small = part.reshape(3, height, step, width, step).mean((2, 4)).numpy()
    return as_dtype(small[np.arange(channels) % 3], dtype)


def as_dtype(values, dtype):
    """Values in 0..1 as an image tensor of `dtype`."""
    if dtype == torch.uint8:
        return torch.from_numpy(np.round(np.asarray(values) * 255).astype(np.uint8))
    return torch.from_numpy(np.asarray(values, np.float64)).to(dtype)

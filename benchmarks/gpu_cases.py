"""What benchmarks.gpu works on: images and faces drawn from ImageNet's statistics, and the bytes that have to move."""

from math import ceil, floor

import numpy as np
import torch

import fastblur

# Measured on 250 ImageNet images (80 with faces, 125 boxes checked by hand); the share of images that show a face is
# that of a sample of 1000. Quantiles of the boxes' longer side in pixels, and how many faces the 80 images have.
SHARE = 1 / 6
SIDES = {0.0: 11, 0.05: 15, 0.1: 16, 0.25: 25, 0.5: 44, 0.75: 77, 0.9: 134, 0.95: 162, 1.0: 232}
FACES = {1: 56, 2: 15, 3: 5, 4: 1, 5: 1, 6: 1, 9: 1}
ASPECT = 0.8  # median of the shorter over the longer side
SIZE = 375, 500  # height and width, the most frequent ones by far
SIZES = [(375, 500)] * 6 + [(500, 375)] * 2 + [(333, 500)] * 2  # of ragged batches


def faces(rng: np.random.Generator, height: int, width: int, count: int, side: float | None = None) -> np.ndarray:
    """Draw `count` boxes inside an image, of the profile's sizes or with a longer side of `side`; (count, 4)."""
    drawn = np.interp(rng.random(count), list(SIDES), list(SIDES.values())) if side is None else np.full(count, side)
    longer = np.minimum(drawn, 0.9 * min(height, width))
    x, y = rng.random(count) * (width - ASPECT * longer), rng.random(count) * (height - longer)
    return np.stack((x, y, x + ASPECT * longer, y + longer), 1)


def profile(rng: np.random.Generator, sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    """Draw the faces of a batch with images of these sizes, most of them without any."""
    counts, often = list(FACES), np.array(list(FACES.values()))
    return [
        faces(rng, *size, int(rng.choice(counts, p=often / often.sum())) if rng.random() < SHARE else 0)
        for size in sizes
    ]


def support(box: np.ndarray, height: int, width: int, recipe: fastblur.Recipe) -> tuple[int, int, int, int]:
    """Return the support's x0, y0, x1, y1 of one box in pixels, for scope "region"."""
    x0, y0, x1, y1 = box
    d = max(x1 - x0, y1 - y0)
    grow = recipe.margin * d + 3 * recipe.feather * d
    left, top = max(0, ceil(x0 - grow - 0.5)), max(0, ceil(y0 - grow - 0.5))
    return left, top, min(width, floor(x1 + grow + 0.5)), min(height, floor(y1 + grow + 0.5))


def support_pixels(rows: list[np.ndarray], sizes: list[tuple[int, int]], recipe: fastblur.Recipe) -> int:
    """Return how many pixels lie in some support, each counted once: what must be read and written in place."""
    total = 0
    for boxes, (height, width) in zip(rows, sizes, strict=True):
        if len(boxes):
            covered = np.zeros((height, width), bool)
            for box in boxes:
                x0, y0, x1, y1 = support(box, height, width, recipe)
                covered[y0:y1, x0:x1] = True
            total += int(covered.sum())
    return total


def random_images(batch: int, height: int, width: int, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Return images of noise, smooth enough to compress nowhere: (B, 3, H, W)."""
    generator = torch.Generator(device).manual_seed(0)
    if dtype == torch.uint8:
        return torch.randint(0, 256, (batch, 3, height, width), dtype=dtype, device=device, generator=generator)
    return torch.rand(batch, 3, height, width, device=device, generator=generator).to(dtype)

"""collate: Regions and images of a data loader's samples."""

from collections import namedtuple

import pytest
import torch
from torch.utils.data import DataLoader

import fastblur
from fastblur import Regions

BOXES = [[[5.0, 5, 20, 30]], [], [[1.0, 2, 9, 9], [3, 4, 10, 12]]]


def image(seed: int, height: int = 40, width: int = 50) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


SAMPLES = [(image(i), Regions.from_boxes([rows]), i) for i, rows in enumerate(BOXES)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_what_the_operators_take(workers) -> None:
    loader = DataLoader(SAMPLES, batch_size=3, collate_fn=fastblur.collate, num_workers=workers)
    images, regions, labels = next(iter(loader))
    assert torch.equal(images, torch.stack([sample[0] for sample in SAMPLES]))
    assert (regions.tolist(), labels.tolist()) == (BOXES, [0, 1, 2])
    assert torch.equal(fastblur.blur(images, regions)[2], fastblur.blur(image(2), BOXES[2]))


def test_images_of_different_sizes_are_a_list() -> None:
    samples = [{"image": image(i, 40 + i), "regions": Regions.from_boxes([BOXES[i]]), "name": f"{i}"} for i in range(3)]
    batch = fastblur.collate(samples)
    assert [one.shape[1] for one in batch["image"]] == [40, 41, 42]
    assert (batch["regions"].tolist(), batch["name"]) == (BOXES, ["0", "1", "2"])
    hidden = fastblur.blur(batch["image"], batch["regions"])
    assert torch.equal(hidden[0], fastblur.blur(image(0), BOXES[0]))


def test_named_tuples_scores_and_errors() -> None:
    sample = namedtuple("Sample", "regions label")
    batch = fastblur.collate([sample(Regions.from_boxes([[[0, 0, 9, 9]]], [[0.5]]), 1)] * 2)
    assert type(batch).__name__ == "Sample"
    assert batch.regions.scores.tolist() == [[0.5], [0.5]]
    with pytest.raises(ValueError, match="there are no samples"):
        fastblur.collate([])
    with pytest.raises(TypeError, match="a sample has a int, expected a Regions as the first"):
        fastblur.collate([Regions.from_boxes([[]]), 3])

"""The compiled check of regions takes what `Regions.check` takes, and nothing is written where one is refused."""

import numpy as np
import pytest
import torch

import fastblur
from fastblur.boxes import MAX_COORDINATE
from fastblur.kernels.cpu.images import IMAGE
from fastblur.kernels.cpu.plan import are_boxes

VALUES = (0.0, 0.4, 1.0, 1.5, 3.0, 40.0, -2.0, MAX_COORDINATE, MAX_COORDINATE + 2, -MAX_COORDINATE - 2, np.nan, np.inf)
ODDS = np.array([6, 6, 6, 4, 6, 6, 2, 1, 0.3, 0.3, 0.3, 0.3])


def is_taken(regions, sides):
    try:
        regions.check(sides)
    except ValueError:
        return False
    return True


def test_it_takes_what_the_check_takes():
    random, seen = np.random.default_rng(7), []
    for _ in range(4000):
        boxes = random.choice(VALUES, (2, 2, 4), p=ODDS / ODDS.sum()).astype(np.float32)
        if random.random() < 0.8:
            boxes.sort(-1)
            boxes = boxes[..., random.permutation(4)] if random.random() < 0.2 else boxes
        counts = random.choice([0, 1, 2, -1, 3], 2, p=[0.3, 0.3, 0.3, 0.05, 0.05])
        table = np.zeros(2, IMAGE)
        table["height"], table["width"] = random.choice([7, 8, 100], 2), random.choice([7, 8, 100], 2)
        regions = fastblur.Regions(torch.from_numpy(boxes), torch.from_numpy(counts))
        taken = is_taken(regions, np.minimum(table["height"], table["width"]))
        assert bool(are_boxes(table, boxes, counts)) == taken, (boxes, counts, table)
        seen.append(taken)
    assert 500 < sum(seen) < 3500


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("bad", [[9.0, 9, 5, 5], [0.0, 0, float("nan"), 9], [0.1, 0.1, 0.6, 0.7]])
def test_nothing_is_written_where_one_is_refused(backend, bad):
    images = [torch.full((3, 40, 50), 7, dtype=torch.uint8).random_(0, 255) for _ in range(3)]
    before = [image.clone() for image in images]
    regions = fastblur.Regions(torch.tensor([[[5.0, 5, 30, 30]], [[0.0, 0, 0, 0]], [bad]]), torch.tensor([1, 0, 1]))
    with pytest.raises(ValueError, match="image 2 has a region"):
        fastblur.fill(images, regions, out=images, backend=backend)
    assert all(torch.equal(a, b) for a, b in zip(images, before, strict=True))


def test_a_graph_that_ends_at_the_reference_checks_too():
    images = torch.rand(1, 3, 40, 50, dtype=torch.float64)
    with pytest.raises(ValueError, match="expected pixels"):
        torch.compile(fastblur.blur, backend="eager")(
            images, fastblur.Regions(torch.full((1, 1, 4), 0.5) + torch.tensor([0, 0, 0.4, 0.4]), torch.tensor([1]))
        )

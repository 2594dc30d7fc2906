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


@pytest.mark.parametrize("counts", [(1, 1), (1, 2), (0, 1)])
@pytest.mark.parametrize("nested", [False, True])
def test_bounding_boxes_are_regions_by_their_own_format(torchvision_part, counts, nested) -> None:
    """Stacked they would be plain numbers, and their widths taken for corners."""
    tv_tensors = torchvision_part("tv_tensors")
    samples = []
    for count in counts:
        rows = torch.tensor([[5.0, 6, 20, 30]] * count).reshape(-1, 4)
        boxes = tv_tensors.BoundingBoxes(rows, format="XYWH", canvas_size=(40, 50))
        samples.append([image(0), {"boxes": boxes}] if nested else (image(0), boxes))
    images, given = fastblur.collate(samples)
    regions = given["boxes"] if nested else given
    assert regions.tolist() == [[[5, 6, 25, 36]] * count for count in counts]
    assert torch.equal(fastblur.blur(images, regions)[1], fastblur.blur(image(0), [[5, 6, 25, 36]] * counts[1]))


def test_bounding_boxes_of_another_size_or_kind(torchvision_part) -> None:
    tv_tensors = torchvision_part("tv_tensors")
    boxes = tv_tensors.BoundingBoxes([[5.0, 6, 20, 30]], format="XYWH", canvas_size=(80, 100))
    with pytest.raises(ValueError, match="are of an image of 100 x 80 pixels, expected 50 x 40 as the image"):
        fastblur.collate([(image(0), {"boxes": boxes})])
    turned = tv_tensors.BoundingBoxes([[5.0, 6, 20, 30, 45]], format="XYWHR", canvas_size=(40, 50))
    with pytest.raises(ValueError, match="in the format 'xywhr'"):
        fastblur.collate([(image(0), turned)])
    with pytest.raises(TypeError, match="a sample has a Tensor, expected a BoundingBoxes as the first"):
        fastblur.collate([boxes, torch.zeros(1, 4)])


def test_lists_of_rows_stay_those_of_each_sample() -> None:
    """As `default_collate` joins lists, four images with four faces each would get the boxes of one another."""
    rows = [[[i + j, 2.0, i + 20, 30] for j in range(4)] for i in range(4)]
    images, boxes = fastblur.collate([(image(i), rows[i]) for i in range(4)])
    assert boxes == rows
    assert torch.equal(fastblur.blur(images, boxes)[3], fastblur.blur(image(3), rows[3]))
    assert fastblur.collate([(image(0), []), (image(1), rows[0])])[1] == [[], rows[0]]
    numbers = fastblur.collate([[1, 2], [3, 4]])  # as default_collate
    assert [one.tolist() for one in numbers] == [[1, 3], [2, 4]]


def test_samples_of_another_structure() -> None:
    with pytest.raises(ValueError, match="a sample has 3 entries, expected 2 as the first"):
        fastblur.collate([(1, 2), (1, 2, 3)])
    with pytest.raises(ValueError, match=r"a sample has the keys \['a'\], expected 'b' too as in the first"):
        fastblur.collate([{"a": 1, "b": 2}, {"a": 1}])

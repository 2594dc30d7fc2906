"""Near misses: kept by the journal and by detect, without changing what is hidden."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fastblur.detectors import load_detector
from fastblur.detectors.networks.spec import Candidates
from fastblur.detectors.postprocess import MAX_NEAR_MISSES, to_regions, to_regions_and_near_misses
from fastblur.pipeline import detect, run
from fastblur.pipeline.images.near_misses import MOST, from_journal, near_misses, to_journal

THRESHOLD = 0.92  # between the scores of the two photographs of the demo


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    cbook = pytest.importorskip("matplotlib.cbook", reason="matplotlib is not installed")
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    folder = tmp_path_factory.mktemp("photographs")
    Image.fromarray(data.astronaut()).save(folder / "found.png")
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        (folder / "near.jpg").write_bytes(file.read())
    return folder


def lines(out: Path) -> dict[str, dict[str, object]]:
    (entry,) = (out / ".fastblur" / "journal").iterdir()
    return {line["path"]: line for line in map(json.loads, entry.read_text().splitlines()[1:])}


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_the_journal_keeps_what_is_just_under_the_threshold(photographs: Path, tmp_path: Path, engine: str) -> None:
    run(photographs, tmp_path / "out", threshold=THRESHOLD, engine=engine, workers=1)
    found = lines(tmp_path / "out")
    assert (found["found.png"]["fate"], found["near.jpg"]["fate"]) == ("hidden", "copied")
    assert "near" not in found["found.png"]
    near = found["near.jpg"]["near"]
    assert len(near) == 5
    assert THRESHOLD / 2 <= near[4] / 100 < THRESHOLD
    run(photographs, tmp_path / "all", engine="threads")
    ((x0, y0, x1, y1),) = lines(tmp_path / "all")["near.jpg"]["boxes"]
    assert near[:4] == [int(x0), int(y0), int(-(-x1 // 1)), int(-(-y1 // 1))], "rounded outward"


def test_detect_writes_them_too(photographs: Path, tmp_path: Path) -> None:
    detect(photographs, tmp_path / "faces.jsonl", threshold=THRESHOLD)
    found = {line["path"]: line for line in map(json.loads, (tmp_path / "faces.jsonl").read_text().splitlines())}
    assert found["found.png"]["near_misses"] == []
    assert len(found["near.jpg"]["near_misses"]) == 1
    assert found["near.jpg"]["boxes"] == []


def test_boxes_in_the_journal_are_those_that_were_found(photographs: Path, tmp_path: Path) -> None:
    """Written with fewer digits, they are the same float32 numbers."""
    run(photographs, tmp_path / "out", engine="threads")
    detect(photographs, tmp_path / "faces.jsonl")
    for line in map(json.loads, (tmp_path / "faces.jsonl").read_text().splitlines()):
        journal = lines(tmp_path / "out")[line["path"]]
        for name in ("boxes", "scores"):
            assert np.array_equal(np.array(journal[name], np.float32), np.array(line[name], np.float32))


def test_a_detector_finds_the_same_with_them() -> None:
    astronaut = pytest.importorskip("skimage.data", reason="scikit-image is not installed").astronaut()
    image = torch.from_numpy(astronaut).permute(2, 0, 1)
    detector = load_detector(threshold=0.3)
    alone = detector([image])
    regions, near = detector.with_near_misses([image])
    assert torch.equal(alone.boxes, regions.boxes)
    assert torch.equal(alone.counts, regions.counts)
    assert near.scores is not None
    assert bool((near.scores[near.valid] < 0.3).all())
    assert bool((near.scores[near.valid] >= 0.15).all())
    regions, near = load_detector(threshold=0.0001, detect_size=128).with_near_misses([])
    assert (len(regions), len(near)) == (0, 0)


@pytest.mark.parametrize("can_sync", [True, False])
def test_candidates_are_parted_by_the_threshold(can_sync: bool) -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 400, (2, 90, 2))
    boxes = np.concatenate((corners, corners + rng.uniform(10, 40, (2, 90, 2))), axis=2)
    candidates = Candidates(torch.from_numpy(boxes).float(), torch.from_numpy(rng.uniform(0, 1, (2, 90))).float(), None)
    alone = to_regions(candidates, 0.5, 0.3, can_sync)
    regions, near = to_regions_and_near_misses(candidates, 0.5, 0.25, 0.3, can_sync)
    lower = to_regions(candidates, 0.25, 0.3, can_sync)
    assert regions.tolist() == alone.tolist()
    assert near.boxes.shape[1] <= MAX_NEAR_MISSES
    assert lower.scores is not None
    for image in range(2):
        scores = lower.scores[image, : int(lower.counts[image])]
        expected = lower[image][(scores < 0.5)][:MAX_NEAR_MISSES]
        assert near[image].tolist() == expected.tolist()


@pytest.mark.parametrize("can_sync", [True, False])
def test_near_misses_of_uneven_images(can_sync: bool) -> None:
    """One image has none, one a box of less than a pixel and one without an area, one a near miss under a region."""
    boxes = [
        [[0, 0, 9, 9]] * 3,
        [[0.2, 0.2, 0.9, 0.9], [5, 5, 5, 9], [4, 4, 9, 9]],
        [[1, 0, 10, 10], [0, 0, 10, 10], [40, 0, 50, 9]],
    ]
    scores = [[0.1, -1, -1], [0.3, 0.4, 0.5], [0.4, 0.9, 0.3]]
    candidates = Candidates(torch.tensor(boxes, dtype=torch.float32), torch.tensor(scores), None)
    regions, near = to_regions_and_near_misses(candidates, 0.5, 0.25, 0.3, can_sync)
    assert regions.tolist() == [[], [[4, 4, 9, 9]], [[0, 0, 10, 10]]]
    assert near.counts.tolist() == [0, 1, 1]
    assert near[1].tolist() == candidates.boxes[1, :1].tolist()
    assert near[2].tolist() == [[40, 0, 50, 9]]


def test_what_lies_in_a_region_is_left_out_and_the_best_are_kept() -> None:
    regions = np.array([[0, 0, 100, 100]], np.float32)
    found = [([40.0, 40, 60, 60], 0.2), ([90.0, 0, 190, 50], 0.19)]
    assert near_misses(regions, found) == [([90, 0, 190, 50], 0.19)]
    margin = [([92.0, 10, 119, 40], 0.2), ([100.0, 10, 121, 40], 0.19)]
    assert near_misses(regions, margin) == [([100, 10, 121, 40], 0.19)], "half of the first is in the tenth around it"
    many = [([10.0 * n, 200, 10.0 * n + 9, 220], n / 100) for n in range(30)]
    kept = near_misses(regions, many)
    assert len(kept) == MOST
    assert [score for _, score in kept] == sorted((n / 100 for n in range(30)), reverse=True)[:MOST]


def test_the_journals_numbers_come_back() -> None:
    found = [([1, 2, 9, 9], 0.2499), ([0, 0, 4, 4], 0.129), ([3, 3, 8, 8], 0.29)]
    values = to_journal(found)
    assert all(isinstance(value, int) for value in values)
    assert from_journal(values) == [([1, 2, 9, 9], 0.24), ([0, 0, 4, 4], 0.12), ([3, 3, 8, 8], 0.29)]
    with pytest.raises(ValueError, match="near misses are 14 numbers, expected 5 for each"):
        from_journal(values[:-1])

"""The WIDER FACE protocol on cases worked out by hand, and against a slow version that follows its text."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import widerface
from fastblur import Regions

savemat = pytest.importorskip("scipy.io").savemat

# Boxes hold their last pixels, so (x, y, x + 9, y + 9) is a face of 10 x 10 pixels.
F1, F2, F3, G1 = ([x, 0.0, x + 9, 9.0] for x in (0.0, 100.0, 200.0, 50.0))
FACES = {"e/a": np.array([F1, F2, F3]), "e/b": np.array([G1]), "e/c": np.zeros((0, 4))}
# Scores of the set reach from 2 to 12 and are scaled to 0..1; only their scaled values are spoken of below. The region
# of 1.0 lies in an image without known faces, so it does not count, but it is the highest of the set all the same.
FOUND = {
    "e/a": np.array(
        [
            [*F1, 11],  # 0.9
            [1, 1, 9, 9, 10],  # 0.8, F1 again: IoU 81 / 100
            [*F3, 9],  # 0.7
            [*F3, 8],  # 0.6, again
            [*F2, 4],  # 0.2
            [500, 500, 520, 520, 2],  # 0.0, nothing there
        ]
    ),
    "e/b": np.array([[*G1, 7], [300, 300, 330, 330, 6]]),  # 0.5, and 0.4, nothing there
    "e/c": np.array([[5, 5, 25, 25, 12]]),  # 1.0
}


def setting(a: list[int], b: list[int]) -> dict[str, np.ndarray]:
    return {"e/a": np.array(a, bool), "e/b": np.array(b, bool), "e/c": np.zeros(0, bool)}


# Kept F1, F2. 0.9 finds F1: 1 of 1. 0.8 is a duplicate: 1 of 2. 0.7, 0.6 and 0.5 match ignored faces: dropped. 0.4 is
# false: 1 of 3. 0.2 finds F2: 2 of 4. 0.0 is false: 2 of 5. Precision at recall 1/2 is 1, at recall 1 it is 2/4:
# 1/2 * 1 + 1/2 * 2/4.
EASY = (setting([1, 1, 0], [0]), 0.75)
# Kept F2. 0.9, 0.8 match F1, ignored: dropped, duplicate or not. 0.4 is false: 0 of 1. 0.2 finds F2: 1 of 2.
MEDIUM = (setting([0, 1, 0], [0]), 0.5)
# All kept. 0.9: 1 of 1; 0.8: 1 of 2; 0.7: 2 of 3; 0.6: 2 of 4; 0.5: 3 of 5; 0.4: 3 of 6; 0.2: 4 of 7. Each quarter of
# recall at the precision where it is reached (those fall): 1/4 * (1 + 2/3 + 3/5 + 4/7).
HARD = (setting([1, 1, 1], [1]), 0.25 * (1 + 2 / 3 + 3 / 5 + 4 / 7))


@pytest.mark.parametrize(("kept", "expected"), [EASY, MEDIUM, HARD], ids=["easy", "medium", "hard"])
def test_the_average_precision_worked_out_by_hand(kept: dict[str, np.ndarray], expected: float) -> None:
    assert widerface.average_precision(FOUND, FACES, kept) == pytest.approx(expected, abs=1e-12)


def test_precision_is_raised_to_the_highest_at_no_lower_recall() -> None:
    # 0 of 1, 1 of 2, 2 of 3 of two faces: 2/3 at recall 1 raises the 1/2 at recall 1/2.
    found = {"x": np.array([[500, 0, 509, 9, 1.0], [*F1, 0.5], [*F2, 0.0]])}
    ap = widerface.average_precision(found, {"x": np.array([F1, F2])}, {"x": np.ones(2, bool)})
    assert ap == pytest.approx(2 / 3, abs=1e-12)


def test_boxes_hold_their_last_pixels_and_half_an_overlap_is_enough() -> None:
    # 10 x 5 of 10 x 10 pixels is an IoU of exactly 0.5; were the last row and column not held, 9 * 4 / 81 < 0.5.
    for bottom, expected in ((4.0, 1), (3.0, 0)):
        counts = widerface.image_counts(np.array([[0, 0, 9, bottom]]), np.ones(1), np.array([F1]), np.ones(1, bool))
        assert counts[:, -1].tolist() == [1, expected]


def test_a_region_goes_to_the_face_it_overlaps_most_even_where_that_is_found_already() -> None:
    # The second region overlaps the first face by 100/110 and the second, free one by 90/120: it is a duplicate.
    faces = np.array([[0, 0, 9, 9], [0, 2, 9, 11]], float)
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 10]], float)
    counts = widerface.image_counts(boxes, np.array([0.9, 0.8]), faces, np.ones(2, bool))
    assert counts[:, -1].tolist() == [2, 1]


def test_scores_between_two_thresholds_count_together() -> None:
    # The hit scores higher than the false region, but both lie between 0.999 and 1: at every threshold both count.
    ends = {"none": np.array([[0, 0, 5, 5, 0.0], [0, 0, 5, 5, 1.0]])}
    found = {"x": np.array([[*F1, 0.9997], [*F2, 0.9996]]), **ends}
    faces = {"x": np.array([F1]), "none": np.zeros((0, 4))}
    kept = {"x": np.ones(1, bool), "none": np.zeros(0, bool)}
    assert widerface.average_precision(found, faces, kept) == pytest.approx(0.5)


def test_no_regions_and_no_kept_faces_make_zero() -> None:
    assert widerface.average_precision({"x": np.zeros((0, 5))}, {"x": np.array([F1])}, {"x": np.ones(1, bool)}) == 0
    assert (
        widerface.average_precision({"x": np.array([[*F1, 1]])}, {"x": np.array([F1])}, {"x": np.zeros(1, bool)}) == 0
    )


def slow_average_precision(found: dict, faces: dict, kept: dict) -> float:
    """The protocol's text, a threshold and a region at a time."""
    everything = [row[4] for rows in found.values() for row in rows]
    low, high = min(everything), max(everything)
    total = sum(int(mask.sum()) for mask in kept.values())
    curve = []
    for step in range(1, 1001):
        proposals = hits = 0
        for name, mask in kept.items():
            done: set[int] = set()
            for row in sorted(found[name].tolist(), key=lambda row: -row[4]):
                if (row[4] - low) / (high - low) < 1 - step / 1000 or not len(faces[name]):
                    continue
                overlaps = []
                for x0, y0, x1, y1 in faces[name].tolist():
                    width, height = min(x1, row[2]) - max(x0, row[0]) + 1, min(y1, row[3]) - max(y0, row[1]) + 1
                    inter = max(0.0, width) * max(0.0, height)
                    both = (x1 - x0 + 1) * (y1 - y0 + 1) + (row[2] - row[0] + 1) * (row[3] - row[1] + 1)
                    overlaps.append(inter / (both - inter))
                face = overlaps.index(max(overlaps))
                if overlaps[face] >= 0.5 and not mask[face]:
                    continue
                proposals += 1
                if overlaps[face] >= 0.5 and face not in done:
                    done.add(face)
                    hits += 1
        curve.append((hits / total, hits / proposals if proposals else 0.0))
    reached, result = 0.0, 0.0
    for recall, _ in curve:
        result += (recall - reached) * max(p for r, p in curve if r >= recall)
        reached = recall
    return result


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_slow_version_on_random_boxes(seed: int) -> None:
    random = np.random.default_rng(seed)
    found, faces, kept = {}, {}, {}
    for i in range(4):
        count = int(random.integers(0, 6))
        corner = random.uniform(0, 60, (count, 2))
        faces[str(i)] = np.concatenate((corner, corner + random.uniform(8, 20, (count, 2))), axis=1)
        kept[str(i)] = random.random(count) < 0.7
        near = faces[str(i)][random.integers(0, max(1, count), 8 if count else 0)] + random.normal(
            0, 1.5, (8 if count else 0, 4)
        )
        corner = random.uniform(0, 60, (3, 2))
        boxes = np.concatenate((near, np.concatenate((corner, corner + 15), axis=1)))
        found[str(i)] = np.concatenate((boxes, random.normal(0, 3, (len(boxes), 1))), axis=1)
    expected = slow_average_precision(found, faces, kept)
    assert 0 < expected < 1
    assert widerface.average_precision(found, faces, kept) == pytest.approx(expected, abs=1e-9)


def cells(values: list) -> np.ndarray:
    """A MATLAB cell array of one column."""
    array = np.empty((len(values), 1), object)
    array[:, 0] = values
    return array


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the data set as its authors publish them, with the images and boxes of the case above."""
    images = tmp_path / "WIDER_val" / "images" / "e"
    images.mkdir(parents=True)
    text = ""
    for value, (name, boxes) in enumerate(FACES.items()):
        Image.new("RGB", (400, 400 + value)).save(images / f"{name[2:]}.jpg")  # the height says which image it is
        rows = [f"{x0:.0f} {y0:.0f} {x1 - x0:.0f} {y1 - y0:.0f} 0 0 0 0 0 0 \n" for x0, y0, x1, y1 in boxes]
        text += f"{name}.jpg\n{len(boxes)}\n" + "".join(rows or ["0 0 0 0 0 0 0 0 0 0 \n"])
    (tmp_path / "wider_face_split").mkdir()
    (tmp_path / "wider_face_split" / "wider_face_val_bbx_gt.txt").write_text(text)
    for name, (kept, _) in zip(widerface.SETTINGS, (EASY, MEDIUM, HARD), strict=True):
        numbers = [np.flatnonzero(mask)[:, None].astype(np.uint16) + 1 for mask in kept.values()]
        table = {
            "event_list": cells(["e"]),
            "file_list": cells([cells(["a", "b", "c"])]),
            "gt_list": cells([cells(numbers)]),
        }
        savemat(tmp_path / f"wider_{name}_val.mat", table)
    return tmp_path


class Known:
    """A detector that knows the case's regions."""

    name, detect_size, weights_sha256 = "known", None, "0"

    def __call__(self, images: list[torch.Tensor]) -> Regions:
        found = [list(FOUND.values())[image.shape[1] - 400] for image in images]
        return Regions.from_boxes([rows[:, :4] for rows in found], [rows[:, 4] for rows in found])


def test_the_whole_program_on_the_published_files(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    monkeypatch.setattr(widerface, "load_detector", lambda name, **_: Known())
    monkeypatch.setattr(sys, "argv", ["widerface", str(folder), "--json", str(out)])
    widerface.main()
    values = json.loads(out.read_text())["detectors"]["known"]["ap"]
    assert values == pytest.approx({"easy": EASY[1], "medium": MEDIUM[1], "hard": HARD[1]}, abs=1e-9)
    assert "0.7500   0.5000   0.7095" in capsys.readouterr().out


def test_a_folder_without_the_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["widerface", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        widerface.main()
    assert stop.value.code == 2
    assert "no wider_face_val_bbx_gt.txt in" in capsys.readouterr().err


def test_files_that_do_not_fit_each_other_are_refused(folder: Path) -> None:
    broken = folder / "broken.txt"
    broken.write_text("e/a.jpg\n2\n0 0 9 9\n")
    with pytest.raises(ValueError, match=r"breaks off at 'e/a\.jpg'"):
        widerface.read_faces(broken)
    with pytest.raises(ValueError, match=r"has image 'e/a\.jpg'"):
        widerface.read_kept(folder / "wider_hard_val.mat", {})
    few = {f"{name}.jpg": boxes[:1] for name, boxes in FACES.items()}
    with pytest.raises(ValueError, match=r"keeps face 3 of 'e/a\.jpg', which has 1"):
        widerface.read_kept(folder / "wider_hard_val.mat", few)

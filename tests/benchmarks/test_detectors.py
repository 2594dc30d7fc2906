"""How detectors are judged: cases worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.common import accuracy, stages
from fastblur.detectors import load_detector

FACE = [100.0, 100.0, 120.0, 120.0]


def judged(regions: list[list[float]], faces: list[list[float]], threshold: float = 0.5) -> dict:
    image = torch.zeros(3, 200, 400, dtype=torch.uint8)
    picture = (image, np.array(faces).reshape(-1, 4))
    return accuracy.judge([np.array(regions).reshape(-1, 5)], [picture], threshold)


def test_an_exact_region_finds_and_hides() -> None:
    # The region grows by 0.15 * 20 = 3 on every side: 26 x 26 of 200 x 400 pixels.
    line = judged([[*FACE, 0.9]], [FACE])
    assert line == {"faces": 1, "found": 1, "hidden": 1, "regions": 1, "precision": 1.0, "area": 26 * 26 / 80000}


def test_regions_under_the_threshold_do_not_count() -> None:
    line = judged([[*FACE, 0.49]], [FACE])
    assert (line["found"], line["hidden"], line["regions"], line["precision"], line["area"]) == (0, 0, 0, 0.0, 0.0)


def test_matching_is_one_to_one() -> None:
    # Two regions on one face and none on the other: one found, one of two regions right.
    line = judged([[*FACE, 0.9], [101, 101, 121, 121, 0.8]], [FACE, [300, 100, 320, 120]])
    assert (line["found"], line["hidden"], line["precision"]) == (1, 1, 0.5)


def test_a_second_region_takes_the_face_that_is_free() -> None:
    # Both regions overlap the left face most (IoU 1 and 15/25); the right one is free and overlaps the second by 15/25.
    line = judged([[100, 100, 120, 120, 0.9], [105, 100, 125, 120, 0.8]], [FACE, [110, 100, 130, 120]])
    assert line["found"] == 2


@pytest.mark.parametrize(("shift", "found"), [(10, 1), (11, 0)])
def test_found_needs_an_overlap_of_three_tenths(shift: int, found: int) -> None:
    # Shifted by 10 of 20 pixels the IoU is 10/30 = 0.33; by 11 it is 9/31 = 0.29.
    assert judged([[100 + shift, 100, 120 + shift, 120, 0.9]], [FACE])["found"] == found


@pytest.mark.parametrize(("shift", "hidden"), [(5, 1), (6, 0)])
def test_hidden_needs_nine_tenths_of_the_face_inside_the_grown_region(shift: int, hidden: int) -> None:
    # Grown by 3 and shifted by 5, the region leaves 2 of the face's 20 columns: 0.9 is hidden. By 6, 3: 0.85.
    assert judged([[100 + shift, 100, 120 + shift, 120, 0.9]], [FACE])["hidden"] == hidden


def test_two_regions_hide_together_what_neither_finds() -> None:
    # Quarters as wide as the face: IoU 1/4 each, together the whole face.
    quarters = [[100, y, 120, y + 5, 0.9] for y in (100, 105, 110, 115)]
    line = judged(quarters, [FACE])
    assert (line["found"], line["hidden"]) == (0, 1)


def test_a_face_over_the_border_is_judged_by_its_pixels_inside() -> None:
    assert judged([[0, 0, 10, 20, 0.9]], [[-10, 0, 10, 20]])["hidden"] == 1


def test_pictures_without_faces_or_regions() -> None:
    assert judged([], [])["precision"] == 0.0
    assert judged([[*FACE, 0.9]], [])["found"] == 0


def test_mosaics_move_the_boxes_with_their_images() -> None:
    pictures = []
    for i in range(4):
        image = torch.zeros(3, 40, 50, dtype=torch.uint8)
        image[:, 10:20, 5:25] = 200 + i
        pictures.append((image, np.array([[5.0, 10.0, 25.0, 20.0]])))
    large = (torch.zeros(3, 60, 70, dtype=torch.uint8), np.array([[0.0, 0.0, 9.0, 9.0]]))
    ((canvas, faces),) = accuracy.mosaics([large, *pictures], side=2, cell=50)
    assert canvas.shape == (3, 100, 100)
    for i, (x0, y0, x1, y1) in enumerate(faces.astype(int)):
        assert (canvas[:, y0:y1, x0:x1] == 200 + i).all()
    assert len(faces) == 4


def test_the_stages_leave_the_detector_as_it_was(shared: Path) -> None:
    name = "retinaface-mobilenet0.25"
    detector = load_detector(name, weights=shared / "weights" / "retinaface_mobilenet0.25.pth", engine="torch")
    image = accuracy.read_photos(shared)[0][0]
    before = detector([image, image[:, :200]]).tolist()
    spent = stages.stages(detector, [image, image[:, :200]])
    assert set(spent) == {"letterbox", "network", "decode + NMS"}
    assert all(seconds > 0 for seconds in spent.values())
    assert "_regions" not in vars(detector)
    assert detector([image, image[:, :200]]).tolist() == before


def test_the_test_data_is_read_whole(shared: Path) -> None:
    photos, sample = accuracy.read_photos(shared), accuracy.read_sample(shared)
    assert (len(photos), accuracy.count_faces(photos)) == (9, 43)
    assert (len(sample), accuracy.count_faces(sample)) == (250, 125)
    assert all(image.shape[0] == 3 and image.dtype == torch.uint8 for image, _ in photos + sample)

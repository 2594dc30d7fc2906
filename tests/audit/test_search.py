"""The harder search: boxes of turned and enlarged views come back to the image, and faces that still show are found."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.audit.search import HarderSearch, candidates, overlaps
from fastblur.audit.views import NAMES, views
from fastblur.detectors import load_detector
from tests.pipeline.helpers import FACE

MARK = (40, 22, 52, 30)  # xyxy px of the marked pixels


def test_boxes_of_every_view_come_back() -> None:
    """A bright rectangle, whose bounds are read off the view's own pixels, comes back to where it is."""
    pixels = np.zeros((70, 101, 3), np.uint8)
    pixels[MARK[1] : MARK[3], MARK[0] : MARK[2]] = 255
    seen = list(views(pixels))
    assert [view.name for view in seen] == list(NAMES)
    for view in seen:
        rows, columns = np.nonzero(view.pixels[:, :, 0] > 180)
        box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        (found,) = view.back(box)
        if "+30" in view.name or "-30" in view.name:
            centre = found.reshape(2, 2).mean(0)
            assert np.abs(centre - np.array(MARK).reshape(2, 2).mean(0)).max() < 1, view.name
        else:
            assert np.abs(found - MARK).max() <= 1, view.name


def test_an_image_that_is_large_already_is_not_enlarged() -> None:
    assert "enlarged" not in [view.name for view in views(np.zeros((40, 1700, 3), np.uint8))]


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (1, 1)])
def test_an_image_of_one_row_or_column_is_searched(search: HarderSearch, size: tuple[int, int]) -> None:
    assert search.suspects(np.zeros((*size, 3), np.uint8), np.zeros((0, 4), np.float32)) == []


def test_the_face_of_a_photograph_is_found_in_its_views(face_pixels: np.ndarray) -> None:
    detector = load_detector()
    seen = list(views(face_pixels))
    best = candidates(detector, seen)[0]
    assert overlaps(np.array(FACE, np.float32), best.box[None])[0] > 0.3
    assert {"as it is", "enlarged", "mirrored"} <= best.best.keys()


@pytest.fixture(scope="module")
def search() -> HarderSearch:
    return HarderSearch(None, None, "cpu")


def test_a_face_that_still_shows_is_a_suspect(search: HarderSearch, face_pixels: np.ndarray) -> None:
    (found,) = search.suspects(face_pixels, [])
    assert overlaps(np.array(FACE, np.float32), np.array([found.box], np.float32))[0] > 0.3
    assert found.score > 0.25
    assert "centerface" in found.found_by


def test_a_hidden_region_is_no_suspect(search: HarderSearch, face_pixels: np.ndarray) -> None:
    assert search.suspects(face_pixels, [list(FACE)]) == []


def test_a_picture_without_a_face_has_no_suspect(search: HarderSearch, plain_pixels: np.ndarray) -> None:
    assert search.suspects(plain_pixels, []) == []


def test_the_threshold_is_half_of_the_lower_one() -> None:
    assert HarderSearch(None, None, "cpu").threshold == 0.125
    assert HarderSearch("centerface", 0.1, "cpu").threshold == 0.05
    assert HarderSearch("centerface", 0.9, "cpu").threshold == 0.125


@pytest.mark.slow
def test_most_faces_of_the_photographs_are_suspects(shared: Path, search: HarderSearch) -> None:
    import json

    truth = json.loads((shared / "photos" / "ground_truth.json").read_text())
    known = found = 0
    for name in sorted(truth)[:4]:
        with Image.open(shared / "photos" / name) as image:
            pixels = np.array(image.convert("RGB"))
        boxes = np.array([one.box for one in search.suspects(pixels, [])], np.float32).reshape(-1, 4)
        for face in truth[name]:
            known += 1
            found += len(boxes) > 0 and overlaps(np.array(face["box"], np.float32), boxes).max() > 0.3
    assert found == known

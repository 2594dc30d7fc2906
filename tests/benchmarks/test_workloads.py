"""Where images and boxes come from, and the whole jobs that are done with them."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.common import baselines
from benchmarks.common.workloads import ILSVRC_IMAGES, ILSVRC_WITH_FACES, Workload, load, packaged, support_pixels


@pytest.fixture(scope="module")
def workload() -> Workload:
    return packaged(24)


def test_the_stream_has_ilsvrcs_share_of_images_with_faces(workload: Workload) -> None:
    stream = list(workload.stream(2000))
    assert abs(sum(len(one.boxes) > 0 for one in stream) / 2000 - ILSVRC_WITH_FACES / ILSVRC_IMAGES) < 0.001
    assert len({one.name for one in stream}) == 24
    assert "scikit-image" in workload.source
    for one in workload.with_faces:
        height, width = one.pixels.shape[:2]
        assert (one.boxes >= 0).all()
        assert (one.boxes <= [width, height, width, height]).all()


def test_the_workload_is_the_test_data_where_they_are(shared: Path, tmp_path: Path) -> None:
    assert load(shared).source == "250 ImageNet photographs, 80 with faces"
    assert load(tmp_path).source.endswith("boxes drawn from ILSVRC's profile")


@pytest.mark.slow
def test_the_sides_of_whole_jobs_do_their_work(tmp_path: Path, workload: Workload) -> None:
    baselines.make_tree(tmp_path, workload.stream(60), 40)
    assert len(list((tmp_path / "images").rglob("*.JPEG"))) == len(baselines.read_entries(tmp_path)) == 60
    for side in ("every", "needed", "pillow"):
        assert baselines.seconds(side, tmp_path, 50, 2) > 0
    with pytest.raises(SystemExit, match="ended with 1"):
        baselines.seconds("nothing", tmp_path, 50, 2)


@pytest.mark.parametrize(("side", "files"), [("every", 0), ("needed", 50), ("pillow", 50)])
def test_a_side_writes_the_files_that_it_has_to(tmp_path: Path, workload: Workload, side: str, files: int) -> None:
    baselines.make_tree(tmp_path, workload.stream(50))
    entries, out = baselines.read_entries(tmp_path), tmp_path / "out"
    baselines.make_folders(out, entries)
    do = baselines.SIDES[side](tmp_path / "images", out, entries)
    for entry in entries:
        do(entry)
    assert len(list(out.rglob("*.JPEG"))) == files


def test_the_floor_from_memory_writes_only_images_without_faces(tmp_path: Path, workload: Workload) -> None:
    baselines.make_tree(tmp_path, workload.photographs)
    entries, out = baselines.read_entries(tmp_path), tmp_path / "out"
    baselines.make_folders(out, entries)
    do = baselines.SIDES["needed_from_memory"](tmp_path / "images", out, entries)
    for entry in entries:
        do(entry)
    assert {path.name for path in out.rglob("*.JPEG")} == {e["url"][-12:] for e in entries if not e["bboxes"]}


def test_the_support_is_counted_once_and_ends_where_margin_and_feather_end() -> None:
    # d = 20: margin 3 px and three deviations of 1 px on every side, so 32 x 32 pixels; a copy adds nothing.
    box = [40.0, 40, 60, 60]
    assert support_pixels(np.array([box]), 100, 100, "default") == 32 * 32
    assert support_pixels(np.array([box, box]), 100, 100, "default") == 32 * 32
    # "ilsvrc": margins of 2 and 4 px, and for both faces three deviations of 4 px, those of the larger one.
    small, large = [100.0, 100, 120, 120], [200.0, 200, 240, 240]
    assert support_pixels(np.array([small, large]), 300, 300, "ilsvrc") == (20 + 4 + 24) ** 2 + (40 + 8 + 24) ** 2
    assert support_pixels(np.zeros((0, 4)), 100, 100, "default") == 0

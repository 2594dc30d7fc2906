"""The benchmarks' own house: peers, workloads, whole jobs, runs at scale, comparison and page."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("cv2", reason="the peers need the package opencv, which is absent")

from benchmarks import compare, imagenet_scale, peers
from benchmarks.common import baselines
from benchmarks.common.workloads import ILSVRC_IMAGES, ILSVRC_WITH_FACES, Workload, load, packaged
from benchmarks.report import page
from tests import formula

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def workload() -> Workload:
    return packaged(24)


@pytest.mark.parametrize("name", peers.found()[0])
def test_a_peer_hides_what_is_in_the_boxes_and_says_what_it_is(name: str) -> None:
    peer = peers.found()[0][name]
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    boxes = np.array([[40.0, 30, 80, 75]])
    before = pixels.copy()
    out = peer.pixels(peer.hide(peer.image(pixels.copy()), boxes))
    assert (out.shape, out.dtype) == (pixels.shape, np.uint8)
    inside = out[40:65, 50:70].astype(int)
    assert (
        np.abs(np.diff(inside, axis=0)).mean() < 0.3 * np.abs(np.diff(before[40:65, 50:70].astype(int), axis=0)).mean()
    )
    np.testing.assert_array_equal(out[:, 110:], before[:, 110:])
    if peer.SAME:
        exact, support = formula.blur(before.transpose(2, 0, 1).astype(np.float64), boxes, **formula.RECIPES["ilsvrc"])
        assert np.abs(out.transpose(2, 0, 1) - exact)[:, support].mean() < 2
    told = peers.described(peer)
    assert told["version"]
    assert told["lacks"] or told["package"] == "fastblur"


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


def test_the_sides_of_whole_jobs_do_their_work(tmp_path: Path, workload: Workload) -> None:
    assert baselines.plant(tmp_path, workload.stream(60), 40) == 60
    assert len(list((tmp_path / "images").rglob("*.JPEG"))) == 60
    for side in ("every", "needed", "pillow"):
        assert baselines.seconds(side, tmp_path, 50, 2) > 0
    with pytest.raises(SystemExit, match="ended with 1"):
        baselines.seconds("nothing", tmp_path, 50, 2)


FIELDS = {
    "mode", "images", "measured_images", "seconds", "images_per_second", "floor_images_per_second",
    "peer_images_per_second", "machine", "versions", "date", "command", "workload",
}  # fmt: skip


def scaled(tmp_path: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    file = tmp_path / "scale.json"
    command = [sys.executable, "-m", "benchmarks.imagenet_scale", "--scratch", str(tmp_path), "--data", str(tmp_path)]
    command += ["--json", str(file), "--workers", "2", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(file.read_text()), done.stdout


@pytest.mark.parametrize("mode", ["operator", "boxes"])
def test_a_run_at_scale_measures_all_images(tmp_path: Path, mode: str) -> None:
    result, text = scaled(tmp_path, "--mode", mode, "--images", "1500")
    assert result.keys() >= FIELDS
    assert (result["mode"], result["images"], result["measured_images"]) == (mode, 1500, 1500)
    assert result["images_per_second"] == pytest.approx(1500 / result["seconds"])
    assert result["bytes_read"] > 0
    assert "EXTRAPOLATED" not in text
    assert "extrapolated_seconds" not in result


def test_a_budget_extrapolates_and_says_so(tmp_path: Path) -> None:
    result, text = scaled(tmp_path, "--mode", "operator", "--images", "30000", "--budget", "0.02")
    assert result["measured_images"] < 30_000
    low, high = result["extrapolated_interval"]
    assert low < result["extrapolated_seconds"] < high
    assert "EXTRAPOLATED" in text


def test_the_interval_is_that_of_students_t() -> None:
    low, high = imagenet_scale.interval([10.0, 12.0])
    assert (low, high) == pytest.approx((11 - 12.706, 11 + 12.706), rel=1e-3) or low == 1e-9
    low, high = imagenet_scale.interval([10.0, 11.0, 12.0, 11.0])
    assert (low, high) == pytest.approx((11 - 3.182 * 0.8165 / 2, 11 + 3.182 * 0.8165 / 2), rel=1e-3)


def result_file(path: Path, ours: float, theirs: float, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    turns = {
        name: (value * rng.normal(1, 0.01, 9)).tolist()
        for name, value in (("fastblur", ours), ("Pillow recipe", theirs), ("SciPy per region", theirs))
    }
    path.write_text(json.dumps({"command": "python -m benchmarks.operators", "peers": {"turns": turns}}))
    return path


@pytest.mark.parametrize(
    ("ours", "theirs", "status", "word"),
    [
        (1.0, 10.0, 0, "0 got slower"),
        (1.3, 10.0, 1, "SLOWER  peers: fastblur: 1.3"),
        (1.3, 13.0, 0, "0 got slower"),  # the machine did
        (0.7, 10.0, 0, "faster  peers: fastblur: 0.7"),
    ],
)
def test_what_got_slower_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    ours: float, theirs: float, status: int, word: str,
) -> None:  # fmt: skip
    files = [result_file(tmp_path / "old.json", 1, 10, 0), result_file(tmp_path / "new.json", ours, theirs, 1)]
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, files)])
    with pytest.raises(SystemExit) as caught:
        compare.main()
    assert caught.value.code == status
    assert word in capsys.readouterr().out


def test_noise_is_hardly_ever_a_regression() -> None:
    rng = np.random.default_rng(0)
    pairs = [([rng.normal(1, 0.1, 9)], [rng.normal(1, 0.1, 9)]) for _ in range(60)]
    assert sum(compare.compared(old, new, 1.0)[1] > 1.05 for old, new in pairs) <= 2


def test_files_without_turns_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path / "a.json"), str(tmp_path / "a.json")])
    with pytest.raises(SystemExit) as caught:
        compare.main()
    assert caught.value.code == 2
    assert "is no result file that can be compared" in capsys.readouterr().err


def test_the_page_says_what_the_newest_results_say() -> None:
    results = page.newest(ROOT / "benchmarks" / "results")
    assert "operators" in results
    assert (ROOT / "docs" / "benchmarks.md").read_text("utf-8") == page.page(results)
    readme = (ROOT / "README.md").read_text("utf-8")
    assert page.in_short(results) in readme
    assert page.with_figures(readme, results) == readme


def test_of_two_results_the_newer_one_counts(tmp_path: Path) -> None:
    for name, date, seconds in (("a", "2026-01-02", 1), ("b", "2026-01-01", 2)):
        record = {"command": "python -m benchmarks.run_folder", "date": date, "seconds": seconds}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    assert page.newest(tmp_path)["run_folder"]["seconds"] == 1


def test_every_suite_runs() -> None:
    command = [sys.executable, "-m", "pytest", "benchmarks/suites", "-q", "--benchmark-disable", "-k"]
    command += ["JPEG or fill or opencv_area or nms or (test_faces and 1) or dtype"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]

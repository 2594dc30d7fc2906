"""Runs at scale: all images measured, or extrapolated from a budget that was long enough."""

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("scipy", reason="the floor needs the package scipy, which is absent")

from benchmarks import imagenet_scale
from benchmarks.common.measure import ROOT

pytestmark = pytest.mark.slow

FIELDS = {
    "mode", "images", "measured_images", "seconds", "images_per_second", "floor_images_per_second",
    "peer_images_per_second", "machine", "versions", "date", "command", "workload",
}  # fmt: skip


def command(tmp_path: Path, *arguments: str) -> list[str]:
    return [
        "benchmarks.imagenet_scale", "--scratch", str(tmp_path), "--data", str(tmp_path),
        "--json", str(tmp_path / "scale.json"), "--workers", "2", *arguments,
    ]  # fmt: skip


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", *command(tmp_path, *arguments)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mode", ["operator", "boxes"])
def test_a_run_at_scale_measures_all_images(tmp_path: Path, mode: str) -> None:
    done = run(tmp_path, "--mode", mode, "--images", "1500")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "scale.json").read_text())
    assert result.keys() >= FIELDS
    assert (result["mode"], result["images"], result["measured_images"]) == (mode, 1500, 1500)
    assert result["images_per_second"] == pytest.approx(1500 / result["seconds"])
    assert result["bytes_read"] > 0
    assert "EXTRAPOLATED" not in done.stdout
    assert "extrapolated_seconds" not in result


@pytest.fixture
def slow_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A second passes with every look at the clock, one for each batch, however fast the machine is."""
    seconds, threads = count(), torch.get_num_threads()
    monkeypatch.setattr(imagenet_scale, "time", SimpleNamespace(perf_counter=lambda: float(next(seconds))))
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("slow_clock")
def test_a_budget_extrapolates_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = command(tmp_path, "--mode", "operator", "--images", "9000", "--budget", "14")
    monkeypatch.setattr(sys, "argv", arguments)
    imagenet_scale.main()
    result = json.loads((tmp_path / "scale.json").read_text())
    assert result["measured_images"] == 15 * 256
    low, high = result["extrapolated_interval"]
    assert low <= result["extrapolated_seconds"] <= high
    assert result["extrapolated_seconds"] == pytest.approx(9000 / 256, rel=0.01)
    assert "EXTRAPOLATED" in capsys.readouterr().out


def test_a_budget_too_short_for_the_machine_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "--mode", "operator", "--images", "9000", "--budget", "0")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "256 images were done in 0 s, 1 of the 10 parts that an extrapolation needs; expected a longer --budget"
    )
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "scale.json").exists()


def test_a_command_stopped_before_its_first_image_is_refused_in_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "--mode", "boxes", "--images", "300", "--budget", "0")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "no image was written in 0 s, expected a longer --budget"
    assert "Traceback" not in done.stderr


def record(done: list[tuple[float, int]], images: int) -> dict[str, Any]:
    arguments = SimpleNamespace(mode="boxes", images=images, workers=1, budget=10.0)
    return imagenet_scale.result_record(arguments, imagenet_scale.Run(done, [1.0], 256, 1, 1, 1), {})


def test_the_extrapolation_leaves_the_start_out_of_the_rates() -> None:
    done = [(3.0 + i, 100 * i) for i in range(11)]  # 3 s of start, then 100 images a second
    result = record(done, 6000)
    assert result["images_per_second_over_time"] == [100.0] * 10
    assert result["extrapolated_seconds"] == pytest.approx(63)
    assert result["extrapolated_interval"] == pytest.approx([63, 63])
    with pytest.raises(imagenet_scale.BudgetTooShort, match="900 images were done in 10 s, 9 of the 10 parts"):
        record(done[:-1], 6000)
    assert "extrapolated_seconds" not in record(done[:-1], 900)


def test_the_interval_is_that_of_students_t() -> None:
    low, high = imagenet_scale.interval([10.0, 12.0])
    assert low == 1e-9  # 11 - 12.706 would be below
    assert high == pytest.approx(11 + 12.706, rel=1e-3)
    low, high = imagenet_scale.interval([10.0, 11.0, 12.0, 11.0])
    assert (low, high) == pytest.approx((11 - 3.182 * 0.8165 / 2, 11 + 3.182 * 0.8165 / 2), rel=1e-3)

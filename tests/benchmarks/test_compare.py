"""Two result files compared: what got slower, beyond the noise and the machine."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import compare


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


@pytest.mark.slow
def test_noise_is_hardly_ever_a_regression() -> None:
    rng = np.random.default_rng(0)
    pairs = [([rng.normal(1, 0.1, 9)], [rng.normal(1, 0.1, 9)]) for _ in range(60)]
    assert sum(compare.ratio_and_interval(old, new, 1.0)[1] > 1.05 for old, new in pairs) <= 2


def test_files_without_turns_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["compare", str(tmp_path / "a.json"), str(tmp_path / "a.json")])
    with pytest.raises(SystemExit) as caught:
        compare.main()
    assert caught.value.code == 2
    assert "is no result file that can be compared" in capsys.readouterr().err

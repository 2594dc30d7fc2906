"""The start of the command is measured by runs that work."""

import json
import sys

import pytest

from benchmarks import start


def test_ratios_are_written(tmp_path, monkeypatch):
    line = ["start", "--only", "boxes", "--repeat", "1", "--scratch", str(tmp_path), "--json", str(tmp_path / "a.json")]
    monkeypatch.setattr(sys, "argv", line)
    start.main()
    result = json.loads((tmp_path / "a.json").read_text())
    assert set(result["ratio"]) == {"boxes"}
    assert all(value > 0 for value in result["ratio"]["boxes"].values())
    assert [len(taken) for taken in result["seconds"]["wall"].values()] == [1, 1]


def test_a_command_that_fails_is_no_measurement(tmp_path):
    with pytest.raises(SystemExit, match="failed"):
        start.processor_seconds([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, [])

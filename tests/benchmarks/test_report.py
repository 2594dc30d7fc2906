"""The page and README's figures say what the newest result files say."""

import json
from pathlib import Path

from benchmarks.common.measure import ROOT
from benchmarks.report.page import page
from benchmarks.report.readme import in_short, with_figures
from benchmarks.report.results import newest


def test_the_page_says_what_the_newest_results_say() -> None:
    results = newest(ROOT / "benchmarks" / "results")
    assert "operators" in results
    assert (ROOT / "docs" / "benchmarks.md").read_text("utf-8") == page(results)
    readme = (ROOT / "README.md").read_text("utf-8")
    assert in_short(results) in readme
    assert with_figures(readme, results) == readme


def test_of_two_results_the_newer_one_counts(tmp_path: Path) -> None:
    for name, date, seconds in (("a", "2026-01-02", 1), ("b", "2026-01-01", 2)):
        record = {"command": "python -m benchmarks.run_folder", "date": date, "seconds": seconds}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    assert newest(tmp_path)["run_folder"]["seconds"] == 1

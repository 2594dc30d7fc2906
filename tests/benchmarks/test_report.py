"""The page and README's figures say what the newest result files say."""

import json
from pathlib import Path

from benchmarks.common.measure import ROOT
from benchmarks.report import page


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

"""docs/benchmarks.md, its figures, and those of README.md, from the newest result files.

    python -m benchmarks.report [--results DIR] [--docs DIR]

Of each kind of result (the command's module, and its mode) the file with the newest date counts. A kind without a file
has no section. Nothing on the page is written by hand; docs/how-we-measure.md says how it was measured.
"""

import argparse
from pathlib import Path

from benchmarks.common.measure import ROOT
from benchmarks.report import figures
from benchmarks.report.page import page
from benchmarks.report.readme import with_figures
from benchmarks.report.results import newest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    arguments = parser.parse_args()
    results = newest(arguments.results)
    (arguments.docs / "benchmarks.md").write_text(page(results), encoding="utf-8")
    readme = arguments.docs.parent / "README.md"
    if readme.exists():
        readme.write_text(with_figures(readme.read_text("utf-8"), results), encoding="utf-8")
    figures.draw(results, arguments.docs / "figures")


if __name__ == "__main__":
    main()

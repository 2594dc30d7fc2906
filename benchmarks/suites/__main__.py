"""Run the pytest-benchmark suites and keep the medians.

    python -m benchmarks.suites [--json FILE] [PYTEST ARGUMENT ...]

The table is pytest-benchmark's own. The result file has, for each test, its group, median, interquartile range and
rounds, so that benchmarks.compare can find what got slower.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common.command import parser, write_json
from benchmarks.common.measure import ROOT
from benchmarks.common.workloads import load


def main() -> None:
    arguments, rest = parser(__doc__).parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "all.json"
        command = [sys.executable, "-m", "pytest", "benchmarks/suites", "-n", "0", f"--benchmark-json={file}", *rest]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        if status != 0:
            raise SystemExit(status)
        found = json.loads(file.read_text())["benchmarks"]
    kept = ("median", "iqr", "rounds")
    benchmarks = [
        {"name": one["name"], "group": one["group"], **{key: one["stats"][key] for key in kept}} for one in found
    ]
    write_json(arguments.json, "benchmarks.suites", {"workload": load().source, "benchmarks": benchmarks})


if __name__ == "__main__":
    main()

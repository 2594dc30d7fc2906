"""Starts the CUDA kernel's tests in Triton's interpreter, and compiles its programs for a GPU that need not be there.

Each in a process of its own, because Triton decides when it is imported whether it interprets.
"""

import json
import os
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT
from tests.kernels.backends import INTERPRETED

pytest.importorskip("triton", reason="triton is absent (the extra fastblur[cuda])")


def run(*arguments, interpret):
    environment = {**os.environ, "TRITON_INTERPRET": interpret, "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": ""}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_XDIST")}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=420
    )


@pytest.mark.skipif(INTERPRETED, reason="the interpreter is on: the tests run by themselves")
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there: the tests run on it by themselves")
@pytest.mark.parametrize("name", ["test_operators", "test_invariance", "test_torch"])
def test_in_the_interpreter(name):
    done = run("pytest", f"tests/kernels/cuda/{name}.py", interpret="1")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


def test_compiles_for_a_hopper_gpu():
    """Every mode reaches machine code for sm_90, within 128 registers and spilling little."""
    pytest.importorskip("triton.backends.nvidia", reason="this triton has no NVIDIA compiler")
    done = run("tests.kernels.cuda.compile_cuda", "--few", interpret="0")
    assert done.returncode == 0, done.stderr[-4000:]
    usage = json.loads(done.stdout)
    assert len(usage) >= 10
    for name, taken in usage.items():
        assert taken["registers"] <= 128, name
        assert taken["spilled"] <= 256, (name, taken)
        assert taken["shared"] <= 100_000, name


def test_the_gpu_benchmark_runs_dry(tmp_path):
    done = run("benchmarks.gpu", "--dry", "--json", str(tmp_path / "dry.json"), interpret="1")
    assert done.returncode == 0, done.stderr[-4000:]
    results = json.loads((tmp_path / "dry.json").read_text())
    assert {"copy", "profile", "cost", "floor", "million", "peers", "detect"} <= results.keys()
    assert results["peers"]["profile"]["seconds"]["kornia full frame + mask"] > 0

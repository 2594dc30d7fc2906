"""Starts the detectors' CUDA tests in the interpreter, and compiles their programs for a GPU that need not be there."""

import json

import pytest
import torch

from tests.kernels.backends import INTERPRETED
from tests.kernels.cuda.test_interpreted import OTHERS, run

pytestmark = pytest.mark.slow


@pytest.mark.skipif(INTERPRETED, reason="the interpreter is on: the tests run by themselves")
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there: the tests run on it by themselves")
@pytest.mark.parametrize("name", ["test_cuda", "test_letterbox"])
def test_in_the_interpreter(name):
    done = run("pytest", "-n", "0", f"tests/detectors/{name}.py", interpret="1")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


def test_compiles_for_a_hopper_gpu():
    """Up to the most candidates of two looks, without products that are added before they are rounded."""
    pytest.importorskip("triton.backends.nvidia", reason="this triton has no NVIDIA compiler")
    done = run("tests.detectors.compile_nms", interpret="0")
    assert done.returncode == 0, done.stderr[-4000:]
    usage = json.loads(done.stdout)
    assert {"1024", "8192"} <= usage.keys()
    for rows, taken in usage.items():
        assert taken["registers"] * taken["warps"] * 32 <= 65536, rows
        assert taken["spilled"] <= 128, (rows, taken)
        assert not taken["fused"], rows


@pytest.mark.parametrize("folder", [None, *OTHERS])
@pytest.mark.parametrize("architecture", [75, 90])
def test_the_letterbox_compiles_once_for_all_sizes(architecture, folder):
    """From a call to machine code: a program for batches and one for lists of each dtype, whatever their sizes."""
    pytest.importorskip("triton.backends.nvidia", reason="this triton has no NVIDIA compiler")
    done = run("tests.detectors.compile_letterbox", str(architecture), interpret="0", first_path=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    programs = json.loads(done.stdout)
    assert len(programs) == 4
    for taken in programs:
        assert taken["spilled"] == 0
        assert taken["registers"] * taken["warps"] * 32 <= 65536 / 4

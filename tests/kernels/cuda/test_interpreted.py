"""Starts the CUDA kernel's tests in Triton's interpreter, and compiles its programs for a GPU that need not be there.

Each in a process of its own, because Triton decides when it is imported whether it interprets.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from tests.kernels.backends import INTERPRETED

pytestmark = pytest.mark.slow

triton = pytest.importorskip("triton", reason="triton is absent (the extra fastblur[cuda])")


OTHERS = [path for path in os.environ.get("FASTBLUR_OTHER_TRITONS", "").split(os.pathsep) if path]
"""Folders with other versions of Triton, made with `pip install --no-deps --target FOLDER triton==VERSION`."""

ARCHITECTURES = (75, 80, 89, 90)


def run(*arguments, interpret, first_path=None):
    environment = {**os.environ, "TRITON_INTERPRET": interpret, "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": ""}
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_XDIST")}
    if first_path is not None:
        environment["PYTHONPATH"] = os.pathsep.join((first_path, environment.get("PYTHONPATH", "")))
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200
    )


def compiled(architecture, *arguments, first_path=None):
    """What compile_cuda prints for a GPU of this architecture."""
    pytest.importorskip("triton.backends.nvidia", reason="this triton has no NVIDIA compiler")
    command = ("tests.kernels.cuda.compile_cuda", "--architecture", str(architecture), *arguments)
    done = run(*command, interpret="0", first_path=first_path)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.skipif(INTERPRETED, reason="the interpreter is on: the tests run by themselves")
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there: the tests run on it by themselves")
@pytest.mark.parametrize("name", ["test_operators", "test_invariance", "test_torch"])
def test_in_the_interpreter(name):
    done = run("pytest", "-n", "0", f"tests/kernels/cuda/{name}.py", interpret="1")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_compiles_for_gpus_that_need_not_be_there(architecture):
    """Every operator goes from a call to machine code, the way that a user's call goes."""
    programs = compiled(architecture, "--few")["programs"]
    assert len(programs) >= 10
    for name, taken in programs.items():
        assert taken["registers"] <= 255, name
        assert taken["shared"] <= (100_000 if architecture >= 80 else 64_000), name


@pytest.mark.skipif(not OTHERS, reason="FASTBLUR_OTHER_TRITONS names no folder with another Triton")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("folder", OTHERS)
def test_compiles_with_another_triton(folder, architecture):
    (version,) = (path.stem.split("-")[1] for path in Path(folder).glob("triton-*.dist-info"))
    printed = compiled(architecture, "--few", first_path=folder)
    assert printed["triton"] == version
    assert len(printed["programs"]) >= 10


def test_no_call_compiles_what_another_has_compiled():
    """Sizes, addresses, strides and parameters make no new programs; a detector's 512 rows cost one launch more."""
    pytest.importorskip("triton.backends.nvidia", reason="this triton has no NVIDIA compiler")
    done = run("tests.kernels.cuda.calls", interpret="0")
    assert done.returncode == 0, done.stderr[-4000:]
    calls = json.loads(done.stdout)
    kernels = ["plan_regions", "average", "average", "smooth", "blend", "blend"]  # two of them with a twin
    assert calls.pop("the first")["programs"] == kernels
    assert calls.pop("a list")["programs"] == kernels
    detected = calls.pop("a detector's")
    assert detected["programs"] == ["rest", "rest"]
    assert detected["launches"] == 5 + 1  # and the twin's, without work
    assert 0.9 * 2**28 < detected["bytes"] - 512 * 3 * 375 * 500 <= 2**28
    for title, call in calls.items():
        assert call["programs"] == [], title


def test_aligned_pixels_are_words_and_nothing_spills():
    """Of uint8 in both layouts no byte is loaded or stored alone."""
    for title in ("blur u8, in place", "blur u8, channels_last"):
        programs = compiled(90, "--only", title)["programs"]
        for name in ("average", "blend"):
            assert programs[f"{name} {title}"]["byte_wide"] == 0, title
            assert programs[f"{name} {title}, the other alignment"]["byte_wide"] > 0, title
        for name, taken in programs.items():  # pixels that are no words take more registers than the bound leaves
            assert taken["spilled"] == 0 or name.endswith("the other alignment"), name


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "odd"])
def test_the_estimate_from_the_machine_code(layout):
    """1.5 million images of ImageNet's profile in 0.3 s, with faces everywhere in 1.5 s; a count, and no clock."""
    pytest.importorskip("triton.backends.nvidia", reason="this triton has no NVIDIA compiler")
    done = run("tests.kernels.cuda.estimate", "--json", "--layout", layout, interpret="0")
    assert done.returncode == 0, done.stderr[-4000:]
    batches = json.loads(done.stdout)["batches"]
    assert batches["profile 512"]["million"] < 0.3
    assert batches["512, all with faces"]["million"] < 1.5


def test_the_gpu_benchmark_runs_dry(tmp_path):
    done = run("benchmarks.gpu", "--dry", "--json", str(tmp_path / "dry.json"), interpret="1")
    assert done.returncode == 0, done.stderr[-4000:]
    results = json.loads((tmp_path / "dry.json").read_text())
    assert {"copy", "profile", "cost", "floor", "variants", "million", "peers", "detect"} <= results.keys()
    assert results["peers"]["profile"]["seconds"]["kornia full frame + mask"] > 0

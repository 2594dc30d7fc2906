"""Compiled code where neither the package's folders nor the user's can be written."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import fastblur

CODE = """
import sys, tempfile
if len(sys.argv) > 1:
    tempfile.tempdir = sys.argv[1]
import numpy as np
from fastblur.kernels.cpu.compiled import copy_row
from fastblur.codecs.jpeg_search import first_start_or_end
target = np.zeros(3, np.uint8)
copy_row(np.array([1, 2, 3], np.uint8), target)
print(target.tolist(), sum(copy_row.stats.cache_hits.values()), getattr(copy_row, "_cache").cache_path)
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a copy of fastblur that keeps no compiled code, for root either: files stand in the way."""
    source = Path(fastblur.__file__).parent
    copy = tmp_path / "packages" / "fastblur"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [copy, *(path for path in copy.rglob("*") if path.is_dir())]:
        (folder / "__pycache__").touch()
    return copy.parent


def run(package: Path, *arguments: str) -> tuple[str, str]:
    """What the code prints, and its warnings, in a process whose HOME cannot be written."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    nowhere = {"HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "TMPDIR": str(package.parent)}
    environment |= {"PYTHONPATH": str(package), **nowhere}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=package,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_folder_for_temporary_files_keeps_it(package: Path) -> None:
    first, warned = run(package)
    (folder,) = package.parent.glob("fastblur-numba-*")
    assert first.startswith(f"[1, 2, 3] 0 {folder}")
    assert warned.count("UserWarning") == 1
    assert "NUMBA_CACHE_DIR" in warned
    assert str(folder) in warned
    if hasattr(os, "getuid"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert run(package)[0].startswith("[1, 2, 3] 1 ")


def test_it_is_compiled_each_time_where_nothing_can_be_written(package: Path) -> None:
    found, warned = run(package, "/dev/null")
    assert found == "[1, 2, 3] 0 None\n"
    assert warned.count("UserWarning") == 1
    assert "NUMBA_CACHE_DIR" in warned


def test_a_folder_that_others_can_write_is_not_used(package: Path) -> None:
    if not hasattr(os, "getuid"):
        pytest.skip("no user ids here")
    folder = package.parent / f"fastblur-numba-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert run(package)[0] == "[1, 2, 3] 0 None\n"
    assert list(folder.iterdir()) == []


def test_the_working_folder_is_not_used(package: Path) -> None:
    found, warned = run(package, str(package))
    assert found == "[1, 2, 3] 0 None\n"
    assert not list(package.glob("fastblur-numba-*"))
    assert "NUMBA_CACHE_DIR" in warned


HIDE = """
import io, sys
import numpy as np
import torch
from PIL import Image
import fastblur
noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3)).astype(np.uint8)
for method in ("blur", "pixelate", "fill"):
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=80)
    assert fastblur.hide_jpeg(file.getvalue(), np.array([[20, 20, 50, 60]]), method) != file.getvalue()
for images in (torch.zeros(2, 3, 64, 80, dtype=torch.uint8), torch.rand(2, 3, 64, 80)):
    fastblur.blur(images, [[[20, 20, 50, 60], [30, 30, 60, 60]], []], shape="ellipse")
    fastblur.masked_blur2d(images, torch.ones(2, 1, 64, 80), 2.0)
print("numba.np.linalg" in sys.modules)
"""


def test_code_from_the_disk_is_loaded_without_the_compiler() -> None:
    """Numba would load all that it can compile, linear algebra and SciPy too, before the first function."""
    for _ in range(2):  # the first may have to compile
        done = subprocess.run([sys.executable, "-c", HIDE], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert done.stdout == "False\n"

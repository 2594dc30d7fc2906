"""The CUDA kernel as a citizen of PyTorch: the choice of backend, torch.compile, graphs, streams, devices."""

import pytest
import torch

import fastblur
from fastblur.kernels.parameters import KernelParameters
from fastblur.recipes import resolve_recipe
from tests.kernels.cases import noise
from tests.kernels.cuda.gpu import DEVICE, called, on_gpu, put, runs

pytestmark = [pytest.mark.gpu, runs]

ROWS = [[[3.3, 4.1, 17.2, 20.0], [12, 8, 40.7, 25.1]], [[6, 6, 24, 20]]]


def batch():
    return torch.stack([noise(27, 45, seed=i) for i in range(2)])


def regions():
    return fastblur.Regions.from_boxes(ROWS, device=DEVICE)


def test_what_the_backend_refuses():
    with pytest.raises(ValueError, match="backend is 'cuda' for float64 images"):
        fastblur.blur(put(batch().double()), ROWS, backend="cuda")
    with pytest.raises(ValueError, match="backend is 'cuda' for images that require a gradient"):
        fastblur.blur(put(batch().float()).requires_grad_(), ROWS, backend="cuda")
    with pytest.raises(ValueError, match="backend is 'cuda' for images on meta"):
        fastblur.blur(batch().to("meta"), regions().to("meta"), backend="cuda")


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_torch_compile_takes_a_function_that_blurs(backend):
    def hide(images, boxes, counts):
        found = fastblur.Regions(boxes, counts)
        images = images.flip(3).flip(3)
        hidden = fastblur.blur(images, found, backend="cuda")
        return fastblur.fill(hidden, found, color=3, margin=0.0, backend="cuda").float() / 255

    images, found = put(batch()), regions()
    expected = hide(images, found.boxes, found.counts)
    compiled = torch.compile(hide, fullgraph=True, backend=backend)
    assert torch.equal(compiled(images, found.boxes, found.counts), expected)


def test_torch_compile_in_place():
    def hide(images, boxes, counts):
        fastblur.blur(images, fastblur.Regions(boxes, counts), out=images, backend="cuda")
        return images + 1

    found, mine = regions(), put(batch())
    expected = called(fastblur.blur, batch(), ROWS)
    result = torch.compile(hide, fullgraph=True, backend="aot_eager")(mine, found.boxes, found.counts)
    assert torch.equal(mine.cpu(), expected)
    assert torch.equal(result.cpu(), expected + 1)


def test_the_custom_operators_are_what_they_say():
    called(fastblur.blur, batch(), ROWS)  # registers them
    found, images = regions(), put(batch())
    parameters = KernelParameters.for_blur(resolve_recipe("default"))
    for out, read in (([torch.empty_like(images)], [images]), ([images.clone()], [])):
        arguments = (out, read, found.boxes, found.counts, None, *parameters)
        torch.library.opcheck(torch.ops.fastblur.hide_, arguments, test_utils=CHECKS)
    masks, sigma = torch.ones(2, 1, 27, 45, device=DEVICE), torch.full((2, 2), 2.0, device=DEVICE)
    arguments = ([torch.empty_like(images)], [images], [masks], sigma, "replicate")
    torch.library.opcheck(torch.ops.fastblur.masked_blur2d_, arguments, test_utils=CHECKS)


CHECKS = ("test_schema", "test_faketensor", "test_autograd_registration")


@on_gpu
def test_none_picks_the_kernel_and_nothing_waits_for_the_device():
    images, found = put(batch()), regions()
    expected = fastblur.blur(images, found, backend="cuda")
    ragged, mask = [images[0], images[1, :, :20]], torch.ones(2, 1, 27, 45, device=DEVICE)
    fastblur.blur(ragged, found)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        result = fastblur.blur(images, found)
        fastblur.pixelate(images, found)
        fastblur.masked_blur2d(images, mask, torch.full((2,), 3.0, device=DEVICE))
        fastblur.blur(ragged, found)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(result, expected)


@on_gpu
def test_a_color_may_be_on_either_side():
    images, color = put(batch()), torch.tensor([3.0, 70.0, 200.0])
    expected = called(fastblur.fill, batch(), ROWS, color=color)
    for given in (color, color.cuda()):
        assert torch.equal(fastblur.fill(images, regions(), color=given).cpu(), expected)


@on_gpu
def test_cuda_graphs():
    images, found = put(batch()), regions()
    expected = fastblur.blur(images, found)
    graph, held = torch.cuda.CUDAGraph(), images.clone()
    fastblur.blur(images.clone(), found, out=held)  # compiles: programs cannot be loaded during a capture
    fastblur.blur(held, found, out=held)
    with torch.cuda.graph(graph):
        fastblur.blur(held, found, out=held)
    for shift in range(3):
        held.copy_(images.roll(shift, 0))
        found.boxes.copy_(regions().boxes.roll(shift, 0))
        found.counts.copy_(regions().counts.roll(shift, 0))
        graph.replay()
        assert torch.equal(held, expected.roll(shift, 0))


@on_gpu
def test_a_side_stream_and_a_second_device():
    images, found = put(batch()), regions()
    expected = fastblur.blur(images, found)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        result = fastblur.blur(images, found)
    stream.synchronize()
    assert torch.equal(result, expected)
    if torch.cuda.device_count() > 1:  # while the first is the current one
        elsewhere = fastblur.blur(images.to("cuda:1"), found.to("cuda:1"))
        assert torch.equal(elsewhere.cpu(), expected.cpu())


@on_gpu
def test_more_than_two_to_the_31_elements():
    size = 2**31 // (3 * 2048 * 2048) + 2
    if torch.cuda.mem_get_info()[0] < 3 * size * 3 * 2048 * 2048:
        pytest.skip("not enough memory on the GPU")
    images = torch.zeros(size, 3, 2048, 2048, dtype=torch.uint8, device=DEVICE)
    images[-1] = noise(2048, 2048).to(DEVICE)
    rows = [[[1500.0, 1600, 1900, 2040]]] * size
    expected = fastblur.blur(images[-1].clone(), rows[0])
    fastblur.blur(images, rows, out=images)
    assert torch.equal(images[-1], expected)
    assert not images[:-1].any()

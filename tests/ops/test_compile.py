"""torch.compile and torch.export on the CPU: one graph, the bits of eager, and no gradient lost in silence."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.autograd import forward_ad

import fastblur
from fastblur.kernels.parameters import KernelParameters
from fastblur.recipes import resolve_recipe

BOXES, COUNTS = torch.tensor([[[20.0, 15, 60, 70]], [[5, 5, 30, 38]]]), torch.tensor([1, 1])


@pytest.fixture(autouse=True)
def _no_graphs_of_others():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def images(height=80, width=90, dtype=torch.uint8):
    values = torch.randint(0, 256, (2, 3, height, width), generator=torch.Generator().manual_seed(height * width))
    return values.to(dtype) if dtype == torch.uint8 else (values / 255).to(dtype)


def blur(batch, boxes, counts):
    return fastblur.blur(batch, fastblur.Regions(boxes, counts), "ilsvrc")


def pixelate(batch, boxes, counts):
    return fastblur.pixelate(batch, fastblur.Regions(boxes, counts), shape="ellipse")


def fill(batch, boxes, counts):
    return fastblur.fill(batch, fastblur.Regions(boxes, counts), color=0.5, feather=0.1)


def ragged(batch, boxes, counts):
    return fastblur.blur([batch[0], batch[1, :, 5:]], fastblur.Regions(boxes, counts))[1]


def in_place(batch, boxes, counts):
    batch = batch.clone()
    fastblur.blur(batch, fastblur.Regions(boxes, counts), out=batch)
    return batch


def masked(batch, boxes, counts):
    return fastblur.masked_blur2d(batch, torch.ones(2, 1, *batch.shape[2:]), 3.0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("hide", [blur, pixelate, fill, ragged, in_place, masked])
def test_one_graph_has_the_bits_of_eager(hide, dtype):
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(hide, fullgraph=True, backend=counter)
    for batch in (images(dtype=dtype), images(dtype=dtype).contiguous(memory_format=torch.channels_last)):
        assert torch.equal(compiled(batch, BOXES, COUNTS), hide(batch, BOXES, COUNTS))
    assert counter.frame_count <= 2


def test_numbers_that_change_and_colors_of_channels_are_one_graph():
    color = (0.2, 0, 1)
    hide = {
        "blur": lambda x, number: fastblur.blur(x, fastblur.Regions(BOXES, COUNTS), strength=number),
        "pixelate": lambda x, number: fastblur.pixelate(x, fastblur.Regions(BOXES, COUNTS), margin=number),
        "fill": lambda x, number: fastblur.fill(x, fastblur.Regions(BOXES, COUNTS), color=color, margin=number),
    }
    batch = images(dtype=torch.float32)
    for function in hide.values():
        compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
        for number in (0.1, 0.2, 0.3):
            assert torch.equal(compiled(batch, number), function(batch, number))


def test_a_single_image():
    compiled = torch.compile(
        lambda x, b, c: fastblur.blur(x, fastblur.Regions(b, c)), fullgraph=True, backend="aot_eager"
    )
    one = images()[0]
    assert torch.equal(compiled(one, BOXES[:1], COUNTS[:1]), fastblur.blur(one, BOXES[0].tolist()))


@pytest.mark.slow
def test_twenty_sizes_are_two_graphs():
    """The first for its own size, as torch.compile does, the second for all sizes."""
    counter = CompileCounterWithBackend("inductor")
    compiled = torch.compile(blur, fullgraph=True, backend=counter)
    for step in range(20):
        batch = images(80 + 7 * step, 90 + 5 * step)
        assert torch.equal(compiled(batch, BOXES, COUNTS), blur(batch, BOXES, COUNTS))
    assert counter.frame_count == 2


def test_values_are_checked_when_the_graph_runs():
    compiled = torch.compile(blur, fullgraph=True, backend="aot_eager")
    compiled(images(), BOXES, COUNTS)
    with pytest.raises(ValueError, match="expected finite coordinates"):
        compiled(images(), BOXES * float("nan"), COUNTS)
    with pytest.raises(ValueError, match=r"counts are \[1, 5\], expected 0 to 1"):
        compiled(images(), BOXES, torch.tensor([1, 5]))


def test_regions_of_another_number_of_images_are_refused():
    with pytest.raises(Exception, match="regions are boxes"):
        torch.compile(blur, fullgraph=True, backend="aot_eager")(images(), BOXES[:1], COUNTS[:1])


def test_the_custom_operators_are_what_they_say():
    parameters = KernelParameters.for_blur(resolve_recipe("default"))
    checks = ("test_schema", "test_faketensor")
    batch = images()
    for out, read in (([torch.empty_like(batch)], [batch]), ([batch.clone()], [])):
        operator = torch.ops.fastblur.hide_on_cpu_
        torch.library.opcheck(operator, (out, read, BOXES, COUNTS, None, *parameters), test_utils=checks)
    masks, sigma = torch.ones(2, 1, 80, 90), torch.full((2, 2), 2.0)
    arguments = ([torch.empty_like(batch)], [batch], [masks], sigma, "replicate")
    torch.library.opcheck(torch.ops.fastblur.masked_blur2d_on_cpu_, arguments, test_utils=checks)


def test_the_operator_writes_nowhere_else():
    batch, parameters = images(), KernelParameters.for_fill(0.0, 0.0, "box")
    hide, color = torch.ops.fastblur.hide_on_cpu_, torch.zeros(1)
    for out, read in ((batch[:1].clone(), batch), (batch.clone(), batch.float()), (batch.long(), batch.long())):
        with pytest.raises(ValueError, match="expected"):
            hide([out], [read], BOXES, COUNTS, color, *parameters)
    with pytest.raises(ValueError, match="regions are"):
        hide([batch], [], BOXES.double(), COUNTS, color, *parameters)


def test_gradients_are_those_of_eager():
    """They are the reference's, which no graph holds: torch.compile breaks off there, or says so."""

    def loss(x):
        return (blur(x, BOXES, COUNTS) ** 2).sum()

    batch = images(dtype=torch.float32)
    eager, graph = batch.clone().requires_grad_(), batch.clone().requires_grad_()
    loss(eager).backward()
    torch.compile(loss, backend="aot_eager")(graph).backward()
    assert torch.allclose(graph.grad, eager.grad)
    assert torch.allclose(torch.compile(torch.func.grad(loss), backend="aot_eager")(batch), eager.grad)
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported):
        torch.compile(torch.func.grad(loss), fullgraph=True, backend="aot_eager")(batch)


def test_tangents_are_those_of_eager():
    batch, direction = (
        images(dtype=torch.float32),
        torch.randn(2, 3, 80, 90, generator=torch.Generator().manual_seed(1)),
    )
    compiled = torch.compile(blur, backend="aot_eager")
    compiled(batch, BOXES, COUNTS)  # a graph without tangents is there already
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(batch, direction)
        expected, found = (forward_ad.unpack_dual(f(dual, BOXES, COUNTS)).tangent for f in (blur, compiled))
    assert torch.allclose(found, expected)


def test_export_keeps_boxes_and_sizes_open():
    class Blur(nn.Module):
        def forward(self, batch, boxes, counts):
            return blur(batch, boxes, counts)

    dynamic = torch.export.Dim.DYNAMIC
    shapes = ({0: dynamic, 2: dynamic, 3: dynamic}, {0: dynamic}, {0: dynamic})
    program = torch.export.export(Blur(), (images(), BOXES, COUNTS), dynamic_shapes=shapes).module()
    batch = images(100, 70).repeat(2, 1, 1, 1)
    boxes, counts = BOXES.repeat(2, 1, 1) / 2, torch.tensor([1, 0, 1, 1])
    assert torch.equal(program(batch, boxes, counts), blur(batch, boxes, counts))

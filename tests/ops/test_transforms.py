"""The operators under torch.func: derivatives against differences, vmap against a loop."""

import pytest
import torch
import torch.autograd.forward_ad as forward_ad

import fastblur

BOXES = [[[6, 5, 30, 28], [20, 15, 38, 40]]]
OPERATORS = {
    "blur": lambda x: fastblur.blur(x, BOXES),
    "pixelate": lambda x: fastblur.pixelate(x, BOXES, blocks=4),
    "fill": lambda x: fastblur.fill(x, BOXES, color=0.3, feather=0.1),
}
each = pytest.mark.parametrize("hide", OPERATORS.values(), ids=OPERATORS)


def image(dtype=torch.float64):
    return torch.rand(1, 2, 44, 48, dtype=dtype, generator=torch.Generator().manual_seed(0))


def weights():
    """What makes a number of an image, so that every pixel counts differently."""
    return torch.rand(1, 2, 44, 48, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@each
def test_grad_is_the_slope(hide):
    """The operators are affine in the image, so a difference is the derivative but for rounding."""
    direction = weights() - 0.5
    gradient = torch.func.grad(lambda x: (hide(x) * weights()).sum())(image())
    slope = ((hide(image() + direction) - hide(image())) * weights()).sum()
    assert torch.allclose((gradient * direction).sum(), slope, rtol=1e-6)
    asked = image().requires_grad_()
    (hide(asked) * weights()).sum().backward()
    assert torch.equal(gradient, asked.grad)


@each
def test_jvp_is_the_slope(hide):
    direction = weights() - 0.5
    value, tangent = torch.func.jvp(hide, (image(),), (direction,))
    assert torch.equal(value, hide(image()))
    assert torch.allclose(tangent, hide(image() + direction) - hide(image()), atol=1e-6)
    with forward_ad.dual_level():
        dual = hide(forward_ad.make_dual(image(torch.float32), direction.float()))
        assert torch.allclose(forward_ad.unpack_dual(dual).tangent, tangent.float(), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_vmap_is_a_loop(dtype):
    batch = torch.cat([image(torch.float32), 1 - image(torch.float32)])
    batch = (batch * 255).to(dtype) if dtype == torch.uint8 else batch
    for operator in (fastblur.blur, fastblur.pixelate):
        mapped = torch.func.vmap(lambda x, f=operator: f(x, BOXES[0]))(batch)
        looped = torch.stack([operator(one, BOXES[0], backend="reference") for one in batch])
        assert torch.allclose(mapped.float(), looped.float(), atol=1e-6)


def test_vmap_over_boxes_raises():
    counts = torch.tensor([1])
    boxes = torch.tensor([[[[2.0, 2, 9, 9]]], [[[3.0, 3, 8, 8]]]])
    one = image(torch.float32)
    with pytest.raises(ValueError, match="maps over the regions, expected in_dims=None"):
        torch.func.vmap(lambda b: fastblur.blur(one, fastblur.Regions(b, counts)))(boxes)


def test_grad_of_vmap_and_hessian():
    def loss(x):
        return (torch.func.vmap(lambda one: fastblur.blur(one, BOXES[0]))(x) ** 2).sum()

    gradient = torch.func.grad(loss)(image())
    asked = image().requires_grad_()
    (fastblur.blur(asked, BOXES) ** 2).sum().backward()
    assert torch.allclose(gradient, asked.grad)


def test_jit_trace_is_refused():
    with pytest.raises(ValueError, match=r"torch\.jit\.trace would keep the regions"):
        torch.jit.trace(lambda x: fastblur.blur(x, BOXES), image(torch.float32), check_trace=False)

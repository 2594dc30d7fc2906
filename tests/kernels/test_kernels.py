"""What all kernels have in common: their functions, the formula's numbers, and sentences for what they refuse."""

import inspect
import logging
import re
from importlib import import_module
from importlib.util import find_spec

import pytest
import torch

import fastblur
from fastblur.boxes import MAX_COORDINATE
from fastblur.kernels import constants
from fastblur.kernels.cpu.refusal import refuses as refused_by_cpu
from fastblur.kernels.cuda.refusal import refuses as refused_by_cuda
from fastblur.kernels.kernel import Kernel
from fastblur.kernels.parameters import KernelParameters
from tests.conftest import ROOT

needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="triton is absent (the extra fastblur[cuda])")
KERNELS = ["reference", "cpu.operators", "cpu.traced", pytest.param("cuda.operators", marks=needs_triton)]
FUNCTIONS = [name for name, value in vars(Kernel).items() if inspect.isfunction(value) and not name.startswith("_")]
ROWS = [[[2, 2, 9, 9]]]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_has_the_functions_of_the_protocol(kernel, name):
    expected = inspect.signature(getattr(Kernel, name))
    expected = expected.replace(parameters=[p for p in expected.parameters.values() if p.name != "self"])
    module = import_module(f"fastblur.kernels.{kernel}")
    assert inspect.signature(getattr(getattr(module, "KERNEL", module), name)) == expected


def test_there_are_four_functions():
    assert FUNCTIONS == ["blur", "pixelate", "fill", "masked_blur2d"]


def test_the_formula_is_the_one_that_the_docs_give():
    """The numbers, once in the code, are those of the page that says what every operator means."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    words = {"two": 2, "three": 3, "four": 4}

    def number(pattern):
        found = re.findall(pattern, page)
        assert found, pattern
        assert len(set(found)) == 1, found
        return float(words.get(found[0], found[0]))

    assert number(r"sigma_i = max\(([\d.]+) px, strength") == constants.MIN_SIGMA
    assert number(r"further than (\w+) deviations outside R_i") == constants.ALPHA_SUPPORT
    assert number(r"blocks of s = max\((\d+), ") == constants.MIN_BLOCK
    assert number(r"s = max\(1, ⌊sigma / ([\d.]+)⌋\)") == constants.SIGMA_PER_STEP


@needs_triton
def test_the_cuda_kernel_has_the_same_numbers_and_codes():
    from fastblur.kernels.cuda import plan

    numbers = {"RATIO": constants.SIGMA_PER_STEP, "SUPPORT": constants.ALPHA_SUPPORT, "FARTHEST": MAX_COORDINATE}
    names = ("BLUR", "MOSAIC", "MASK", "REPLICATE", "REFLECT", "CONSTANT", "CIRCULAR", "INSIDE")
    codes = {name: getattr(constants, name) for name in names} | {"COLOR": constants.FILL}
    assert {name: getattr(plan, name).value for name in numbers | codes} == numbers | codes


def test_numbers_and_borders():
    assert list(constants.BORDERS.values()) == [0, 1, 2, 3]
    assert constants.INSIDE not in constants.BORDERS.values()
    assert len({constants.BLUR, constants.MOSAIC, constants.FILL, constants.MASK}) == 4


def test_parameters_are_of_the_same_types_whatever_was_given():
    """Numba compiles once more for every other combination of types."""
    every = [
        KernelParameters.for_blur(fastblur.Recipe(strength=1, margin=0, feather=0)),
        KernelParameters.for_blur(fastblur.RECIPES["ilsvrc"]),
        KernelParameters.for_pixelate(8, 0, "ellipse"),
        KernelParameters.for_fill(1, 0, "box"),
    ]
    assert {tuple(map(type, parameters)) for parameters in every} == {(int, float, float, float, bool, bool, int)}
    assert [parameters.mode for parameters in every] == [
        constants.BLUR,
        constants.BLUR,
        constants.MOSAIC,
        constants.FILL,
    ]
    assert [parameters.blocks for parameters in every] == [0, 0, 8, 0]


def test_what_the_cpu_kernel_refuses():
    image = torch.rand(1, 3, 12, 12)
    assert refused_by_cpu(image, ()) is None
    assert refused_by_cpu([], ()) is None
    assert "for images on meta" in str(refused_by_cpu(image.to("meta"), ()))
    assert "for float64 images" in str(refused_by_cpu([image[0].double()], ()))
    sigma = torch.ones(1, 2, requires_grad=True)
    assert "a gradient" in str(refused_by_cpu(image, (sigma,)))
    with torch.no_grad():
        assert refused_by_cpu(image, (sigma,)) is None

    class Photograph(torch.Tensor):
        """As torchvision's Image."""

    assert "for a Photograph" in str(refused_by_cpu(image.as_subclass(Photograph), ()))
    seen = []
    torch.func.vmap(lambda one: seen.append(refused_by_cpu(one, ())) or one)(image)
    assert "of a transform" in str(seen[0])


def test_what_the_cuda_kernel_refuses(monkeypatch):
    from fastblur.kernels.cuda import refusal

    image = torch.rand(1, 3, 12, 12)
    monkeypatch.setattr(refusal, "INTERPRETED", False)
    assert refused_by_cuda(image, ()) == "for images on cpu, expected images on a CUDA device"
    monkeypatch.setattr(refusal, "INTERPRETED", True)
    monkeypatch.setattr(refusal, "HAS_TRITON", True)
    assert refused_by_cuda(image, ()) is None
    assert "for float64 images" in str(refused_by_cuda(image.double(), ()))
    assert "a gradient" in str(refused_by_cuda(image, (torch.ones(1, requires_grad=True),)))
    monkeypatch.setattr(refusal, "HAS_TRITON", False)
    assert "without the package triton" in str(refused_by_cuda(image, ()))


def test_the_log_says_which_kernel_ran_and_why_not_another(caplog):
    image = torch.rand(1, 3, 12, 12)
    with caplog.at_level(logging.DEBUG, logger="fastblur"):
        fastblur.fill(image, ROWS)
        fastblur.fill(image.double(), ROWS)
        fastblur.fill(image, ROWS, backend="reference")
    first, second, third = caplog.messages
    assert first == "backend 'cpu'"
    assert second.startswith("backend 'reference'; not 'cpu' for float64 images")
    assert third == "backend 'reference'"

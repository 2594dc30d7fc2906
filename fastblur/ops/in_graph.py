"""The operators in graphs of torch.compile, for one tensor on the CPU, by as few steps of Python as can be.

Every function and constant that a graph is made through is looked at again before each run of it. Through all that an
operator does outside of graphs this takes a tenth of the time of a blur; so the checks of arguments are left to the
custom operator, which makes them when the graph is made and when it runs.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from fastblur.kernels.cpu.traced import hide_on_cpu
from fastblur.kernels.parameters import KernelParameters
from fastblur.recipes import resolve_recipe
from fastblur.regions import Regions
from fastblur.transformed import constant_in_graphs, is_transforming


@constant_in_graphs
def blur_parameters(recipe: str, *overrides: float | str | None) -> tuple[float, ...]:
    """Return the values of KernelParameters for a blur; `overrides` are strength, margin, feather, shape and scope.

    Raises as `resolve_recipe`.
    """
    names = ("strength", "margin", "feather", "shape", "scope")
    return tuple(KernelParameters.for_blur(resolve_recipe(recipe, **dict(zip(names, overrides, strict=True)))))


def hide_in_graph(
    parameters: tuple[float, ...],  # the values of KernelParameters
    images: Any,
    regions: Any,
    out: Any,
    backend: str | None,
) -> Tensor | None:
    """Return the images with the regions hidden; None where this is a case for the operator itself."""
    if (
        out is not None
        or (backend is not None and backend != "cpu")
        or not isinstance(images, Tensor)
        or not images.is_cpu
        or (images.requires_grad and torch.is_grad_enabled())
        or forward_ad._current_level >= 0
        or images.dtype == torch.float64
        or not isinstance(regions, Regions)
        or is_transforming()
    ):
        return None
    result = torch.empty_like(images)
    hide_on_cpu([result], [images], regions.boxes, regions.counts, None, *parameters)
    return result

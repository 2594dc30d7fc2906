"""Kernels as operators of PyTorch that write into given tensors, which torch.compile and fake tensors know.

They are told apart by their names and defined by hand: `torch.library.custom_op` takes longer for each call than the
rest of what the host does.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fastblur.kernels.kernel import Batch, empty_like
from fastblur.kernels.parameters import KernelParameters
from fastblur.recipes import BorderType, Recipe, Shape
from fastblur.regions import Regions

HIDE = (
    "(Tensor(a!)[] out, Tensor[] images, Tensor boxes, Tensor counts, Tensor? color, int operator, float strength, "
    "float margin, float feather, bool ellipse, bool whole_image, int blocks) -> ()"
)
MASKED_BLUR2D = "(Tensor(a!)[] out, Tensor[] images, Tensor[] masks, Tensor sigma, str border_type) -> ()"
# After color come the values of KernelParameters; torch keeps the name "mode" for itself. All are given by their
# places, since names make a call 3 us longer.

LIBRARY = torch.library.Library("fastblur", "FRAGMENT")  # type: ignore[no-untyped-call]


def _nothing(*_arguments: Any, **_parameters: Any) -> None:
    """Say of fake tensors what the operators do to them: nothing that shows in a shape."""


class CustomOperators:
    """A kernel whose functions are calls of two operators.

    Args:
        suffix: what their names, fastblur::hide and fastblur::masked_blur2d, end with.
        hide, masked_blur2d: what they do, of the arguments that HIDE and MASKED_BLUR2D list. `out` and `images` are a
            batch (B, C, H, W) alone in its list, or the images (C, H, W) of a ragged batch; no images: in place.
        check_hide, check_masked_blur2d: what they do of fake tensors: nothing that shows in a shape.
    """

    def __init__(
        self,
        suffix: str,
        hide: Callable[..., None],
        masked_blur2d: Callable[..., None],
        check_hide: Callable[..., None] = _nothing,
        check_masked_blur2d: Callable[..., None] = _nothing,
    ) -> None:
        for name, function, check, signature in (
            ("hide", hide, check_hide, HIDE),
            ("masked_blur2d", masked_blur2d, check_masked_blur2d, MASKED_BLUR2D),
        ):
            LIBRARY.define(f"{name}{suffix}{signature}")  # type: ignore[no-untyped-call]
            LIBRARY.impl(f"{name}{suffix}", function, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
            torch.library.register_fake(f"fastblur::{name}{suffix}", check, lib=LIBRARY)
        self.hide_into = getattr(torch.ops.fastblur, f"hide{suffix}").default
        self.masked_into = getattr(torch.ops.fastblur, f"masked_blur2d{suffix}").default

    def blur(self, images: Batch, regions: Regions, recipe: Recipe, out: Batch | None = None) -> Batch:
        """Blur every region; see `fastblur.blur`."""
        return self._hide(images, regions, out, KernelParameters.for_blur(recipe))

    def pixelate(
        self, images: Batch, regions: Regions, blocks: int, margin: float, shape: Shape, out: Batch | None = None
    ) -> Batch:
        """Replace every region by a mosaic; see `fastblur.pixelate`."""
        return self._hide(images, regions, out, KernelParameters.for_pixelate(blocks, margin, shape))

    def fill(
        self,
        images: Batch,
        regions: Regions,
        color: Tensor,  # (C,) or (1,) float32, in the images' own scale
        margin: float,
        feather: float,
        shape: Shape,
        out: Batch | None = None,
    ) -> Batch:
        """Paint every region over; see `fastblur.fill`."""
        return self._hide(images, regions, out, KernelParameters.for_fill(margin, feather, shape), color)

    def masked_blur2d(
        self,
        images: Batch,
        mask: Batch,  # (B, 1, H, W), or a list of (1, H, W); bool or floating
        sigma: Tensor,  # (B, 2) float32, (y, x) px
        border_type: BorderType = "replicate",
        out: Batch | None = None,
    ) -> Batch:
        """Return images + mask * (gaussian(images, sigma) - images); see `fastblur.masked_blur2d`."""
        result = empty_like(images) if out is None else out
        if not _is_empty(images):
            written, read = _lists(images, result)
            self.masked_into(written, read, _as_list(mask), sigma, border_type)
        return result

    def _hide(
        self,
        images: Batch,
        regions: Regions,
        out: Batch | None,
        parameters: KernelParameters,
        color: Tensor | None = None,  # (C,) or (1,) float32
    ) -> Batch:
        result = empty_like(images) if out is None else out
        if not _is_empty(images):
            written, read = _lists(images, result)
            self.hide_into(written, read, regions.boxes, regions.counts, color, *parameters)
        return result


def _is_empty(images: Batch) -> bool:
    return (images.shape[0] if isinstance(images, Tensor) else len(images)) == 0


def _as_list(batch: Batch) -> list[Tensor]:
    return [batch] if isinstance(batch, Tensor) else list(batch)


def _lists(images: Batch, out: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Return what is written and what is read; nothing is read from elsewhere in place."""
    read, written = _as_list(images), _as_list(out)
    in_place = all(a is b or _same_memory(a, b) for a, b in zip(read, written, strict=True))
    return written, [] if in_place else read


def _same_memory(a: Tensor, b: Tensor) -> bool:
    # While a graph is traced there are no addresses; there, in place is `out=images` itself.
    if torch.compiler.is_compiling():
        return False
    return a.data_ptr() == b.data_ptr() and a.stride() == b.stride()

"""The CUDA kernel: Triton programs, four launches for a whole batch, padded or ragged, whatever the regions.

They work in place, on a copy where that is not asked for: what no region touches is moved by a plain copy. docs/gpu.md
explains them. Nothing is read back by the host. Together they are one operator of PyTorch that writes into given
tensors, so that `torch.compile` and fake tensors know it without running it.

With TRITON_INTERPRET=1 in the environment when Triton is first imported, everything runs on CPU tensors.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fastblur.kernels.constants import BLUR, BORDERS, FILL, INSIDE, MASK, MOSAIC, REPLICATE
from fastblur.kernels.cuda.launch import launch
from fastblur.kernels.kernel import Batch, empty_like
from fastblur.recipes import BorderType, Recipe, Shape
from fastblur.regions import Regions

MODES = {"blur": BLUR, "pixelate": MOSAIC, "fill": FILL}


def blur(images: Batch, regions: Regions, recipe: Recipe, out: Batch | None = None) -> Batch:
    """Blur every region; see `fastblur.blur`."""
    return _hide(
        images, regions, out, "blur", strength=recipe.strength, margin=recipe.margin, feather=recipe.feather,
        ellipse=recipe.shape == "ellipse", whole_image=recipe.scope == "image",
    )  # fmt: skip


def pixelate(
    images: Batch, regions: Regions, blocks: int, margin: float, shape: Shape, out: Batch | None = None
) -> Batch:
    """Replace every region by a mosaic; see `fastblur.pixelate`."""
    return _hide(images, regions, out, "pixelate", margin=margin, blocks=blocks, ellipse=shape == "ellipse")


def fill(
    images: Batch,
    regions: Regions,
    color: Tensor,
    margin: float,
    feather: float,
    shape: Shape,
    out: Batch | None = None,
) -> Batch:
    """Paint every region over; see `fastblur.fill`."""
    return _hide(
        images, regions, out, "fill", color=color, margin=margin, feather=feather, ellipse=shape == "ellipse"
    )  # fmt: skip


def masked_blur2d(
    images: Batch, mask: Batch, sigma: Tensor, border_type: BorderType = "replicate", out: Batch | None = None
) -> Batch:
    """Return images + mask * (gaussian(images, sigma) - images); see `fastblur.masked_blur2d`."""
    result = empty_like(images) if out is None else out
    if len(images):
        written, read = _lists(images, result)
        torch.ops.fastblur.masked_blur2d_(written, read, _as_list(mask), sigma, border_type)
    return result


def _hide(
    images: Batch, regions: Regions, out: Batch | None, operator: str, color: Tensor | None = None, **parameters: Any
) -> Batch:
    result = empty_like(images) if out is None else out
    if len(images):
        written, read = _lists(images, result)
        numbers = {"strength": 0.0, "margin": 0.0, "feather": 0.0, "blocks": 0, "ellipse": False, "whole_image": False}
        given = {**numbers, **parameters}
        torch.ops.fastblur.hide_(written, read, regions.boxes, regions.counts, color, operator=operator, **given)
    return result


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


def _hide_into(
    out: Sequence[Tensor],
    images: Sequence[Tensor],
    boxes: Tensor,
    counts: Tensor,
    color: Tensor | None,
    *,
    operator: str,
    strength: float,
    margin: float,
    feather: float,
    blocks: int,
    ellipse: bool,
    whole_image: bool,
) -> None:
    _copy(out, images)
    if boxes.shape[1] == 0:
        return
    if color is not None:
        color = _on_device(color, out[0].device)
    launch(
        out, boxes.contiguous(), counts.contiguous(), mode=MODES[operator],
        border=INSIDE if operator == "pixelate" else REPLICATE, color=color, strength=strength,
        margin=margin, feather=feather, blocks=blocks, ellipse=ellipse, whole_image=whole_image,
    )  # fmt: skip


def _masked_blur2d_into(
    out: Sequence[Tensor], images: Sequence[Tensor], masks: Sequence[Tensor], sigma: Tensor, border_type: str
) -> None:
    _copy(out, images)
    masks = [mask.view(torch.uint8) if mask.dtype == torch.bool else mask for mask in masks]
    launch(out, None, None, mode=MASK, border=BORDERS[border_type], sigmas=sigma.contiguous(), masks=masks)


def _copy(out: Sequence[Tensor], images: Sequence[Tensor]) -> None:
    """Copy `images`, which are none in place, into `out`; a ragged list in a few launches."""
    if len(images) == 1:
        out[0].copy_(images[0])
    elif images:
        torch._foreach_copy_(list(out), list(images))


def _nothing(*_arguments: Any, **_parameters: Any) -> None:
    """Say of fake tensors what the operators do to them: nothing that shows in a shape."""


# Defined by hand: `torch.library.custom_op` takes longer for each call than the rest of what the host does.
LIBRARY = torch.library.Library("fastblur", "FRAGMENT")  # type: ignore[no-untyped-call]
for name, function, signature in (
    (
        "hide_",
        _hide_into,
        "(Tensor(a!)[] out, Tensor[] images, Tensor boxes, Tensor counts, Tensor? color, *, str operator, "
        "float strength, float margin, float feather, int blocks, bool ellipse, bool whole_image) -> ()",
    ),
    (
        "masked_blur2d_",
        _masked_blur2d_into,
        "(Tensor(a!)[] out, Tensor[] images, Tensor[] masks, Tensor sigma, str border_type) -> ()",
    ),
):
    LIBRARY.define(name + signature)  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, function, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"fastblur::{name}", _nothing, lib=LIBRARY)


def _on_device(color: Tensor, device: torch.device) -> Tensor:
    if device.type == "cpu":
        return color.contiguous()
    if not torch.cuda.is_current_stream_capturing():
        return color.contiguous().pin_memory().to(device, non_blocking=True)
    # A graph would copy again, at every replay, from host memory that is no longer ours: its values go into the graph.
    made = torch.empty(len(color), device=device)
    for place, value in zip(made, color.tolist(), strict=True):
        place.fill_(value)
    return made

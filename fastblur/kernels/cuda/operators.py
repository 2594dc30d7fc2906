"""The CUDA kernel: Triton programs, four launches for a whole batch, padded or ragged, whatever the regions.

They work in place, on a copy where that is not asked for: what no region touches is moved by a plain copy. docs/gpu.md
explains them. Nothing is read back by the host. Together they are one operator of PyTorch.

With TRITON_INTERPRET=1 in the environment when Triton is first imported, everything runs on CPU tensors.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fastblur.kernels.constants import BORDERS, INSIDE, MASK, MOSAIC, REPLICATE
from fastblur.kernels.cuda.launch import launch
from fastblur.kernels.custom_operators import CustomOperators


def _hide_into(
    out: Sequence[Tensor],
    images: Sequence[Tensor],
    boxes: Tensor,
    counts: Tensor,
    color: Tensor | None,
    operator: int,
    strength: float,
    margin: float,
    feather: float,
    ellipse: bool,
    whole_image: bool,
    blocks: int,
) -> None:
    _copy(out, images)
    if boxes.shape[1] == 0:
        return
    if color is not None:
        color = _on_device(color, out[0].device)
    launch(
        out, boxes.contiguous(), counts.contiguous(), mode=operator,
        border=INSIDE if operator == MOSAIC else REPLICATE, color=color, strength=strength,
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


def _on_device(color: Tensor, device: torch.device) -> Tensor:
    if device.type == "cpu" or color.device.type != "cpu":
        return color.to(device).contiguous()
    if not torch.cuda.is_current_stream_capturing():
        return color.contiguous().pin_memory().to(device, non_blocking=True)
    # A graph would copy again, at every replay, from host memory that is no longer ours: its values go into the graph.
    made = torch.empty(len(color), device=device)
    for place, value in zip(made, color.tolist(), strict=True):
        place.fill_(value)
    return made


KERNEL = CustomOperators("_", _hide_into, _masked_blur2d_into)

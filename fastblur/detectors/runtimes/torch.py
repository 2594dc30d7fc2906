"""Networks run by PyTorch."""

from collections.abc import Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from fastblur.detectors.networks.spec import Forward
from fastblur.detectors.runtimes.batch_norm import fold_batch_norm
from fastblur.detectors.runtimes.fused import fuse_activations, helps_on


def on_device(net: nn.Module, device: torch.device, half: bool) -> Forward:
    """Return the network as PyTorch runs it fastest: batch norm folded, channels_last, in float16 where `half`.

    On CUDA ReLUs are part of the convolutions before them.
    """
    net = fold_batch_norm(net).to(device, torch.float16 if half else torch.float32).requires_grad_(False)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if helps_on(device):
        net = fuse_activations(net)
    if not half and not torch.amp.is_autocast_available(device.type):
        return net
    return partial(_forward, net, device.type, half)


def _forward(net: nn.Module, device: str, half: bool, x: Tensor) -> Sequence[Tensor]:
    # The weights are float16 already, autocast brings each layer's input to it. Without `half` it is off, so that the
    # boxes stay what they are where the caller is under autocast.
    with torch.autocast(device, dtype=torch.float16, enabled=half, cache_enabled=False):
        return cast(Sequence[Tensor], net(x))

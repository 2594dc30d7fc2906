"""Batch norm folded into the convolutions before it: the same network with fewer passes over memory."""

import copy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def fold_batch_norm(net: Net) -> Net:
    """Return a copy of `net` in which no batch norm that directly follows a convolution is left.

    In evaluation mode a batch norm is a scale and a shift of each channel, so it goes into the weight and bias of the
    convolution before it (Conv2d or ConvTranspose2d). Outputs agree with those of `net` to the rounding of float32.
    "Follows" is read from the order in which a module registers its children, which for the detectors is the order in
    which they run.

    Raises ValueError for a network in training mode, whose batch norms use the batch's own statistics.
    """
    if net.training:
        raise ValueError("the network is in training mode, expected evaluation mode (call .eval() first)")
    folded = copy.deepcopy(net)
    for module in list(folded.modules()):
        for (_, conv), (second, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d)) and isinstance(norm, nn.BatchNorm2d):
                _fold(conv, norm)
                setattr(module, second, nn.Identity())
    return folded


@torch.no_grad()
def _fold(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        raise ValueError("a batch norm keeps no running statistics, expected one that does")
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    shift = norm.bias - mean * scale
    # A transposed convolution's weight is (in, out / groups, ...), the inputs of one group after those of another.
    outputs = (1, -1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1)
    by_group = conv.weight.reshape(conv.groups, -1, *conv.weight.shape[1:]).flatten(3)
    conv.weight.copy_((by_group * scale.reshape(conv.groups, *outputs)).reshape(conv.weight.shape))
    conv.bias = nn.Parameter(shift if conv.bias is None else conv.bias * scale + shift)

"""Batch norm folded into the convolutions before it: the same network with fewer passes over memory."""

import copy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Net = TypeVar("Net", bound=nn.Module)


@torch.no_grad()
def fold_batch_norm(net: Net) -> Net:
    """Return a copy of `net` in which no batch norm that directly follows a convolution is left.

    In evaluation mode a batch norm is a scale and a shift of each channel, so it goes into the weight and bias of the
    convolution before it (Conv2d, or ConvTranspose2d without groups). Outputs agree with those of `net` to the rounding
    of float32. "Follows" is read from the order in which a module registers its children, which for the detectors is
    the order in which they run.

    Raises ValueError for a network in training mode, whose batch norms use the batch's own statistics.
    """
    if net.training:
        raise ValueError("the network is in training mode, expected evaluation mode (call .eval() first)")
    folded = copy.deepcopy(net)
    for module in list(folded.modules()):
        for (first, conv), (second, norm) in pairwise(list(module.named_children())):
            if not isinstance(conv, (nn.Conv2d, nn.ConvTranspose2d)) or not isinstance(norm, nn.BatchNorm2d):
                continue
            transposed = isinstance(conv, nn.ConvTranspose2d)
            if transposed and conv.groups > 1:  # PyTorch's function takes the weight's second axis for all outputs
                continue
            setattr(module, first, fuse_conv_bn_eval(conv, norm, transpose=transposed))
            setattr(module, second, nn.Identity())
    return folded

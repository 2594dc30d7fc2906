"""Convolution, bias, sum and ReLU as one call of cuDNN; PyTorch makes a launch and a pass over memory of each."""

import logging
from collections import Counter
from operator import add
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

LOGGER = logging.getLogger("fastblur")
CLOSE = 0.02  # of the largest value: how far cuDNN's result may be from PyTorch's, in float16
PROBE = 32  # pixels, the sides of the input on which they are compared

_unable: set[tuple[Any, ...]] = set()  # shapes of weights and inputs for which cuDNN has no such call


def helps_on(device: torch.device) -> bool:
    """Return whether networks on this device gain by `fuse_activations`."""
    return device.type == "cuda" and torch.version.hip is None and _has_cudnn()


@torch.no_grad()
def fuse_activations(net: nn.Module) -> nn.Module:
    """Return `net` with each ReLU that alone follows a convolution, or a convolution and a sum, done by that call.

    Outputs agree with those of `net` to one rounding where there were two or three. On CUDA each layer is tried first,
    and left to PyTorch where cuDNN does not take it or gives something else. A network that cannot be traced is
    returned as it is.
    """
    try:
        traced = fx.symbolic_trace(net)
    except Exception as reason:  # Python that depends on the input's values, which a network may have
        LOGGER.debug("ReLUs are not fused into the convolutions of %s: %s", type(net).__name__, reason)
        return net
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and isinstance(modules[node.target], nn.Identity):  # where a batch norm was
            node.replace_all_uses_with(node.args[0])
            traced.graph.erase_node(node)
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and type(modules[node.target]) is nn.Conv2d and calls[node.target] == 1:
            conv = modules[node.target]
            if conv.padding_mode == "zeros" and not isinstance(conv.padding, str):
                _fuse(traced, node, FusedConv(conv), modules)
    traced.graph.lint()
    traced.recompile()
    return traced


def _fuse(traced: fx.GraphModule, node: fx.Node, fused: "FusedConv", modules: dict[str, nn.Module]) -> None:
    """Put `fused` in the place of a convolution and the ReLU after it, where there is one and cuDNN does both."""
    last, added = node, None
    follower = _only_user(node)
    if follower is not None and follower.op == "call_function" and follower.target is add and len(follower.args) == 2:
        last, added = follower, next((one for one in follower.args if one is not node), None)
        if not isinstance(added, fx.Node):
            return
    relu = _only_user(last)
    if relu is None or not _is_relu(relu, modules) or not fused.is_right(added is not None):
        return
    with traced.graph.inserting_before(relu):
        given = (node.args[0],) if added is None else (node.args[0], added)
        result = traced.graph.call_module(cast(str, node.target), given)
    relu.replace_all_uses_with(result)
    for gone in (relu, last, node):
        if not gone.users and gone in traced.graph.nodes:
            traced.graph.erase_node(gone)
    parent, _, name = cast(str, node.target).rpartition(".")
    setattr(traced.get_submodule(parent), name, fused)


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules[cast(str, node.target)]) is nn.ReLU
    return node.op == "call_function" and node.target in (F.relu, torch.relu)


class FusedConv(nn.Module):
    """A convolution, what is added to it, and a ReLU.

    Args:
        conv: the convolution, with zeros around the image.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(
        self,
        x: Tensor,  # (B, C, h, w)
        added: Tensor | None = None,  # as the result
    ) -> Tensor:  # (B, channels, h', w')
        """Return relu(conv(x) + added) in the dtype of the weights."""
        conv = self.conv
        places = conv.stride, conv.padding, conv.dilation, conv.groups
        x = x.to(conv.weight.dtype)
        if torch.compiler.is_compiling():  # a compiler fuses by itself
            return _plain(x, conv.weight, conv.bias, added, *places)
        return cast(Tensor, torch.ops.fastblur.conv_relu(x, conv.weight, conv.bias, added, *places))

    def is_right(self, adds: bool) -> bool:
        """Return whether the one call gives what PyTorch's several give; always so but on CUDA."""
        weight, bias = self.conv.weight, self.conv.bias
        if not _runs_cudnn(weight):
            return True
        generator = torch.Generator(weight.device).manual_seed(0)
        shape = 1, self.conv.in_channels, PROBE, PROBE
        x = torch.rand(shape, device=weight.device, generator=generator).to(weight.dtype)
        x = x.to(memory_format=torch.channels_last)
        places: tuple[Any, ...] = self.conv.stride, self.conv.padding, self.conv.dilation, self.conv.groups
        added = torch.rand_like(F.conv2d(x, weight, bias, *places)) if adds else None
        expected = _plain(x, weight, bias, added, *places).float()
        try:
            result = _cudnn(x, weight, bias, added, *places).float()
        except RuntimeError as reason:
            LOGGER.debug("cuDNN does not fuse a ReLU into %s: %s", self.conv, reason)
            return False
        return bool((result - expected).abs().max() <= CLOSE * expected.abs().max())


def _has_cudnn() -> bool:
    return bool(torch.backends.cudnn.is_available() and torch.backends.cudnn.enabled)  # type: ignore[no-untyped-call]


def _runs_cudnn(x: Tensor) -> bool:
    return x.is_cuda and _has_cudnn()


def _plain(x: Tensor, weight: Tensor, bias: Tensor | None, added: Tensor | None, *places: Any) -> Tensor:
    y = F.conv2d(x, weight, bias, *places)
    return F.relu(y if added is None else y + added)


def _cudnn(x: Tensor, weight: Tensor, bias: Tensor | None, added: Tensor | None, *places: Any) -> Tensor:
    if added is None:
        return cast(Tensor, torch.ops.aten.cudnn_convolution_relu(x, weight, bias, *places))
    return cast(Tensor, torch.ops.aten.cudnn_convolution_add_relu(x, weight, added, 1.0, bias, *places))


def _fits(added: Tensor, x: Tensor, weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Return whether what is added has the result's own shape and dtype, which cuDNN takes for granted."""
    sides = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    shape = [(n + 2 * around - apart * (taps - 1) - 1) // step + 1 for n, taps, step, around, apart in sides]
    return added.dtype == x.dtype and added.shape == (x.shape[0], weight.shape[0], *shape)


def _conv_relu(x: Tensor, weight: Tensor, bias: Tensor | None, added: Tensor | None, *places: Any) -> Tensor:
    shapes = x.shape, x.dtype, weight.shape, *map(tuple, places[:3])
    if _runs_cudnn(x) and shapes not in _unable and (added is None or _fits(added, x, weight, *places)):
        try:
            return _cudnn(x, weight, bias, added, *places)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as reason:  # no engine for this shape
            _unable.add(shapes)
            LOGGER.debug("cuDNN does not fuse a ReLU into a convolution of %s: %s", tuple(x.shape), reason)
    return _plain(x, weight, bias, added, *places)


LIBRARY = torch.library.Library("fastblur", "FRAGMENT")  # type: ignore[no-untyped-call]
LIBRARY.define(  # type: ignore[no-untyped-call]
    "conv_relu(Tensor x, Tensor weight, Tensor? bias, Tensor? added, int[] stride, int[] padding, int[] dilation, "
    "int groups) -> Tensor"
)
LIBRARY.impl("conv_relu", _conv_relu, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]

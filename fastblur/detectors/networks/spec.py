"""Network: what a detector must know of the network that it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from torch import Tensor, nn

Forward: TypeAlias = Callable[[Tensor], Sequence[Tensor]]
"""The normalised input, (B, 3, h, w) -> the heads."""


class Candidates(NamedTuple):
    """Boxes before NMS, of each image of a batch."""

    boxes: Tensor  # (B, A, 4) float32, xyxy px
    scores: Tensor  # (B, A) float32, in 0..1
    landmarks: Tensor | None  # (B, A, 5, 2) float32, xy px


@dataclass(frozen=True)
class Network:
    """What a detector must know of the network that it runs; each network's file makes its own, named for what it is.

    Attributes:
        load: makes the network, in evaluation mode on the CPU, from its weights' file. Its forward takes (B, 3, h, w)
            float32, normalised, h and w multiples of `multiple`, and returns a tuple of tensors (the heads), with no
            Python that depends on B, h or w, so that one export to ONNX serves all of them.
        decode: (heads, h, w) -> boxes, scores, landmarks of every anchor, in pixels of the (h, w) input, by tensor
            operations without a host synchronisation; with a fourth argument, (B, K) int64, of these anchors alone.
        scores: heads -> the scores (B, A) of every anchor, so that only the best of them need be decoded.
        threshold: the least score of a region, unless the user says otherwise.
        nms_threshold: of two regions whose intersection over union is above it, the one with the lower score goes.
        detect_size: the longest side in pixels that the network sees, unless the user says otherwise; None: the
            image's own.
        mean, std: the network sees (pixel - mean) / std, pixels in 0..255, in its own channel order.
        bgr: whether its channels are blue, green, red.
        multiple: what the sides of the network's input are multiples of; the image is padded to it, never stretched.
        half: whether its boxes stay the same to half a pixel when it runs in float16 (docs/detectors.md).
        graph: makes the ONNX model from the weights' file where the weights are one; None: `load`'s is exported.
    """

    load: Callable[[Path], nn.Module]
    decode: Callable[..., Candidates]
    scores: Callable[[Sequence[Tensor]], Tensor]
    threshold: float
    nms_threshold: float
    detect_size: int | None = None
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bgr: bool = False
    multiple: int = 32
    half: bool = False
    graph: Callable[[Path], bytes] | None = None

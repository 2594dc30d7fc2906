"""RetinaFace (Deng et al., CVPR 2020, arXiv:1905.00641) with a ResNet-50 or a MobileNet-0.25 backbone."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastblur.detectors.networks.anchors import (
    Levels,
    decode_boxes,
    decode_landmarks,
    gather_anchors,
    gather_rows,
    make_anchors,
)
from fastblur.detectors.networks.spec import Candidates, Network
from fastblur.detectors.state_dict import load_state_dict

# Stride, and the sides of a cell's two anchors, in pixels, as each network was trained.
RESNET50_LEVELS: Levels = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
MOBILENET025_LEVELS: Levels = ((8, (10, 20)), (16, (32, 64)), (32, (128, 256)))


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions, 1x1, 3x3 and 1x1, around which the input is added (He et al., 2016)."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != 4 * channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, 4 * channels, 1, stride, bias=False), nn.BatchNorm2d(4 * channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 4 * channels, h / stride, w / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


class ResNet50(nn.Module):
    """The ResNet-50 backbone without its classifier; module names as in torchvision, so that its state dicts load."""

    channels = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = self._layer(64, 64, blocks=3, stride=1)
        self.layer2 = self._layer(256, 128, blocks=4, stride=2)
        self.layer3 = self._layer(512, 256, blocks=6, stride=2)
        self.layer4 = self._layer(1024, 512, blocks=3, stride=2)

    @staticmethod
    def _layer(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        rest = [Bottleneck(4 * channels, channels, 1) for _ in range(blocks - 1)]
        return nn.Sequential(Bottleneck(in_channels, channels, stride), *rest)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, h, w) -> the feature maps at strides 8, 16 and 32."""
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        c2 = self.layer1(F.max_pool2d(x, 3, 2, 1))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return [c3, c4, self.layer4(c4)]


def _conv_bn(in_channels: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(channels)
    )


def _conv_bn_relu(in_channels: int, channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return _conv_bn(in_channels, channels, kernel, stride).append(nn.ReLU(inplace=True))


def _conv_depthwise(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """MobileNet's pair: a 3x3 convolution within each channel, then a 1x1 convolution across them."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(in_channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class MobileNet025(nn.Module):
    """MobileNet (Howard et al., arXiv:1704.04861) with a quarter of its channels, without its classifier."""

    channels = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _conv_bn_relu(3, 8, 3, 2),
            _conv_depthwise(8, 16, 1),
            _conv_depthwise(16, 32, 2),
            _conv_depthwise(32, 32, 1),
            _conv_depthwise(32, 64, 2),
            _conv_depthwise(64, 64, 1),
        )
        self.stage2 = nn.Sequential(_conv_depthwise(64, 128, 2), *(_conv_depthwise(128, 128, 1) for _ in range(5)))
        self.stage3 = nn.Sequential(_conv_depthwise(128, 256, 2), _conv_depthwise(256, 256, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, h, w) -> the feature maps at strides 8, 16 and 32."""
        c3 = self.stage1(x)
        c4 = self.stage2(c3)
        return [c3, c4, self.stage3(c4)]


class FPN(nn.Module):
    """Feature pyramid (Lin et al., 2017): coarse feature maps, upsampled, are added to the finer ones."""

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        self.output1 = _conv_bn_relu(in_channels[0], channels, 1)
        self.output2 = _conv_bn_relu(in_channels[1], channels, 1)
        self.output3 = _conv_bn_relu(in_channels[2], channels, 1)
        self.merge1 = _conv_bn_relu(channels, channels, 3)
        self.merge2 = _conv_bn_relu(channels, channels, 3)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Feature maps at strides 8, 16, 32, any channels -> the same three sizes with `channels` channels each."""
        p3, p4, p5 = self.output1(features[0]), self.output2(features[1]), self.output3(features[2])
        p4 = self.merge2(p4 + F.interpolate(p5, size=p4.shape[2:], mode="nearest"))
        p3 = self.merge1(p3 + F.interpolate(p4, size=p3.shape[2:], mode="nearest"))
        return [p3, p4, p5]


class SSH(nn.Module):
    """Context module of SSH (Najibi et al., 2017): receptive fields of 3, 5 and 7 pixels, concatenated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv3X3 = _conv_bn(channels, channels // 2, 3)
        self.conv5X5_1 = _conv_bn_relu(channels, channels // 4, 3)
        self.conv5X5_2 = _conv_bn(channels // 4, channels // 4, 3)
        self.conv7X7_2 = _conv_bn_relu(channels // 4, channels // 4, 3)
        self.conv7x7_3 = _conv_bn(channels // 4, channels // 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        y = self.conv5X5_1(x)
        return F.relu(torch.cat((self.conv3X3(x), self.conv5X5_2(y), self.conv7x7_3(self.conv7X7_2(y))), dim=1))


class Head(nn.Module):
    """A 1x1 convolution that gives `values` numbers for each of a cell's two anchors."""

    def __init__(self, in_channels: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(in_channels, 2 * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, h * w * 2, values): rows of cells from the top, each from the left."""
        y: Tensor = self.conv1x1(x)
        return y.permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.values)


class RetinaFace(nn.Module):
    """Backbone, FPN, three SSH modules, and three heads on each of them.

    Module names are those of the published state dicts: of retinaface-pytorch 0.0.8 for ResNet-50 (456 entries), and
    of Face-Detector-1MB-with-landmark for MobileNet-0.25.

    Args:
        body: the backbone; its `channels` says how many its feature maps at strides 8, 16 and 32 have.
        channels: how many the FPN and SSH modules have.
    """

    def __init__(self, body: ResNet50 | MobileNet025, channels: int) -> None:
        super().__init__()
        self.body = body
        self.fpn = FPN(body.channels, channels)
        self.ssh1, self.ssh2, self.ssh3 = (SSH(channels) for _ in range(3))
        self.ClassHead = nn.ModuleList(Head(channels, 2) for _ in range(3))
        self.BboxHead = nn.ModuleList(Head(channels, 4) for _ in range(3))
        self.LandmarkHead = nn.ModuleList(Head(channels, 10) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, h, w) -> offsets (B, A, 4), logits (B, A, 2) of background and face, landmarks (B, A, 10)."""
        p3, p4, p5 = self.fpn(self.body(x))
        features = (self.ssh1(p3), self.ssh2(p4), self.ssh3(p5))
        boxes, logits, landmarks = (
            torch.cat([head(f) for head, f in zip(heads, features, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return boxes, logits, landmarks


def scores(heads: Sequence[Tensor]) -> Tensor:
    """Return the scores (B, A) in 0..1 of all anchors."""
    logits = heads[1].float()
    return torch.sigmoid(logits[..., 1] - logits[..., 0])  # the softmax of two logits


def decode(levels: Levels, heads: Sequence[Tensor], height: int, width: int, best: Tensor | None = None) -> Candidates:
    """Turn the network's heads into boxes, without a loop over images and without a host synchronisation.

    Args:
        levels: the anchors that the network was trained with.
        heads: the three tensors that `RetinaFace` returns for a (B, 3, height, width) input, floating, any device.
        height: of the network's input, in pixels.
        width: of the network's input, in pixels.
        best: (B, A) int64, which anchors; None: all of them.

    Returns boxes (B, A, 4) xyxy in pixels of the input, scores (B, A) in 0..1, landmarks (B, A, 5, 2) xy; all float32.
    """
    selected = [gather_rows(head, best).float() for head in heads]
    anchors = gather_anchors(make_anchors(levels, height, width, heads[0].device), best)
    boxes, landmarks = decode_boxes(selected[0], anchors), decode_landmarks(selected[2], anchors)
    return Candidates(boxes, scores(selected), landmarks)


def load_resnet50(path: Path) -> RetinaFace:
    """Return RetinaFace with ResNet-50 and the weights of `retinaface-pytorch` 0.0.8, in evaluation mode.

    Raises OSError or ValueError for a file that cannot be read or holds other weights.
    """
    return _loaded(RetinaFace(ResNet50(), 256), path)


def load_mobilenet025(path: Path) -> RetinaFace:
    """Return RetinaFace with MobileNet-0.25 and the weights of Face-Detector-1MB, in evaluation mode.

    Those are not the weights of the same name in Pytorch_Retinaface, whose network has the same state dict but leaky
    ReLUs and larger anchors: they load here, and find nothing.

    Raises OSError or ValueError for a file that cannot be read or holds other weights.
    """
    return _loaded(RetinaFace(MobileNet025(), 64), path)


def _loaded(net: RetinaFace, path: Path) -> RetinaFace:
    load_state_dict(net, path)
    return net.eval()


RESNET50 = Network(
    load=load_resnet50,
    decode=partial(decode, RESNET50_LEVELS),
    scores=scores,
    threshold=0.5,
    nms_threshold=0.4,
    detect_size=960,  # as in the package
    mean=(255 * 0.485, 255 * 0.456, 255 * 0.406),  # ImageNet's, of pixels in 0..1
    std=(255 * 0.229, 255 * 0.224, 255 * 0.225),
)

MOBILENET025 = Network(
    load=load_mobilenet025,
    decode=partial(decode, MOBILENET025_LEVELS),
    scores=scores,
    threshold=0.5,
    nms_threshold=0.4,
    detect_size=1920,
    mean=(104.0, 117.0, 123.0),
    bgr=True,
)

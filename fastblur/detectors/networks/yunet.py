"""YuNet (Wu, Peng and Yu, 2023): kornia's network, decoded without a loop over images."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from fastblur.detectors.networks.anchors import (
    decode_boxes,
    decode_landmarks,
    gather_anchors,
    gather_rows,
    make_anchors,
)
from fastblur.detectors.networks.spec import Candidates, Network
from fastblur.detectors.state_dict import load_state_dict

# stride, and the sides of a cell's two or three anchors, in pixels
LEVELS = ((8, (10, 16, 24)), (16, (32, 48)), (32, (64, 96)), (64, (128, 192, 256)))


class YuNet(nn.Module):
    """kornia's YuNet with its three heads as a tuple; kornia is imported when it is made, not before."""

    def __init__(self) -> None:
        super().__init__()
        try:
            from kornia.models.yunet import YuNet as KorniaYuNet
        except ImportError:  # before kornia 0.8.3
            from kornia.contrib.face_detection import YuFaceDetectNet as KorniaYuNet

        self.net = KorniaYuNet("test", pretrained=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, h, w), sides multiples of 64 -> offsets (B, A, 14), probabilities (B, A, 2), IoU (B, A, 1)."""
        heads = self.net(x)
        return heads["loc"], heads["conf"], heads["iou"]


def scores(heads: Sequence[Tensor]) -> Tensor:
    """Return the scores (B, A) of all anchors: geometric means of the face's probability and of the predicted IoU."""
    _, probabilities, iou = (head.float() for head in heads)
    return (probabilities[..., 1] * iou[..., 0].clamp(0, 1)).sqrt()


def decode(heads: Sequence[Tensor], height: int, width: int, best: Tensor | None = None) -> Candidates:
    """Turn the network's heads into boxes, without a loop over images and without a host synchronisation.

    Args:
        heads: the three tensors that `YuNet` returns for a (B, 3, height, width) input, floating, any device.
        height: of the network's input, in pixels.
        width: of the network's input, in pixels.
        best: (B, A) int64, which anchors; None: all of them.

    Returns boxes (B, A, 4) xyxy in pixels of the input, scores (B, A) in 0..1, landmarks (B, A, 5, 2) xy; all float32.
    """
    selected = [gather_rows(head, best).float() for head in heads]
    anchors = gather_anchors(make_anchors(LEVELS, height, width, heads[0].device), best)
    offsets = selected[0]  # (B, A, 14): of the box and of five points
    boxes, landmarks = decode_boxes(offsets[..., :4], anchors), decode_landmarks(offsets[..., 4:], anchors)
    return Candidates(boxes, scores(selected), landmarks)


def load(path: Path) -> YuNet:
    """Return YuNet with kornia's weights (yunet_final.pth), in evaluation mode.

    Raises OSError or ValueError for a file that cannot be read or holds other weights.
    """
    net = YuNet()
    load_state_dict(net.net, path)
    return net.eval()


YUNET = Network(
    load=load,
    decode=decode,
    scores=scores,
    threshold=0.5,
    nms_threshold=0.3,
    detect_size=1920,
    bgr=True,
    multiple=64,
)

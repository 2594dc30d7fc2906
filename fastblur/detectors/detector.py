"""The way through that every detector shares: images in, Regions out."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from fastblur.detectors.networks.spec import Decoded, Forward, Network
from fastblur.detectors.nms import nms
from fastblur.detectors.preprocess import as_stacks, fitted, letterbox, padded
from fastblur.detectors.runtimes.cuda_graph import Graphs
from fastblur.detectors.runtimes.onnx import Session, exported
from fastblur.detectors.runtimes.torch import on_device
from fastblur.detectors.weights import find
from fastblur.files import sha256
from fastblur.regions import Regions

CANDIDATES = 4096  # of an image's anchors above the score threshold, how many of the best go into NMS from each look
REGIONS = 512  # an image can have where the host may not look and so cannot ask for fewer rows
CHUNK_PIXELS = 1 << 18  # of network input at once on the CPU: its feature maps then stay near the caches of one core
COARSE = 320  # longest side of an image's second look
LOOK_TWICE = 512  # longest side above which the network gets one


class Detector:
    """Finds faces: `detector(images)` gives their Regions. Made by `load_detector`, which explains the arguments.

    Every image is scaled down so that its longer side is at most `size` (antialiased, its shape kept), padded at the
    right and below with what the network sees as nothing, and run through the network. The networks miss faces of more
    than about 400 pixels, so an image of which they see more than 512 is looked at a second time, at 320, and what both
    looks find goes into one NMS. (Of 40 faces that fill four fifths of an image scaled to 1000 pixels, one look of
    CenterFace finds 28, of YuNet 27, of RetinaFace with MobileNet none; two looks find all.)

    On the CPU images are taken in groups whose padded sizes are equal, so the answer for an image does not depend on
    those beside it. On CUDA, and under `torch.compile`, the whole batch goes through at once, padded to its largest,
    nothing waits for the device, and the Regions are padded to 512 rows an image (or to all candidates, where there are
    fewer). Of an image with more regions the last row is the box around all that did not fit: nothing found is lost.

    Attributes:
        name: of the detector.
        device: where the network runs.
        engine: "torch" or "onnx".
        half: whether the network runs in float16; all that comes after it is float32.
        score_threshold: the least score of a region.
        size: the longest side in pixels that the network sees, or None for the images' own.
        weights_sha256: of the weights' file, in hexadecimal.

    A detector keeps nothing between calls, and many threads may call it at once.
    """

    def __init__(
        self,
        name: str,
        network: Network,
        *,
        device: torch.device | str = "cpu",
        weights: str | PathLike[str] | None = None,
        score_threshold: float | None = None,
        size: int | None = None,
        engine: Literal["torch", "onnx"] | None = None,
        threads: int | None = None,
        half: bool | None = None,
        graph: bool = False,
    ) -> None:
        self.name = name
        self.loading: Callable[[], Detector] | None = None
        self.device = torch.device(device)
        self.engine = engine or ("onnx" if self.device.type == "cpu" else "torch")
        self.score_threshold = network.score_threshold if score_threshold is None else score_threshold
        self.size = network.size if size is None else size
        self.half = (network.half and self.device.type == "cuda") if half is None else half
        if self.engine not in ("torch", "onnx"):
            raise ValueError(f"engine is {engine!r}, expected 'torch', 'onnx' or None")
        if self.engine == "onnx" and self.device.type != "cpu":
            raise ValueError(f"engine is 'onnx' on device {str(self.device)!r}, expected 'torch' or device 'cpu'")
        if self.half and self.engine != "torch":
            raise ValueError(f"half is {half!r} with engine {self.engine!r}, expected engine 'torch'")
        if graph and (self.engine != "torch" or self.device.type != "cuda"):
            raise ValueError(
                f"graph is {graph!r} with engine {self.engine!r} on device {str(self.device)!r}, "
                "expected engine 'torch' on a CUDA device"
            )
        if isinstance(score_threshold, bool) or not 0 <= self.score_threshold <= 1:
            raise ValueError(f"score_threshold is {score_threshold!r}, expected a number in 0..1")
        for option, number in (("size", size), ("threads", threads)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
                raise ValueError(f"{option} is {number!r}, expected an int >= 1 or None")
        path = find(name, weights)
        self.weights_sha256 = sha256(path)
        self._network = network
        self._threads = torch.get_num_threads() if threads is None else threads
        self._forward, self._forward_alone = self._made(path, graph)
        self._format = torch.channels_last if self.engine == "torch" else torch.contiguous_format
        mean, std = torch.tensor(network.mean), torch.tensor(network.std)
        self._mean, self._std = (values[:, None, None].to(self.device) for values in (mean, std))
        self._fill = self._mean.flip(0) if network.bgr else self._mean
        self._normalises = bool((mean != 0).any() or (std != 1).any())

    def __call__(self, images: Tensor | Sequence[Tensor]) -> Regions:
        """Return the regions of `images`.

        Args:
            images: (B, 3, H, W) or (3, H, W), RGB, uint8 in 0..255 or floating in 0..1, in any memory format, or a list
                of (3, H, W) of different sizes; on any device.

        Returns Regions on the images' device, in the images' own pixels, clipped to them, sorted by score from the
        highest, with scores and, where the network has them, landmarks; for a single (3, H, W), Regions of length 1.

        An image for which the network's numbers are not finite gets a region over the whole of it: nothing is known
        about it, so all of it is to be hidden.

        Raises TypeError or ValueError for anything else.
        """
        stacks = as_stacks(images)
        if sum(len(stack) for stack in stacks) == 0:
            return Regions.from_boxes([], [], device=stacks[0].device if stacks else "cpu")
        groups = self._groups(stacks)
        if len(groups) == 1 or self._forward_alone is None:
            parts = [self._candidates(self._forward, group) for _, group in groups]
        else:
            # A core for each group beats all cores for one group after the other, and by far on a busy machine, where
            # all would wait for the slowest.
            with ThreadPoolExecutor(min(self._threads, len(groups))) as pool:
                parts = list(pool.map(partial(self._candidates, self._forward_alone), [group for _, group in groups]))
        order = [index for indices, _ in groups for index in indices]
        return self._regions(*_joined(parts, order)).to(stacks[0].device)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a copy, or another process, load the detector anew: sessions and graphs belong to their process."""
        if self.loading is None:
            raise TypeError(f"detector {self.name!r} cannot be copied, expected one that load_detector gave")
        return self.loading, ()

    def __repr__(self) -> str:
        return (
            f"Detector({self.name!r}, device={str(self.device)!r}, engine={self.engine!r}, "
            f"score_threshold={self.score_threshold}, size={self.size})"
        )

    def _made(self, path: Path, graph: bool) -> tuple[Forward, Forward | None]:
        """Return the network as its engine runs it, on all threads, and where it helps on one."""
        network = self._network
        if self.engine == "torch":
            forward = on_device(network.load(path), self.device, self.half)
            return Graphs(forward) if graph else forward, None
        if network.graph is not None:
            model = network.graph(path)
        else:
            model = exported(self.name, network.load(path), self.weights_sha256)
        return Session(model, self._threads), Session(model, 1) if self._threads > 1 else None

    def _looks(self, stacks: Sequence[Tensor]) -> list[list[tuple[int, int]]]:
        """Return, for each look at the images, the (h, w) that the network sees of each stack."""
        shapes = [(stack.shape[2], stack.shape[3]) for stack in stacks]
        fine = [fitted(h, w, self.size) for h, w in shapes]
        if max(max(size) for size in fine) <= LOOK_TWICE:
            return [fine]
        return [fine, [fitted(h, w, COARSE) for h, w in shapes]]

    def _canvas(self, sizes: list[tuple[int, int]]) -> tuple[int, int]:
        return padded(max(h for h, _ in sizes), max(w for _, w in sizes), self._network.multiple)

    def _groups(self, stacks: list[Tensor]) -> list[tuple[Sequence[int], list[Tensor]]]:
        """Return what goes through the network at once: the indices of images, and the images as stacks."""
        firsts = accumulate((len(stack) for stack in stacks), initial=0)
        if not _may_look(self.device):
            return [(range(sum(len(stack) for stack in stacks)), stacks)]
        groups: list[tuple[Sequence[int], list[Tensor]]] = []
        open_groups: dict[tuple[tuple[int, int], ...], tuple[list[int], list[Tensor]]] = {}
        for first, stack in zip(firsts, stacks, strict=False):
            canvases = tuple(self._canvas(sizes) for sizes in self._looks([stack]))
            most = max(1, CHUNK_PIXELS // (canvases[0][0] * canvases[0][1]))
            for i in range(0, len(stack), most):
                piece = stack[i : i + most]
                indices, pieces = open_groups.get(canvases, ([], []))
                if not indices or len(indices) + len(piece) > most:
                    indices, pieces = open_groups[canvases] = ([], [])
                    groups.append((indices, pieces))
                indices.extend(range(first + i, first + i + len(piece)))
                pieces.append(piece)
        return groups

    @torch.no_grad()
    def _candidates(self, forward: Forward, stacks: list[Tensor]) -> Decoded:
        """Return the best anchors of one group, over all its looks."""
        limit = self._rows(stacks, [(stack.shape[2], stack.shape[3]) for stack in stacks])
        looks = [self._look(forward, stacks, sizes, limit) for sizes in self._looks(stacks)]
        if len(looks) == 1:
            return looks[0]
        points = [look[2] for look in looks if look[2] is not None]
        boxes, scores = torch.cat([look[0] for look in looks], dim=1), torch.cat([look[1] for look in looks], dim=1)
        return boxes, scores, torch.cat(points, dim=1) if points else None

    @torch.no_grad()
    def _regions(self, boxes: Tensor, scores: Tensor, points: Tensor | None) -> Regions:
        """Return the regions that NMS leaves of the candidates of all images."""
        valid = (scores >= self.score_threshold) & (boxes[..., :2] < boxes[..., 2:]).all(-1)
        keep = nms(boxes, scores, valid, self._network.nms_threshold)
        counts = keep.sum(1)
        order = torch.where(keep, scores, -torch.inf).argsort(dim=1, descending=True, stable=True)
        if _may_look(order.device):
            order = order[:, : int(counts.max())]
        placed = _take(boxes, order)
        if order.shape[1] > REGIONS and not _may_look(order.device):
            placed, counts, order = _bounded(placed, counts), counts.clamp(max=REGIONS), order[:, :REGIONS]
        return Regions(placed, counts, _take(scores, order), None if points is None else _take(points, order))

    def _look(self, forward: Forward, stacks: list[Tensor], sizes: list[tuple[int, int]], limit: Tensor) -> Decoded:
        """Return the best anchors of one look, in the images' pixels, as (B, K, 4), (B, K) and (B, K, 5, 2) or None.

        On CUDA no value decides a shape: candidates under the threshold are among them.
        """
        height, width = self._canvas(sizes)
        x = letterbox(stacks, sizes, (height, width), self._fill, self._format)
        if self._network.bgr:
            x = x.flip(1)
        if self._normalises:
            x.sub_(self._mean).div_(self._std)
        heads = forward(x)
        best = self._best(self._network.scores(heads))
        boxes, scores, landmarks = self._network.decode(heads, height, width, best)
        scale = limit / self._rows(stacks, sizes)
        boxes = boxes * scale.repeat(1, 1, 2)
        known = torch.isfinite(boxes).all(-1) & torch.isfinite(scores)
        whole = torch.cat((torch.zeros_like(limit), limit), dim=-1)
        boxes = torch.where(known[..., None], boxes.clamp(min=0).minimum(limit.repeat(1, 1, 2)), whole)
        scores = torch.where(known, scores, 1.0)
        return boxes, scores, None if landmarks is None else landmarks * scale[:, :, None]

    def _rows(self, stacks: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> Tensor:
        """Return every image's (width, height), (B, 1, 2) float32, of the (height, width) of its stack."""
        if len(stacks) == 1:  # written by the device itself, so that a CUDA graph may record it
            (h, w), count = sizes[0], len(stacks[0])
            return torch.stack([torch.full((count, 1), float(n), device=self.device) for n in (w, h)], dim=2)
        if (
            self.device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        ):  # its replays would read freed memory
            raise RuntimeError("a list of images came while a CUDA graph is captured, expected a batch (B, 3, H, W)")
        rows = [(w, h) for stack, (h, w) in zip(stacks, sizes, strict=True) for _ in range(len(stack))]
        table = torch.tensor(rows, dtype=torch.float32, pin_memory=self.device.type == "cuda")
        return table.to(self.device, non_blocking=True)[:, None]

    def _best(self, scores: Tensor) -> Tensor:
        """Return which anchors go into NMS, (B, K), of their scores (B, A)."""
        most = min(CANDIDATES, scores.shape[1])
        if _may_look(scores.device):  # it costs nothing and spares the work for candidates that are none
            most = min(most, int((~(scores < self.score_threshold)).sum(1).max()))
        return scores.topk(most, dim=1).indices  # what is not a number counts as the highest


def _may_look(device: torch.device) -> bool:
    """Whether the host may look at values: elsewhere it would wait for the device, or for a graph that is traced."""
    return device.type == "cpu" and not torch.compiler.is_compiling()


def _bounded(boxes: Tensor, counts: Tensor) -> Tensor:
    """Return the first REGIONS of (B, K, 4) boxes; of an image with more, the last is the box around all others."""
    beyond = torch.arange(boxes.shape[1], device=boxes.device) >= REGIONS - 1
    beyond = (beyond & (torch.arange(boxes.shape[1], device=boxes.device) < counts[:, None]))[..., None]
    low = torch.where(beyond, boxes[..., :2], torch.inf).amin(1)
    high = torch.where(beyond, boxes[..., 2:], -torch.inf).amax(1)
    around = torch.where(counts[:, None] >= REGIONS, torch.cat((low, high), dim=1), 0.0)
    return torch.cat((boxes[:, : REGIONS - 1], around[:, None]), dim=1)


def _take(rows: Tensor, index: Tensor) -> Tensor:
    """Return the rows (B, K, ...) of `rows` (B, A, ...) that `index` (B, K) names."""
    return rows.gather(1, index.reshape(*index.shape, *[1] * (rows.ndim - 2)).expand(*index.shape, *rows.shape[2:]))


def _joined(parts: list[Decoded], order: list[int]) -> Decoded:
    """Return the candidates of all groups as one, image `order[i]` being the i-th of them, padded with scores of -1."""
    if len(parts) == 1 and order == sorted(order):
        return parts[0]
    most = max(scores.shape[1] for _, scores, _ in parts)
    index = torch.tensor(order).argsort()

    def together(tensors: list[Tensor], fill: float = 0.0) -> Tensor:
        wide = [F.pad(t, (0, 0) * (t.ndim - 2) + (0, most - t.shape[1]), value=fill) for t in tensors]
        return torch.cat(wide)[index]

    points = [part[2] for part in parts if part[2] is not None]
    boxes, scores = together([part[0] for part in parts]), together([part[1] for part in parts], -1.0)
    return boxes, scores, together(points) if points else None

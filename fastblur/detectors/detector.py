"""Detector and load_detector: images through a network, and Regions out."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastblur._version import __version__
from fastblur.detectors.multi_scale import Piece, Size, canvas_of, groups_of_equal_canvas, image_indices, pass_sizes
from fastblur.detectors.networks.spec import Candidates, Forward, Network
from fastblur.detectors.postprocess import (
    best_anchors,
    can_sync_host,
    join_groups,
    join_passes,
    mark_overflow,
    to_image_pixels,
    to_regions,
    to_regions_and_near_misses,
)
from fastblur.detectors.preprocess import as_stacks, check_pixels_are_there, fits_one_launch, letterbox, stacks_on
from fastblur.detectors.registry import DEFAULT_DETECTOR, network_of
from fastblur.detectors.runtimes.cuda_graph import CudaGraphCache
from fastblur.detectors.runtimes.onnx import Session, exported, kept
from fastblur.detectors.runtimes.torch import on_device
from fastblur.detectors.settings import DetectorSettings
from fastblur.detectors.weights import find
from fastblur.files import sha256
from fastblur.forked import use_one_thread_if_forked
from fastblur.regions import Regions


def load_detector(name: str = DEFAULT_DETECTOR, **settings: Any) -> "Detector":
    """Return the detector called `name`: a callable that takes images and gives their Regions (see `Detector`).

    Args:
        name: "centerface", "retinaface-resnet50", "retinaface-mobilenet0.25" or "yunet".
        settings: device, weights, threshold, detect_size, engine, threads, half, graph, channels, as `DetectorSettings`
            explains.

    Raises UsageError (a ValueError) for an unknown name or a setting out of range, TypeError for an unknown setting,
    WeightsNotFound (a FileNotFoundError) where there are no weights, WrongWeights (a ValueError) where their file is
    not the published one, MissingPackage (an ImportError) where a package is not installed.

    Example:
        >>> import torch
        >>> from fastblur import load_detector
        >>> detector = load_detector("centerface", threshold=0.4)
        >>> detector(torch.zeros(2, 3, 120, 160, dtype=torch.uint8)).counts
        tensor([0, 0])
    """
    return Detector(name, network_of(name), DetectorSettings(**settings))


class Detector:
    """Finds faces: `detector(images)` gives their Regions. Made by `load_detector`.

    Every image is scaled down so that its longer side is at most `detect_size` (antialiased, its shape kept), padded at
    the right and below with what the network sees as nothing, and run through the network. The networks miss faces of
    more than about 400 pixels, so an image of which they see more than 512 goes through a second time, at 320, and what
    both passes find goes into one NMS. (Of 40 faces that fill four fifths of an image scaled to 1000 pixels, one pass
    of CenterFace finds 28, of YuNet 27, of RetinaFace with MobileNet none; two passes find all.)

    On the CPU images are taken in groups whose padded sizes are equal, so the answer for an image does not depend on
    the images that came with it. On CUDA, and under `torch.compile`, the whole batch goes through at once, padded to
    its largest, nothing waits for the device, and the Regions are padded to 512 rows an image (or to all candidates,
    where there are fewer). Of an image with more regions the last row is the box around all that did not fit; an image
    with more than 4096 anchors above the threshold in one pass is one region as a whole: nothing found is lost. On the
    CPU neither has a limit.

    Args:
        name: of the detector, a key of `fastblur.detectors.weights.WEIGHTS`.
        network: what it runs.
        settings: as the user chose them.

    Attributes:
        name: of the detector.
        device: where the network runs.
        engine: "torch" or "onnx".
        half: whether the network runs in float16; all that comes after it is float32.
        threshold: the least score of a region.
        detect_size: the longest side in pixels that the network sees, or None for the images' own.
        weights_sha256: of the weights' file, in hexadecimal.

    A detector keeps nothing between calls, and many threads may call it at once. A copy, or another process that it is
    sent to, loads it from its weights' file.

    Example:
        >>> import torch
        >>> from fastblur import load_detector
        >>> detector = load_detector(engine="torch")
        >>> detector
        Detector('centerface', device='cpu', engine='torch', threshold=0.25, detect_size=1920)
        >>> regions = detector([torch.zeros(3, 60, 80), torch.zeros(3, 480, 640)])
        >>> regions.boxes.shape, regions.counts
        (torch.Size([2, 0, 4]), tensor([0, 0]))
    """

    def __init__(self, name: str, network: Network, settings: DetectorSettings) -> None:
        use_one_thread_if_forked()
        self.name = name
        self.device = torch.device(settings.device)
        self.engine = settings.engine
        self.threshold = network.threshold if settings.threshold is None else settings.threshold
        self.detect_size = network.detect_size if settings.detect_size is None else settings.detect_size
        self.half = (network.half and self.device.type == "cuda") if settings.half is None else settings.half
        path = find(name, settings.weights)
        self.weights_sha256 = sha256(path)
        self._network = network
        self._settings = settings
        self._threads = settings.threads or torch.get_num_threads()
        self._forward, self._forward_alone = self._runtimes(path)
        self._format = torch.channels_last if self.engine == "torch" else torch.contiguous_format
        mean, std = (torch.tensor(values, dtype=torch.float32) for values in (network.mean, network.std))
        self._mean, self._std = (values[:, None, None].to(self.device) for values in (mean, std))  # (3, 1, 1)
        self._reverses = network.bgr != (settings.channels == "bgr")
        self._fill = self._mean.flip(0) if self._reverses else self._mean  # (3, 1, 1) as the images' channels
        self._normalises = bool((mean != 0).any() or (std != 1).any())

    def __call__(self, images: Tensor | Sequence[Tensor]) -> Regions:
        """Return the regions of `images`.

        Args:
            images: (B, 3, H, W) or (3, H, W), RGB unless the setting `channels` says otherwise, or with one grey
                channel; uint8 in 0..255 or floating in 0..1, in any memory format, or a list of (3, H, W) of different
                sizes; on any device.

        Returns Regions on the images' device, in the images' own pixels, clipped to them, sorted by score from the
        highest, with scores and, where the network has them, landmarks; for a single (3, H, W), Regions of length 1.

        An image for which the network's numbers are not finite gets a region over the whole of it: nothing is known
        about it, so all of it is to be hidden.

        Raises TypeError or ValueError for anything else.
        """
        (regions,) = self._search(images, None)
        return regions

    def with_near_misses(self, images: Tensor | Sequence[Tensor]) -> tuple[Regions, Regions]:
        """Return the regions of `images`, the same as a call gives, and the near misses.

        Near misses are what was found with a score of at least half the threshold but under it; at most
        `fastblur.detectors.postprocess.MAX_NEAR_MISSES` an image, sorted by score from the highest. NMS has dropped
        those that overlap a region.

        Args and errors as for a call.

        Example:
            >>> import torch
            >>> from fastblur import load_detector
            >>> regions, near_misses = load_detector().with_near_misses(torch.zeros(1, 3, 60, 80, dtype=torch.uint8))
            >>> regions.counts, near_misses.counts
            (tensor([0]), tensor([0]))
        """
        regions, near_misses = self._search(images, self.threshold / 2)
        return regions, near_misses

    def _search(self, images: Tensor | Sequence[Tensor], lowest: float | None) -> list[Regions]:
        """Return the regions, and with `lowest` the near misses down to that score too."""
        if not torch.compiler.is_compiling():
            use_one_thread_if_forked()
        stacks = as_stacks(images)
        check_pixels_are_there(stacks, self.device)
        counts = [len(stack) for stack in stacks]
        if sum(counts) == 0:
            none = Regions.from_boxes([], [], device=stacks[0].device if stacks else "cpu")
            return [none] if lowest is None else [none, none]
        can_sync = can_sync_host(self.device)
        groups = [[Piece(i, 0, count) for i, count in enumerate(counts)]]
        if can_sync:
            sizes = [_size(stack) for stack in stacks]
            groups = groups_of_equal_canvas(counts, sizes, self.detect_size, self._network.multiple)
        pixels = [[stacks[piece.stack][piece.start : piece.stop] for piece in group] for group in groups]
        if len(groups) == 1 or self._forward_alone is None:
            found = [self._candidates(self._forward, can_sync, lowest, group) for group in pixels]
        else:
            # A core for each group is faster than all cores for one group after the other, and by far on a busy
            # machine, where all would wait for the slowest.
            with ThreadPoolExecutor(min(self._threads, len(groups))) as pool:
                found = list(pool.map(partial(self._candidates, self._forward_alone, can_sync, lowest), pixels))
        candidates = join_groups(found, image_indices(groups, counts))
        return [regions.to(stacks[0].device) for regions in self._regions(candidates, can_sync, lowest)]

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a copy, or another process, load the detector: sessions and CUDA graphs belong to their process."""
        return Detector, (self.name, self._network, self._settings)

    def __repr__(self) -> str:
        return (
            f"Detector({self.name!r}, device={str(self.device)!r}, engine={self.engine!r}, "
            f"threshold={self.threshold}, detect_size={self.detect_size})"
        )

    def _runtimes(self, path: Path) -> tuple[Forward, Forward | None]:
        """Return the network as its engine runs it, on all threads, and where it helps on one."""
        network = self._network
        if self.engine == "torch":
            forward = on_device(network.load(path).float(), self.device, self.half)
            return CudaGraphCache(forward) if self._settings.graph else forward, None
        if network.graph is not None:
            model = kept(f"{self.name}-{self.weights_sha256[:16]}-fastblur{__version__}", partial(network.graph, path))
        else:
            model = exported(self.name, network.load(path).float(), self.weights_sha256)
        return Session(model, self._threads), Session(model, later=True) if self._threads > 1 else None

    @torch.no_grad()
    def _candidates(
        self,
        forward: Forward,
        can_sync: bool,
        lowest: float | None,  # score of a candidate; None: the threshold
        stacks: list[Tensor],  # (b, 3, H, W) each
    ) -> Candidates:  # (B, K, ...) in the images' pixels
        """Return the best anchors of one group of images, over all passes."""
        stacks = stacks_on(stacks, self.device)
        own_sizes = [_size(stack) for stack in stacks]
        own = self._per_image(stacks, own_sizes)
        passes = []
        for sizes in pass_sizes(own_sizes, self.detect_size):
            seen = self._per_image(stacks, sizes)
            candidates = self._run_pass(forward, can_sync, lowest, stacks, sizes, seen)
            passes.append(to_image_pixels(candidates, seen, own))
        return join_passes(passes)

    def _run_pass(
        self,
        forward: Forward,
        can_sync: bool,
        lowest: float | None,  # score of a candidate; None: the threshold
        stacks: list[Tensor],  # (b, 3, H, W) each
        sizes: list[Size],  # at which the network sees them
        seen: Tensor,  # (B, 1, 2) float32, the same on the device: (width, height) of each image
    ) -> Candidates:  # (B, K, ...) in pixels of the network's input
        """Return the best anchors of one pass through the network."""
        height, width = canvas_of(sizes, self._network.multiple)
        heads = forward(self._input(stacks, sizes, seen, (height, width)))
        scores = self._network.scores(heads)  # (B, A)
        best = best_anchors(scores, self.threshold if lowest is None else lowest, can_sync)
        candidates = Candidates(*self._network.decode(heads, height, width, best))
        return candidates if can_sync else mark_overflow(candidates, scores, self.threshold)

    def _input(
        self,
        stacks: list[Tensor],  # (b, 3, H, W) each
        sizes: list[Size],  # at which the network sees them
        seen: Tensor,  # (B, 1, 2) float32, the same on the device
        canvas: Size,
    ) -> Tensor:  # (B, 3, *canvas)
        """Return what the network is given: the images on one canvas, in its order of channels, normalised."""
        if fits_one_launch(stacks, self.device):
            from fastblur.detectors.letterbox_triton import letterbox_triton

            half = torch.float16 if self.half else torch.float32
            return letterbox_triton(stacks, seen, canvas, self._mean, self._std, self._reverses, self._format, half)
        dtype = torch.float16 if self.half and not self._normalises else torch.float32  # where it is rounded next
        x = letterbox(stacks, sizes, canvas, self._fill, self._format, dtype)
        if self._reverses:
            x = x.flip(1)
        if self._normalises:
            x.sub_(self._mean).div_(self._std)
        return x

    @torch.no_grad()
    def _regions(self, candidates: Candidates, can_sync: bool, lowest: float | None) -> Sequence[Regions]:
        threshold, overlap = self.threshold, self._network.nms_threshold
        if lowest is None:
            return [to_regions(candidates, threshold, overlap, can_sync)]
        return to_regions_and_near_misses(candidates, threshold, lowest, overlap, can_sync)

    def _per_image(
        self,
        stacks: Sequence[Tensor],  # (b, 3, H, W) each
        sizes: Sequence[Size],  # one for each stack
    ) -> Tensor:  # (B, 1, 2) float32
        """Return the (width, height) of every image."""
        if len(stacks) == 1:  # written by the device itself, so that a CUDA graph may record it
            (h, w), count = sizes[0], len(stacks[0])
            columns = [torch.full((count, 1), n, dtype=torch.float32, device=self.device) for n in (w, h)]
            return torch.stack(columns, dim=2)
        if self.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
            # A replay would read memory that has been freed.
            raise RuntimeError("a list of images came while a CUDA graph is captured, expected a batch (B, 3, H, W)")
        rows = [(w, h) for stack, (h, w) in zip(stacks, sizes, strict=True) for _ in range(len(stack))]
        table = torch.tensor(rows, dtype=torch.float32, pin_memory=self.device.type == "cuda")
        return table.to(self.device, non_blocking=True)[:, None]


def _size(stack: Tensor) -> Size:  # of (b, 3, H, W)
    return stack.shape[2], stack.shape[3]

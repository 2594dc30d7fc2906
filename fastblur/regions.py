"""Regions: the boxes to hide in every image of a batch, padded into one tensor on one device."""

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from fastblur.box_formats import as_scores, as_sizes, image_boxes
from fastblur.boxes import check_boxes, check_pixels
from fastblur.errors import UsageError
from fastblur.options import BoxFormat
from fastblur.transformed import as_array


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a batch of B images, padded to N an image; immutable.

    Args:
        boxes: (B, N, 4) float32, xyxy in pixels; rows at and after `counts[b]` are padding and are never looked at.
        counts: (B,) int64, how many regions each image has, 0 <= counts <= N.
        scores: (B, N) float32 in 0..1, or None where no detector gave any.
        landmarks: (B, N, 5, 2) float32, xy in pixels (eyes, nose, corners of the mouth), or None.
        validate: check the values too: coordinates that are finite, corners that are not reversed, boxes that are not
            relative to the image's sides, counts. `from_boxes` always does, and so do the operators on the CPU. On
            other devices they do not, since that would wait for the device: there boxes of another kind hide nothing
            or the wrong place, without a word.

    Raises TypeError for something that is not a tensor, ValueError for a wrong shape, mixed devices, or what `validate`
    finds.

    >>> import torch
    >>> from fastblur import Regions
    >>> boxes = torch.tensor([[[10.0, 20, 30, 40], [5, 5, 9, 9]], [[0, 0, 8, 8], [0, 0, 0, 0]]])
    >>> regions = Regions(boxes, torch.tensor([2, 1]), scores=torch.tensor([[0.9, 0.3], [0.8, 0.0]]))
    >>> regions.above(0.5).tolist()
    [[[10.0, 20.0, 30.0, 40.0]], [[0.0, 0.0, 8.0, 8.0]]]
    """

    boxes: Tensor
    counts: Tensor
    scores: Tensor | None = None
    landmarks: Tensor | None = None
    validate: InitVar[bool] = False

    def __post_init__(self, validate: bool) -> None:
        for name in ("boxes", "counts", "scores", "landmarks"):
            value = getattr(self, name)
            if not isinstance(value, Tensor) and not (value is None and name in ("scores", "landmarks")):
                raise TypeError(f"Regions {name} is a {type(value).__name__}, expected a torch.Tensor")
        boxes, counts = self.boxes, self.counts
        if boxes.ndim != 3 or boxes.shape[2] != 4:
            raise ValueError(f"Regions boxes have shape {tuple(boxes.shape)}, expected (B, N, 4)")
        if tuple(counts.shape) != (boxes.shape[0],):
            raise ValueError(f"Regions counts have shape {tuple(counts.shape)}, expected ({boxes.shape[0]},)")
        expected = {"scores": tuple(boxes.shape[:2]), "landmarks": (*boxes.shape[:2], 5, 2)}
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ValueError(f"Regions {name} have shape {tuple(value.shape)}, expected {shape}")
        devices = {t.device for t in (boxes, counts, self.scores, self.landmarks) if t is not None}
        if len(devices) > 1:
            raise ValueError(f"Regions are on several devices ({', '.join(sorted(map(str, devices)))}), expected one")
        if boxes.dtype != torch.float32:
            object.__setattr__(self, "boxes", boxes.to(torch.float32))
        if counts.dtype != torch.int64:
            object.__setattr__(self, "counts", counts.to(torch.int64))
        if validate:
            self.check()

    def check(
        self,
        sides: np.ndarray | None = None,  # (B,) px
    ) -> None:
        """Raise ValueError for a region that is not a box in pixels, or a wrong count; waits for the device.

        Args:
            sides: (B,) the shorter side of each image in pixels, where it is known.
        """
        boxes, counts = as_array(self.boxes.cpu()), as_array(self.counts.cpu())
        if ((counts < 0) | (counts > boxes.shape[1])).any():
            raise ValueError(f"Regions counts are {counts.tolist()}, expected 0 to {boxes.shape[1]} as the boxes")
        check_boxes(boxes, counts)
        check_pixels(boxes, counts, sides)

    @classmethod
    def from_boxes(
        cls,
        boxes: Sequence[Any],
        scores: Sequence[Any] | None = None,
        *,
        format: BoxFormat | None = None,
        size: Any = None,
        device: torch.device | str = "cpu",
    ) -> "Regions":
        """Return Regions made of the boxes of each image.

        Args:
            boxes: a list with, for each image, (n_i, 4) numbers as an array, tensor or list of lists, which may be
                empty; or what a library gives for it: torchvision's BoundingBoxes, in any of its formats without an
                angle, or the dict of its detectors; supervision's Detections; an Ultralytics result; an image's list
                of COCO annotations; the faces of InsightFace or retinaface-pytorch; Regions of one image.
            scores: a list with (n_i,) scores for each image; None for those that came with the boxes, if any did.
            format: what the numbers are: "xyxy", the corners (the default for plain numbers); "xywh", the upper left
                corner, width and height; "cxcywh", the centre, width and height; with an n, "xyxyn", relative to the
                image's sides. The names are torchvision's; what Ultralytics calls xywh is "cxcywh".
            size: (H, W) in pixels of all images, or a list with that of each; for formats relative to it.
            device: where the Regions go.

        Raises ValueError for rows that are not four finite numbers up to 2^24, reversed corners, boxes that all lie in
        0..1 without a relative format, a format that contradicts what the boxes say of theirs, or scores that do not
        match.

        >>> from fastblur import Regions
        >>> regions = Regions.from_boxes([[[10, 20, 30, 40], [5, 5, 9, 9]], []])
        >>> regions, regions.counts.tolist()
        (Regions(2 in 2 images, device='cpu'), [2, 0])
        >>> Regions.from_boxes([[[0.1, 0.2, 0.5, 0.4]]], format="xyxyn", size=(100, 200)).tolist()
        [[[20.0, 20.0, 100.0, 40.0]]]
        """
        if hasattr(boxes, "counts") or not hasattr(boxes, "__len__"):
            raise TypeError(f"boxes are a {type(boxes).__name__}, expected a list with the boxes of each image")
        sizes = as_sizes(size, len(boxes))
        rows, found = [], []
        for i, one in enumerate(boxes):
            hw = None if sizes is None else sizes[i]
            own = None if not isinstance(one, Regions) else one._only(i)
            if own is not None and format not in (None, "xyxy"):
                raise UsageError(f"boxes of image {i} are Regions, which are 'xyxy', and format is {format!r}")
            some, its_scores = image_boxes(one if own is None else own.boxes[0, : int(own.counts[0])], i, format, hw)
            if own is not None and own.scores is not None:
                its_scores = as_scores(own.scores[0, : len(some)], len(some), i)
            rows.append(some)
            found.append(its_scores)
        lengths = np.array([len(r) for r in rows], np.int64)
        padded = np.zeros((len(rows), int(lengths.max(initial=0)), 4), np.float32)
        for i, r in enumerate(rows):
            padded[i, : len(r)] = r
        check_boxes(padded, lengths)
        check_pixels(padded, lengths, None if sizes is None else np.array(sizes).reshape(-1, 2).min(1, initial=1 << 30))
        if scores is not None:
            if len(scores) != len(rows):
                raise ValueError(f"scores are for {len(scores)} images, expected {len(rows)} as the boxes")
            found = [as_scores(one, len(r), i) for i, (one, r) in enumerate(zip(scores, rows, strict=True))]
        table = None
        if scores is not None or any(one is not None for one in found):
            table = np.zeros(padded.shape[:2], np.float32)
            for i, one in enumerate(found):
                if one is None and len(rows[i]):  # some have scores, others none
                    table = None
                    break
                table[i, : len(rows[i])] = [] if one is None else one
        padded_scores = None if table is None else torch.from_numpy(table).to(device)
        return cls(torch.from_numpy(padded).to(device), torch.from_numpy(lengths).to(device), padded_scores)

    @staticmethod
    def cat(parts: "Iterable[Regions]") -> "Regions":
        """Return the Regions of all images of several, in their order, padded to the most regions of one.

        Scores and landmarks are kept where all parts have them. Raises ValueError where there are no parts, or they are
        on several devices.

        >>> from fastblur import Regions
        >>> Regions.cat([Regions.from_boxes([[[1, 2, 3, 4]]]), Regions.from_boxes([[], []])])
        Regions(1 in 3 images, device='cpu')
        """
        parts = list(parts)
        if not parts or not all(isinstance(part, Regions) for part in parts):
            raise ValueError(f"Regions.cat was given {parts!r}, expected at least one Regions, and nothing else")
        if len({part.device for part in parts}) > 1:
            devices = ", ".join(sorted({str(part.device) for part in parts}))
            raise ValueError(f"Regions are on several devices ({devices}), expected one")
        most = max(part.boxes.shape[1] for part in parts)

        def joined(name: str) -> Tensor | None:
            tensors = [getattr(part, name) for part in parts]
            if any(tensor is None for tensor in tensors):
                return None
            padded = []
            for tensor in tensors:
                missing = (tensor.shape[0], most - tensor.shape[1], *tensor.shape[2:])
                padded.append(torch.cat((tensor, tensor.new_zeros(missing)), dim=1))
            return torch.cat(padded)

        boxes = joined("boxes")
        assert boxes is not None
        return Regions(boxes, torch.cat([part.counts for part in parts]), joined("scores"), joined("landmarks"))

    @property
    def device(self) -> torch.device:
        """The device that holds every tensor of the Regions."""
        return self.boxes.device

    @property
    def valid(self) -> Tensor:
        """(B, N) bool: which rows are regions and not padding."""
        return torch.arange(self.boxes.shape[1], device=self.device) < self.counts[:, None]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Regions":
        """Return the Regions on `device`."""
        return self._map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Regions":
        """Return the Regions in pinned memory, from which copies to CUDA overlap with work; data loaders call it."""
        return self._map(Tensor.pin_memory)

    def above(self, score: float) -> "Regions":
        """Return the regions whose score is at least `score`, in their order, without a host synchronisation.

        Raises ValueError where the Regions have no scores.
        """
        if self.scores is None:
            raise ValueError("these Regions have no scores, expected Regions from a detector")
        return self._select(self.scores >= score)

    def scaled(self, sx: float | Tensor, sy: float | Tensor) -> "Regions":
        """Return the regions with x times `sx` and y times `sy`; a number, or (B,) for a scale an image."""
        x, y = (torch.as_tensor(s, dtype=torch.float32, device=self.device).reshape(-1, 1) for s in (sx, sy))
        boxes = self.boxes * torch.stack((x, y, x, y), dim=-1)
        landmarks = None if self.landmarks is None else self.landmarks * torch.stack((x, y), dim=-1)[..., None, :]
        return Regions(boxes, self.counts, self.scores, landmarks)

    def clipped(self, sizes: Tensor | Sequence[tuple[int, int]] | tuple[int, int]) -> "Regions":
        """Return the regions cut to their images; `sizes` is (H, W) for all or (B, 2) of them, in pixels.

        A region wholly outside becomes one of no area, which the operators skip. Landmarks stay where they are.
        Raises ValueError for sizes of another shape.
        """
        hw = torch.as_tensor(sizes, dtype=torch.float32, device=self.device)
        if tuple(hw.shape) not in ((2,), (len(self), 2)):
            raise ValueError(f"sizes have shape {tuple(hw.shape)}, expected (2,), or ({len(self)}, 2) as the images")
        hw = hw.reshape(-1, 1, 2)
        limit = hw.flip(-1).repeat(1, 1, 2)
        return Regions(self.boxes.clamp(min=0).minimum(limit), self.counts, self.scores, self.landmarks)

    def tolist(self) -> list[list[list[float]]]:
        """Return the boxes as nested lists: image, region, [x0, y0, x1, y1]."""
        return [b[:n].tolist() for b, n in zip(self.boxes.cpu(), self.counts.tolist(), strict=True)]

    def __len__(self) -> int:
        """Return the number of images."""
        return self.boxes.shape[0]

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> "Regions": ...
    def __getitem__(self, index: int | slice) -> "Tensor | Regions":
        """Return image `index`'s boxes, (n, 4) float32; a slice gives the Regions of those images."""
        if isinstance(index, slice):
            return self._map(lambda t: t[index])
        try:
            place = operator.index(index)
        except TypeError:
            kind = type(index).__name__
            raise TypeError(f"Regions were indexed with a {kind}, expected an int or a slice") from None
        return self.boxes[place, : int(self.counts[place])]

    def __iter__(self) -> Iterator[Tensor]:
        """Yield each image's boxes, (n, 4) float32."""
        for boxes, count in zip(self.boxes, self.counts.tolist(), strict=True):
            yield boxes[:count]

    def __repr__(self) -> str:
        known = self.device.type != "meta" and not torch._C._functorch.is_functorch_wrapped_tensor(self.counts)
        count = int(self.counts.sum()) if known else "unknown"
        return f"Regions({count} in {len(self)} images, device={str(self.device)!r})"

    def _only(self, index: int) -> "Regions":
        if len(self) != 1:
            raise ValueError(f"boxes of image {index} are Regions of {len(self)} images, expected those of one")
        return self

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Regions":
        """Return the Regions whose every tensor is `function` of its own."""
        scores, landmarks = (None if t is None else function(t) for t in (self.scores, self.landmarks))
        return Regions(function(self.boxes), function(self.counts), scores, landmarks)

    def _select(
        self,
        keep: Tensor,  # (B, N) bool
    ) -> "Regions":
        """Return the regions that are to be kept, in their order."""
        keep = keep & self.valid
        # A stable sort moves the kept rows to the front: no shape depends on a value, so nothing waits for the device.
        order = torch.argsort(keep.to(torch.int8), dim=1, descending=True, stable=True)
        scores = None if self.scores is None else self.scores.gather(1, order)
        landmarks = None
        if self.landmarks is not None:
            landmarks = self.landmarks.gather(1, order[..., None, None].expand_as(self.landmarks))
        boxes = self.boxes.gather(1, order[..., None].expand_as(self.boxes))
        return Regions(boxes, keep.sum(1), scores, landmarks)

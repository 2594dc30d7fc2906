"""Regions: the boxes to hide in every image of a batch, padded into one tensor on one device."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from fastblur.boxes import Boxes, check_boxes


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of a batch of B images, padded to N an image; immutable.

    Args:
        boxes: (B, N, 4) float32, xyxy in pixels; rows at and after `counts[b]` are padding and are never looked at.
        counts: (B,) int64, how many regions each image has, 0 <= counts <= N.
        scores: (B, N) float32 in 0..1, or None where no detector gave any.
        landmarks: (B, N, 5, 2) float32, xy in pixels (eyes, nose, corners of the mouth), or None.

    Raises TypeError for something that is not a tensor, ValueError for a wrong shape or mixed devices. Coordinates are
    checked by the operators and by `from_boxes`, not here, so that making Regions on a GPU never waits for it.

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

    def __post_init__(self) -> None:
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

    @classmethod
    def from_boxes(
        cls,
        boxes: Sequence[Any],
        scores: Sequence[Any] | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> "Regions":
        """Return Regions made of one array of boxes for each image.

        Args:
            boxes: a list with, for each image, (n_i, 4) xyxy pixels as an array, tensor or list of lists; may be empty.
            scores: a list with (n_i,) scores for each image, or None.
            device: where the Regions go.

        Raises ValueError for rows that are not four finite numbers up to 2^24, or scores that do not match.

        >>> from fastblur import Regions
        >>> regions = Regions.from_boxes([[[10, 20, 30, 40], [5, 5, 9, 9]], []])
        >>> regions, regions.counts.tolist()
        (Regions(2 in 2 images, device='cpu'), [2, 0])
        """
        rows = [_as_rows(b, i) for i, b in enumerate(boxes)]
        most = max((len(r) for r in rows), default=0)
        padded = np.zeros((len(rows), most, 4), np.float32)
        for i, r in enumerate(rows):
            if len(r):
                padded[i, : len(r)] = r
        lengths = np.array([len(r) for r in rows], np.int64)
        check_boxes(padded, lengths)
        counts = torch.from_numpy(lengths).to(device)
        padded_scores = None
        if scores is not None:
            if len(scores) != len(rows):
                raise ValueError(f"scores are for {len(scores)} images, expected {len(rows)} as the boxes")
            table = np.zeros((len(rows), most), np.float32)
            for i, (s, r) in enumerate(zip(scores, rows, strict=True)):
                values = np.asarray(s, np.float32).reshape(-1)
                if len(values) != len(r):
                    raise ValueError(f"image {i} has {len(values)} scores, expected {len(r)} as its boxes")
                table[i, : len(r)] = values
            padded_scores = torch.from_numpy(table).to(device)
        return cls(torch.from_numpy(padded).to(device), counts, padded_scores)

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
        """
        hw = torch.as_tensor(sizes, dtype=torch.float32, device=self.device).reshape(-1, 1, 2)
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
        return self.boxes[index, : int(self.counts[index])]

    def __iter__(self) -> Iterator[Tensor]:
        """Yield each image's boxes, (n, 4) float32."""
        for boxes, count in zip(self.boxes, self.counts.tolist(), strict=True):
            yield boxes[:count]

    def __repr__(self) -> str:
        return f"Regions({int(self.counts.sum())} in {len(self)} images, device={str(self.device)!r})"

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Regions":
        """Return the Regions whose every tensor is `function` of its own."""
        optional = (None if t is None else function(t) for t in (self.scores, self.landmarks))
        return Regions(function(self.boxes), function(self.counts), *optional)

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


def _as_rows(boxes: Any, index: int) -> Boxes:
    """Return image `index`'s boxes, of whatever type, as an array; raises ValueError where they are not (n, 4)."""
    array = boxes.detach().cpu().numpy() if isinstance(boxes, Tensor) else boxes
    try:
        rows = np.asarray(array, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(
            f"boxes of image {index} are {boxes!r}, expected rows of four numbers (x0, y0, x1, y1)"
        ) from None
    if rows.size == 0:
        return rows.reshape(0, 4)
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise ValueError(f"boxes of image {index} have shape {rows.shape}, expected (n, 4)")
    return rows

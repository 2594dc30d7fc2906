"""Images read, decoded and searched in batches: what hiding and listing have in common."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from fastblur.annotations import Boxes
from fastblur.codecs import Picture, stored_boxes, upright_rgb
from fastblur.pipeline.shards import Item
from fastblur.pipeline.summary import Tally
from fastblur.regions import Regions

T = TypeVar("T")
Detect = Callable[[list[torch.Tensor]], Regions]

BATCH_PIXELS = 16_000_000  # decoded at once, a worker, give or take one image: bounds memory where images are large


class Failure(Exception):
    """An image that must not be written, with the reason for the list of failures."""


@dataclass
class Opened:
    """An image in hand.

    Attributes:
        item: where it comes from.
        picture: its pixels, which `hide` changes.
        boxes: what to hide, (n, 4) float32 in stored coordinates; None while that is not known.
        scores: of the boxes that were detected, from the highest; None for boxes that were given.
        landmarks: of those boxes, [[x, y], ..] in stored coordinates for each; None where the network has none.
        degenerate: how many boxes without an area were given beside them.
        touched: whether the pixels may have been changed.
    """

    item: Item
    picture: Picture
    boxes: Boxes | None
    scores: list[float] | None = None
    landmarks: list[list[list[float]]] | None = None
    degenerate: int = 0
    touched: bool = False


class FailureList(Protocol):
    """Where failures are recorded."""

    def fail(self, name: str, reason: str) -> None:
        """Record why the image `name` failed."""


@dataclass(frozen=True)
class Batches(ABC):
    """Takes images in batches, and records those that fail; called by several threads at once.

    Attributes:
        detect: finds regions in upright RGB images; None where they are never looked for.
        sink: where images, and failures, go.
        tally: counts images.
    """

    detect: Detect | None
    sink: FailureList
    tally: Tally

    def __call__(self, items: Sequence[Item]) -> None:
        """Do the images; they go through the detector, and what comes after it, together.

        Raises OSError only where a failure cannot be recorded: then the run cannot go on.
        """
        batch: list[Opened] = []
        pixels = 0
        for item in items:
            with self.failing(item):
                if (opened := self.open(item)) is not None:
                    batch.append(opened)
                    pixels += opened.picture.pixels.size // opened.picture.pixels.shape[2]
            if pixels >= BATCH_PIXELS:
                self.finish(batch)
                batch, pixels = [], 0
        self.finish(batch)

    @abstractmethod
    def open(self, item: Item) -> Opened | None:
        """Return the image, decoded, or None where it is done already; raises Failure."""

    @abstractmethod
    def finish(self, batch: list[Opened]) -> None:
        """Do the images to their end."""

    def together(self, name: str, function: Callable[[list[Opened]], None], batch: list[Opened]) -> list[Opened]:
        """Call the function on the batch, or on each image by itself if it raises; return those that got through."""
        if not batch:
            return []
        try:
            step(name, function, batch)
            return batch
        except Failure as failure:
            if len(batch) > 1:
                return [through for one in batch for through in self.together(name, function, [one])]
            self.fail(batch[0].item, failure)
            return []

    def find(self, batch: list[Opened]) -> None:
        """Find the boxes of every image."""
        assert self.detect is not None
        regions = self.detect([torch.from_numpy(upright_rgb(one.picture)).permute(2, 0, 1) for one in batch])
        if len(regions) != len(batch):
            raise ValueError(f"the detector gave regions for {len(regions)} images, expected {len(batch)}")
        regions = regions.to("cpu")
        nothing = [None] * len(batch)
        scores_of = nothing if regions.scores is None else regions.scores
        points_of = nothing if regions.landmarks is None else regions.landmarks
        for boxes, scores, points, one in zip(regions, scores_of, points_of, batch, strict=True):
            if not boxes.isfinite().all():
                raise ValueError(f"the detector gave the regions {boxes.tolist()}, expected finite coordinates")
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)  # what lay wholly outside was clipped to nothing
            one.boxes = stored_boxes(boxes[inside].numpy(), one.picture)
            one.scores = None if scores is None else scores[: len(boxes)][inside].tolist()
            one.landmarks = None if points is None else _stored_points(points[: len(boxes)][inside], one.picture)

    @contextmanager
    def failing(self, item: Item) -> Iterator[None]:
        """Record a failure of the image in the block."""
        try:
            yield
        except Failure as failure:
            self.fail(item, failure)

    def fail(self, item: Item, failure: Failure) -> None:
        """Record a failure."""
        self.sink.fail(item.name, str(failure))
        self.tally.fail()


def _stored_points(points: torch.Tensor, picture: Picture) -> list[list[list[float]]]:
    """Return (n, 5, 2) points of the upright image in stored coordinates: a point is a box without an area."""
    flat = points.reshape(-1, 2).numpy()
    stored: list[list[list[float]]] = stored_boxes(np.hstack((flat, flat)), picture)[:, :2].reshape(-1, 5, 2).tolist()
    return stored


def read(item: Item) -> bytes:
    """Return the bytes of an image; raises Failure."""
    if item.problem is not None:
        raise Failure(item.problem)
    return step("read", _content, item.path)


def _content(path: str) -> bytes:
    """Return the whole content of a file.

    By as few calls of the system as can be: each gives up Python's lock, and threads lose time over getting it back.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(descriptor).st_size
        data = os.read(descriptor, size + 1)
        if len(data) == size:
            return data
        parts = [data]  # a system that reads in pieces, or a file that has just changed
        while parts[-1]:
            parts.append(os.read(descriptor, 1 << 20))
        return b"".join(parts)
    finally:
        os.close(descriptor)


def step(name: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call the function, and turn whatever it raises into a Failure that names the step."""
    try:
        return function(*arguments)
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:
        reason = str(error)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    raise Failure(f"{name}: {reason}")

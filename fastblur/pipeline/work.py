"""What is done to every image: read, decode, find its regions, hide them, encode, write."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import torch

from fastblur.annotations import Boxes
from fastblur.codecs import Picture, decode, encode, stored_boxes, upright_rgb
from fastblur.codecs.formats import format_of
from fastblur.pipeline.boxes import BoxFile, hiding_boxes
from fastblur.pipeline.hiding import Hide
from fastblur.pipeline.sink import Sink
from fastblur.pipeline.source import Item
from fastblur.pipeline.summary import Tally
from fastblur.regions import Regions

T = TypeVar("T")
Detect = Callable[[list[torch.Tensor]], Regions]

BATCH_PIXELS = 16_000_000  # decoded at once, a worker, give or take one image: bounds memory where images are large
NO_BOXES: Boxes = np.zeros((0, 4), np.float32)


class Failure(Exception):
    """An image that must not be written, with the reason for the list of failures."""


@dataclass
class Opened:
    """An image in hand.

    Attributes:
        item: where it comes from.
        picture: its pixels, which `hide` changes.
        boxes: what to hide, (n, 4) float32 in stored coordinates; None while that is not known.
        degenerate: how many boxes without an area were given beside them.
        touched: whether the pixels may have been changed.
    """

    item: Item
    picture: Picture
    boxes: Boxes | None
    degenerate: int = 0
    touched: bool = False


@dataclass(frozen=True)
class Work:
    """Does images, and records the fate of each; called by several threads at once.

    Nothing reaches the sink before every step that looks for regions or hides them has succeeded.

    Attributes:
        detect: finds regions in upright RGB images; None where every image has its boxes from the file.
        box_file: the boxes given, or None.
        unlisted: what becomes of an image that the box file does not name: "fail", "copy" or "detect".
        hide: hides boxes in the pixels of pictures.
        sink: where images go.
        tally: counts them.
    """

    detect: Detect | None
    box_file: BoxFile | None
    unlisted: str
    hide: Hide
    sink: Sink
    tally: Tally

    def __call__(self, items: Sequence[Item]) -> None:
        """Do the images; those with regions go through detector and operator together.

        Raises OSError only where a failure cannot be recorded: then the run cannot go on.
        """
        batch: list[Opened] = []
        pixels = 0
        for item in items:
            with self._failing(item):
                data = self._read(item)
                boxes = self._given(item)
                if boxes is not None and len(boxes) == 0:
                    _step("decode", format_of, data)  # a look at the format is enough
                    self._copy(item, data)
                    continue
                batch.append(Opened(item, _step("decode", decode, data), boxes))
                pixels += batch[-1].picture.pixels.size // batch[-1].picture.pixels.shape[2]
            if pixels >= BATCH_PIXELS:
                self._do(batch)
                batch, pixels = [], 0
        self._do(batch)

    def _read(self, item: Item) -> bytes:
        if item.problem is not None:
            raise Failure(item.problem)
        return _step("read", read, item.path)

    def _given(self, item: Item) -> Boxes | None:
        """Return the boxes given for the image; None where they are to be detected."""
        if self.box_file is None:
            return None
        boxes = _step("boxes", self.box_file.find, item.name)
        if boxes is not None or self.unlisted == "detect":
            return boxes
        if self.unlisted == "copy":
            return NO_BOXES
        raise Failure("boxes: the boxes file does not name this image")

    def _do(self, batch: list[Opened]) -> None:
        given = [one for one in batch if one.boxes is not None]
        found = self._together("detect", self._detect, [one for one in batch if one.boxes is None])
        to_hide = []
        for one in given + found:
            with self._failing(one.item):
                assert one.boxes is not None
                if len(one.boxes) == 0:
                    self._copy(one.item, one.picture.source)
                    continue
                hiding = _step("boxes", hiding_boxes, one.boxes, *one.picture.pixels.shape[:2])
                one.boxes, one.degenerate = hiding, len(one.boxes) - len(hiding)
                to_hide.append(one)
        for one in self._together("hide", self._hide, to_hide):
            with self._failing(one.item):
                assert one.boxes is not None
                data = _step("encode", encode, one.picture, one.picture.pixels)
                _step("write", self.sink.write, one.item.name, data)
                self.tally.blurred(len(one.boxes), one.degenerate)

    def _together(self, name: str, function: Callable[[list[Opened]], None], batch: list[Opened]) -> list[Opened]:
        """Call the function on the batch, or on each image by itself if it raises; return those that got through."""
        if not batch:
            return []
        try:
            _step(name, function, batch)
            return batch
        except Failure as failure:
            if len(batch) > 1:
                return [through for one in batch for through in self._together(name, function, [one])]
            self._fail(batch[0].item, failure)
            return []

    def _detect(self, batch: list[Opened]) -> None:
        """Find the boxes of every image."""
        assert self.detect is not None
        regions = self.detect([torch.from_numpy(upright_rgb(one.picture)).permute(2, 0, 1) for one in batch])
        if len(regions) != len(batch):
            raise ValueError(f"the detector gave regions for {len(regions)} images, expected {len(batch)}")
        for boxes, one in zip(regions.to("cpu"), batch, strict=True):
            if not boxes.isfinite().all():
                raise ValueError(f"the detector gave the regions {boxes.tolist()}, expected finite coordinates")
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)  # what lay wholly outside was clipped to nothing
            one.boxes = stored_boxes(boxes[inside].numpy(), one.picture)

    def _hide(self, batch: list[Opened]) -> None:
        """Hide the boxes of every image in its pixels."""
        for one in batch:
            if one.touched:  # by a call that failed half-way
                one.picture = decode(one.picture.source)
            one.touched = True
        self.hide([one.picture for one in batch], [cast(Boxes, one.boxes) for one in batch])

    def _copy(self, item: Item, data: bytes) -> None:
        _step("write", self.sink.write, item.name, data)
        self.tally.copy()

    @contextmanager
    def _failing(self, item: Item) -> Iterator[None]:
        """Record a failure of the image in the block."""
        try:
            yield
        except Failure as failure:
            self._fail(item, failure)

    def _fail(self, item: Item, failure: Failure) -> None:
        self.sink.fail(item.name, str(failure))
        self.tally.fail()


def read(path: str) -> bytes:
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


def _step(name: str, function: Callable[..., T], *arguments: Any) -> T:
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

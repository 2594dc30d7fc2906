"""What is done to every image of a run: find its regions, hide them, encode, write."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from fastblur.annotations import Boxes
from fastblur.codecs import decode, encode
from fastblur.codecs.formats import format_of
from fastblur.pipeline.batches import Batches, Failure, Opened, read, step
from fastblur.pipeline.boxes import BoxFile, hiding_boxes
from fastblur.pipeline.hiding import Hide
from fastblur.pipeline.shards import Item
from fastblur.pipeline.sink import Sink

NO_BOXES: Boxes = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Work(Batches):
    """Hides the regions of images, and records the fate of each.

    Nothing reaches the sink before every step that looks for regions or hides them has succeeded.

    Attributes:
        sink: where images go.
        box_file: the boxes given, or None.
        unlisted: what becomes of an image that the box file does not name: "fail", "copy" or "detect".
        hide: hides boxes in the pixels of pictures.
    """

    sink: Sink
    box_file: BoxFile | None
    unlisted: str
    hide: Hide

    def open(self, item: Item) -> Opened | None:
        """Return the image, unless the box file says that it has nothing to hide: then it is copied."""
        data = read(item)
        boxes = self._given(item)
        if boxes is None or len(boxes) > 0:
            return Opened(item, step("decode", decode, data), boxes)
        step("decode", format_of, data)  # a look at the format is enough
        self._copy(item, data)
        return None

    def _given(self, item: Item) -> Boxes | None:
        """Return the boxes given for the image; None where they are to be detected."""
        if self.box_file is None:
            return None
        boxes = step("boxes", self.box_file.find, item.name)
        if boxes is not None or self.unlisted == "detect":
            return boxes
        if self.unlisted == "copy":
            return NO_BOXES
        raise Failure("boxes: the boxes file does not name this image")

    def finish(self, batch: list[Opened]) -> None:
        """Hide the regions of the images and write them."""
        given = [one for one in batch if one.boxes is not None]
        found = self.together("detect", self.find, [one for one in batch if one.boxes is None])
        to_hide = []
        for one in given + found:
            with self.failing(one.item):
                assert one.boxes is not None
                if len(one.boxes) == 0:
                    self._copy(one.item, one.picture.source)
                    continue
                hiding = step("boxes", hiding_boxes, one.boxes, *one.picture.pixels.shape[:2])
                one.boxes, one.degenerate = hiding, len(one.boxes) - len(hiding)
                to_hide.append(one)
        for one in self.together("hide", self._hide, to_hide):
            with self.failing(one.item):
                assert one.boxes is not None
                data = step("encode", encode, one.picture, one.picture.pixels)
                step("write", self.sink.write, one.item.name, data)
                self.tally.blurred(len(one.boxes), one.degenerate)

    def _hide(self, batch: list[Opened]) -> None:
        """Hide the boxes of every image in its pixels."""
        for one in batch:
            if one.touched:  # by a call that failed half-way
                one.picture = decode(one.picture.source)
            one.touched = True
        self.hide([one.picture for one in batch], [cast(Boxes, one.boxes) for one in batch])

    def _copy(self, item: Item, data: bytes) -> None:
        step("write", self.sink.write, item.name, data)
        self.tally.copy()

"""What is done to every image of a run: find its regions, hide them, encode."""

from collections.abc import Callable
from typing import Any

from fastblur.annotations.rows import Boxes
from fastblur.codecs import encode, size_of
from fastblur.codecs.formats import format_of
from fastblur.pipeline.boxes.checks import hiding_boxes, relative_boxes
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.images.detection import Batches, Detect
from fastblur.pipeline.images.methods import Hide
from fastblur.pipeline.images.task import COPIED, HIDDEN, Hand, Images, Opened, on_images, step


class Work(Batches):
    """Hides the regions of images.

    An image has a result only when every step that looks for regions or hides them has succeeded.

    Args:
        detect, size, max_pixels: as `Batches` takes them.
        hide: hides boxes in the pixels of pictures.
    """

    def __init__(self, detect: Detect | None, size: int | None, max_pixels: int, hide: Hide) -> None:
        super().__init__(detect, size, max_pixels)
        self._hide = hide

    def stages(self, readers: int, device: str) -> list[tuple[str, Callable[[Hand], None], int]]:
        """Return the stages in their order, each with how many threads it has of its own, 0 for the workers'."""
        own = 1 if device == "cuda" else 0  # a device takes one batch after the other
        stages: list[tuple[str, Callable[[Images], None], int]] = [
            ("read", self.read, readers),
            ("decode", self.decode, 0),
            *([("detect", self.search, own)] if self.detect is not None else []),
            ("hide", self.hide, own),
            ("encode", self.encode, 0),
        ]
        return [(name, on_images(function), threads) for name, function, threads in stages]

    def after_decoding(self) -> list[Callable[[Images], None]]:
        """Return the stages that an image goes through when it has been decoded."""
        return [self.search, self.hide, self.encode]

    def open(self, one: Opened) -> None:
        """Decode the image, unless boxes are given and there are none: then it is copied."""
        item = one.item
        one.boxes = self._checked_relative(one) if item.boxes is not None and item.relative else item.boxes
        if one.boxes is None and self.detect is None:
            raise Failure("boxes: none are given for this image")
        if item.size is not None and sorted(item.size) != sorted(size := size_of(one.data)):  # seen upright or not
            told = " x ".join(map(str, item.size))
            raise Failure(f"boxes: they are of an image of {told} pixels, this one has {size[0]} x {size[1]}")
        if one.boxes is None or len(one.boxes) > 0:
            super().open(one)
        else:
            step("decode", format_of, one.data)  # a look at the format is enough
            one.end(COPIED, one.data)

    def hide(self, images: Images) -> None:
        """Hide the boxes of the images; those that have none are copied."""
        for one in images:
            self.attempt(self._choose, one)
        self.together("hide", self._hide_all, [one for one in images if not one.fate])

    def encode(self, images: Images) -> None:
        """Encode the images in which something was hidden."""
        for one in images:
            self.attempt(self._encode, one)

    def _checked_relative(self, one: Opened) -> Boxes:
        width, height = size_of(one.data)
        if width * height == 0:
            step("decode", self.decoded, one.data)  # which says what is wrong with it
            raise Failure("decode: the image's size cannot be told")
        boxes: Boxes = step("boxes", relative_boxes, one.item.boxes, height, width)
        return boxes

    def _choose(self, one: Opened) -> None:
        assert one.boxes is not None
        if len(one.boxes) == 0:
            one.end(COPIED, one.data)
            return
        if one.reduced is not None:
            one.picture = step("decode", self.decoded, one.data)
        assert one.picture is not None
        hiding = step("boxes", hiding_boxes, one.boxes, *one.picture.pixels.shape[:2])
        one.boxes, one.degenerate = hiding, len(one.boxes) - len(hiding)

    def _hide_all(self, images: list[Opened]) -> None:
        """Hide the boxes of every image in its pixels."""
        for one in images:
            if one.touched:  # by a call that failed half-way
                one.picture = self.decoded(one.data)
            one.touched = True
        pictures: Any = [one.picture for one in images]
        boxes: Any = [one.boxes for one in images]
        self._hide(pictures, boxes)

    def _encode(self, one: Opened) -> None:
        assert one.picture is not None
        one.end(HIDDEN, step("encode", encode, one.picture, one.picture.pixels))

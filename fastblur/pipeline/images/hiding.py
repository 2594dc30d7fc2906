"""The stages of a run: regions are found or given, hidden, and the images encoded."""

from typing import Any

from fastblur.boxes import Boxes
from fastblur.codecs import check, encode, size_of
from fastblur.options import BoxCoordinates
from fastblur.pipeline.boxes.checks import given_boxes, hiding_boxes
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.images.detection import DetectionStages
from fastblur.pipeline.images.metadata import strip_results
from fastblur.pipeline.images.methods import Hide
from fastblur.pipeline.images.task import Images, ImageStage, ImageTask, Outcome, all_together, each_alone, guarded


class HidingStages:
    """Hides the regions of images.

    An image has a result only where every stage that looks for regions or hides them has succeeded.

    Args:
        detection: reads, decodes and searches the images.
        hide: hides boxes in the pixels of pictures.
        box_coordinates: whether given boxes are of the stored or the upright pictures, where their file does not say.
        strip_metadata: whether images are written without their metadata.
    """

    def __init__(
        self,
        detection: DetectionStages,
        hide: Hide,
        box_coordinates: BoxCoordinates = "auto",
        *,
        strip_metadata: bool = False,
    ) -> None:
        self._detection = detection
        self._hide = hide
        self._box_coordinates = box_coordinates
        self._strip_metadata = strip_metadata

    def stages(self, readers: int, device: str) -> list[ImageStage]:
        """Return the stages in their order.

        Args:
            readers: threads that read files.
            device: "cpu" or "cuda".
        """
        own = 1 if device == "cuda" else 0  # a device takes one batch after the other
        search = [ImageStage("detect", self._detection.search, own)] if self._detection.detects else []
        return [
            ImageStage("read", self._detection.read, readers),
            ImageStage("decode", self.decode),
            *search,
            ImageStage("hide", self.hide, own),
            ImageStage("encode", self.encode),
            *([ImageStage("strip", strip_results)] if self._strip_metadata else []),
        ]

    def decode(self, images: Images) -> None:
        """Decode the images, but for those whose given boxes are none: they are copied."""
        each_alone(self._check_given, images)
        self._detection.decode(images, then=[self._detection.search, self.hide, self.encode])

    def hide(self, images: Images) -> None:
        """Hide the boxes of the images; those that have none are copied."""
        each_alone(self._prepare, images)
        all_together("hide", self._hide_all, [one for one in images if one.outcome is None])

    def encode(self, images: Images) -> None:
        """Encode the images in which something was hidden."""
        each_alone(self._encode, images)

    def _check_given(self, image: ImageTask) -> None:
        """Take the boxes that the image came with, checked against its size."""
        item = image.item
        image.boxes = item.boxes
        if image.boxes is None and not self._detection.detects:
            raise Failure("boxes: none are given for this image")
        if item.size is not None and sorted(item.size) != sorted(size := size_of(image.data)):  # upright or stored
            given = " x ".join(map(str, item.size))
            raise Failure(f"boxes: they are of an image of {given} pixels, this one has {size[0]} x {size[1]}")
        if image.boxes is not None and len(image.boxes) == 0:
            guarded("decode", check, image.data)
            image.finish(Outcome.COPIED, image.data)

    def _given(self, image: ImageTask) -> Boxes:
        """Return the boxes that the image came with in pixels of the stored picture."""
        item, coordinates = image.item, self._box_coordinates
        assert image.decoded is not None
        assert item.boxes is not None
        if item.coordinates is not None:
            if coordinates not in ("auto", item.coordinates):
                raise Failure(f"boxes: their file says {item.coordinates}, box-coordinates is {coordinates}")
            coordinates = "stored"
        picture = image.decoded.picture
        return given_boxes(item.boxes, picture, size=item.size, coordinates=coordinates, relative=item.relative)

    def _prepare(self, image: ImageTask) -> None:
        assert image.boxes is not None
        assert image.decoded is not None
        if len(image.boxes) == 0:
            image.finish(Outcome.COPIED, image.data)
            return
        if image.decoded.scale is not None:
            image.decoded.picture, image.decoded.scale = self._detection.decode_full(image.data), None
        if image.item.boxes is not None:
            hiding = guarded("boxes", self._given, image)
        else:
            hiding = guarded("boxes", hiding_boxes, image.boxes, *image.decoded.picture.pixels.shape[:2])
        image.boxes, image.degenerate = hiding, len(image.boxes) - len(hiding)

    def _hide_all(self, images: list[ImageTask]) -> None:
        pictures = []
        for image in images:
            assert image.decoded is not None
            if image.decoded.touched:  # by a call that failed half-way
                image.decoded.picture = self._detection.decode_full(image.data)
            image.decoded.touched = True
            pictures.append(image.decoded.picture)
        boxes: Any = [image.boxes for image in images]
        self._hide(pictures, boxes)

    def _encode(self, image: ImageTask) -> None:
        assert image.decoded is not None
        picture = image.decoded.picture
        image.finish(Outcome.HIDDEN, guarded("encode", encode, picture, picture.pixels))

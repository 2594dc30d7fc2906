"""The stages of a run: regions are found or given, hidden, and the images encoded."""

from typing import Any

from fastblur.boxes import Boxes
from fastblur.codecs import check, encode, size_of
from fastblur.codecs.exif import orientation
from fastblur.codecs.jpeg_segments import exif
from fastblur.codecs.refused import Refused
from fastblur.options import BoxCoordinates
from fastblur.pipeline.boxes.checks import given_boxes, hiding_boxes
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.images.detection import DetectionStages
from fastblur.pipeline.images.metadata import finish_copied, strip_results
from fastblur.pipeline.images.methods import Hide
from fastblur.pipeline.images.rewriting import Rewriter
from fastblur.pipeline.images.task import (
    Decoded,
    Images,
    ImageStage,
    ImageTask,
    Outcome,
    all_together,
    each_alone,
    guarded,
)


class HidingStages:
    """Hides the regions of images.

    An image has a result only where every stage that looks for regions or hides them has succeeded.

    Args:
        detection: reads, decodes and searches the images.
        hide: hides boxes in the pixels of pictures.
        rewriter: hides boxes in the bytes of JPEG files that it can rewrite; None to decode and encode all files.
        box_coordinates: whether given boxes are of the stored or the upright pictures, where their file does not say.
        strip_metadata: whether images are written without their metadata.
    """

    def __init__(
        self,
        detection: DetectionStages,
        hide: Hide,
        rewriter: Rewriter | None = None,
        box_coordinates: BoxCoordinates = "auto",
        *,
        strip_metadata: bool = False,
    ) -> None:
        self._detection = detection
        self._hide = hide
        self._rewriter = rewriter
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
            ImageStage("rewrite", self.rewrite),
            ImageStage("hide", self.hide, own),
            ImageStage("encode", self.encode),
            *([ImageStage("strip", strip_results)] if self._strip_metadata else []),
        ]

    def decode(self, images: Images) -> None:
        """Decode the images, but for those with given boxes that are none, which are copied, or that are rewritten."""
        each_alone(self._check_given, images)
        decoding = [one for one in images if one.layout is None]
        self._detection.decode(decoding, then=[self._detection.search, self.rewrite, self.hide, self.encode])

    def rewrite(self, images: Images) -> None:
        """Hide the boxes of JPEG files in their bytes, and decode in full size what cannot be rewritten.

        Images without boxes are copied.
        """
        each_alone(self._rewrite, images)

    def hide(self, images: Images) -> None:
        """Hide the boxes in the pixels of the images."""
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
            self._copy(image)
        elif image.boxes is not None:
            self._take_layout(image)

    def _copy(self, image: ImageTask) -> None:
        """Finish an image that has no boxes."""
        if self._strip_metadata:  # its previews too
            guarded("decode", check, image.data)
            image.finish(Outcome.COPIED, image.data)
        else:
            finish_copied(image)

    def _take_layout(self, image: ImageTask) -> None:
        """Take the layout of a JPEG that can be rewritten, or note why it cannot."""
        if self._rewriter is None or image.jpeg:
            return
        try:
            image.layout = guarded("decode", self._rewriter.layout, image.data)
        except Refused as refused:
            image.jpeg, image.reason = refused.kind, str(refused)

    def _rewrite(self, image: ImageTask) -> None:
        assert image.boxes is not None
        if len(image.boxes) == 0:
            self._copy(image)
            return
        if image.layout is None:
            self._take_layout(image)
        if image.layout is not None:
            header = image.layout.header
            boxes = self._stored_boxes(image, header.height, header.width, orientation(exif(header)))
            try:
                assert self._rewriter is not None
                data = guarded("rewrite", self._rewriter.rewrite, image.data, image.layout, boxes)
                image.boxes, image.degenerate, image.jpeg = boxes, len(image.boxes) - len(boxes), "blocks"
                image.finish(Outcome.HIDDEN, data)
                return
            except Refused as refused:
                image.jpeg, image.reason, image.layout = refused.kind, str(refused), None
        if image.decoded is None or image.decoded.scale is not None:
            image.decoded = Decoded(self._detection.decode_full(image.data))
        picture = image.decoded.picture
        height, width = picture.pixels.shape[:2]
        boxes = self._stored_boxes(image, height, width, picture.orientation)
        image.boxes, image.degenerate = boxes, len(image.boxes) - len(boxes)

    def _stored_boxes(self, image: ImageTask, height: int, width: int, turned: int) -> Boxes:
        """Return the boxes to hide, (m, 4) xyxy in pixels of the stored picture.

        Args:
            image: with the boxes that were given, or found.
            height, width: of the stored picture.
            turned: its EXIF orientation.
        """
        if image.item.boxes is not None:
            return guarded("boxes", self._given, image, height, width, turned)
        assert image.boxes is not None
        return guarded("boxes", hiding_boxes, image.boxes, height, width)

    def _given(self, image: ImageTask, height: int, width: int, turned: int) -> Boxes:
        """Return the boxes that the image came with in pixels of the stored picture, see `_stored_boxes`."""
        item, coordinates = image.item, self._box_coordinates
        assert item.boxes is not None
        if item.coordinates is not None:
            if coordinates not in ("auto", item.coordinates):
                raise Failure(f"boxes: their file says {item.coordinates}, box-coordinates is {coordinates}")
            coordinates = "stored"
        return given_boxes(
            item.boxes, height, width, turned, size=item.size, coordinates=coordinates, relative=item.relative
        )

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

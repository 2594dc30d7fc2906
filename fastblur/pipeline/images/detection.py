"""Images read, decoded and searched together: what hiding and listing have in common."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fastblur.codecs import Picture, decode, decode_reduced, size_of, stored_boxes, upright_rgb
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.images.task import FAILED, Images, Opened, step
from fastblur.pipeline.storage.paths import read_file

if TYPE_CHECKING:
    import torch

Detect = Callable[[list[Any]], Any]
"""Takes (3, H, W) uint8 tensors and returns their Regions; a run with given boxes loads neither."""

HEADERS = 64 << 20  # bytes of a file beside its pixels, four to each, that are read at most
PIECE_PIXELS = 16_000_000  # of a batch decoded at once, give or take one image: bounds memory where images are large


class Batches:
    """Reads, decodes and searches images; called by several threads at once.

    Each stage takes images and does those whose fate is open. An image that raises fails alone; the others go on.

    Args:
        detect: finds regions in upright RGB images; None where they are never looked for.
        size: the longest side that it sees of an image, if it has one.
        max_pixels: the largest width times height that is decoded.
    """

    def __init__(self, detect: Detect | None, size: int | None, max_pixels: int) -> None:
        self.detect = detect
        self.size = size
        self.max_pixels = max_pixels
        self._most_bytes = 4 * max_pixels + HEADERS

    def read(self, images: Images) -> None:
        """Read the files."""
        for one in images:
            self.attempt(self._read, one)

    def decode(self, images: Images) -> None:
        """Decode the images; those of a batch that is too large to be decoded at once are taken through to the end."""
        pieces = self._pieces([one for one in images if not one.fate])
        for piece in pieces:
            for one in piece:
                self.attempt(self.open, one)
            if len(pieces) > 1:
                for stage in self.after_decoding():
                    stage(piece)

    def search(self, images: Images) -> None:
        """Find the boxes of the images of which they are not known."""
        self.together("detect", self._find, [one for one in images if not one.fate and one.boxes is None])

    def after_decoding(self) -> list[Callable[[Images], None]]:
        """Return the stages that an image goes through when it has been decoded."""
        return [self.search]

    def open(self, one: Opened) -> None:
        """Decode an image, as small as will do where only the detector has to see it."""
        one.picture = None
        if self.size is not None and one.boxes is None:
            one.picture = step("decode", decode_reduced, one.data, self.size, self.max_pixels)
        if one.picture is None:
            one.picture = step("decode", self.decoded, one.data)
        else:
            (width, height), (h, w) = size_of(one.data), one.picture.pixels.shape[:2]
            one.reduced = width / w, height / h

    def decoded(self, data: bytes) -> Picture:
        """Return the image in its full size."""
        return decode(data, max_pixels=self.max_pixels)

    def attempt(self, function: Callable[[Opened], None], one: Opened) -> None:
        """Call the function on an image whose fate is open; it fails if that raises Failure."""
        if one.fate:
            return
        try:
            function(one)
        except Failure as failure:
            one.reason = str(failure)
            one.end(FAILED)

    def together(self, name: str, function: Callable[[list[Opened]], None], images: list[Opened]) -> None:
        """Call the function on all the images, or on each by itself if it raises; those that raise fail."""
        if not images:
            return
        try:
            step(name, function, images)
        except Failure as failure:
            if len(images) > 1:
                for one in images:
                    self.together(name, function, [one])
            else:
                images[0].reason = str(failure)
                images[0].end(FAILED)

    def _read(self, one: Opened) -> None:
        if one.item.problem is not None:
            raise Failure(one.item.problem)
        one.data = step("read", read_file, one.item.path, self._most_bytes) if one.item.data is None else one.item.data

    def _pieces(self, images: list[Opened]) -> list[list[Opened]]:
        pieces: list[list[Opened]] = [[]]
        pixels = 0
        for one in images:
            width, height = size_of(one.data)
            if pieces[-1] and pixels + width * height > PIECE_PIXELS:
                pieces.append([])
                pixels = 0
            pieces[-1].append(one)
            pixels += width * height
        return pieces

    def _find(self, images: list[Opened]) -> None:
        """Find the boxes of every image."""
        import torch

        assert self.detect is not None
        pictures = [one.picture for one in images if one.picture is not None]
        regions = self.detect([torch.from_numpy(upright_rgb(picture)).permute(2, 0, 1) for picture in pictures])
        if len(regions) != len(images):
            raise ValueError(f"the detector gave regions for {len(regions)} images, expected {len(images)}")
        regions = regions.to("cpu")
        nothing = [None] * len(images)
        scores_of = nothing if regions.scores is None else regions.scores
        points_of = nothing if regions.landmarks is None else regions.landmarks
        for boxes, scores, points, one, picture in zip(regions, scores_of, points_of, images, pictures, strict=True):
            if not boxes.isfinite().all():
                raise ValueError(f"the detector gave the regions {boxes.tolist()}, expected finite coordinates")
            inside = (boxes[:, 2:] > boxes[:, :2]).all(1)  # what lay wholly outside was clipped to nothing
            scale = np.array(one.reduced or (1.0, 1.0), np.float32)
            one.boxes = stored_boxes(boxes[inside].numpy(), picture) * np.tile(scale, 2)
            one.scores = None if scores is None else scores[: len(boxes)][inside].tolist()
            one.landmarks = None
            if points is not None:
                one.landmarks = (_stored_points(points[: len(boxes)][inside], picture) * scale).tolist()


def _stored_points(points: "torch.Tensor", picture: Picture) -> Any:
    """Return (n, 5, 2) points of the upright image in stored coordinates: a point is a box without an area."""
    flat = points.reshape(-1, 2).numpy()
    return stored_boxes(np.hstack((flat, flat)), picture)[:, :2].reshape(-1, 5, 2)

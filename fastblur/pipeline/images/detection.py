"""The stages that find regions: images are read, decoded and searched, a batch at a time."""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fastblur.boxes import Boxes
from fastblur.codecs import Picture, decode, decode_reduced, size_of, stored_boxes, upright_views
from fastblur.detectors.registry import check_name, is_import_name
from fastblur.errors import UsageError
from fastblur.options import is_number, is_whole
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.images.near_misses import NearMisses, near_misses
from fastblur.pipeline.images.task import Decoded, Images, ImageTask, Outcome, all_together, each_alone, guarded
from fastblur.pipeline.storage.paths import read_file

if TYPE_CHECKING:
    import torch

    from fastblur.regions import Regions

Detect = Callable[[list[Any]], "tuple[Regions, Regions]"]
"""Takes (3, H, W) uint8 RGB tensors; returns their Regions and near misses on the CPU.

A run with given boxes loads no torch.
"""

HEADER_BYTES = 64 << 20  # of a file in addition to its pixels, four bytes each, that are read at most
MIN_DETECT_SIZE = 64  # pixels of the longer side below which no detector finds a face
PIECE_PIXELS = 16_000_000  # of a batch decoded at once, give or take one image: bounds memory where images are large


class DetectionStages:
    """Reads, decodes and searches images; called by several threads at once.

    An image for which a stage raises fails alone; the others go on.

    Args:
        detect: finds regions in upright images; None where they are never searched.
        size: the longest side of an image that it sees; None for full size.
        max_pixels: the largest width times height that is decoded.
    """

    def __init__(self, detect: Detect | None, size: int | None, max_pixels: int) -> None:
        self.detects = detect is not None
        self._detect = detect
        self._size = size
        self._max_pixels = max_pixels

    def read(self, images: Images) -> None:
        """Read the files."""
        each_alone(self._read, images)

    def decode(self, images: Images, then: Sequence[Callable[[Images], None]]) -> None:
        """Decode the images.

        Where a batch is too large to be decoded at once, its images are taken through the stages `then` in pieces.
        """
        pieces = _pieces([image for image in images if image.outcome is None])
        for piece in pieces:
            each_alone(self._decode, piece)
            if len(pieces) > 1:
                for stage in then:
                    stage(piece)

    def search(self, images: Images) -> None:
        """Find the boxes of the images of which they are not known."""
        all_together("detect", self._search, [one for one in images if one.outcome is None and one.boxes is None])

    def decode_full(self, data: bytes) -> Picture:
        """Return the image in full size; raises Failure."""
        return guarded("decode", partial(decode, max_pixels=self._max_pixels), data)

    def _read(self, image: ImageTask) -> None:
        item = image.item
        if item.problem is not None:
            raise Failure(item.problem)
        if item.unsearched == "skip":
            image.finish(Outcome.SKIPPED)
            return
        most = 4 * self._max_pixels + HEADER_BYTES
        image.data = guarded("read", read_file, item.path, most) if item.data is None else item.data
        if item.unsearched == "copy":
            image.finish(Outcome.UNSEARCHED, image.data)

    def _decode(self, image: ImageTask) -> None:
        """Decode an image, no larger than needed where only the detector has to see it."""
        reduced = None
        if self._size is not None and image.boxes is None:
            reduced = guarded("decode", decode_reduced, image.data, self._size, self._max_pixels)
        if reduced is None:
            image.decoded = Decoded(self.decode_full(image.data))
        else:
            (width, height), (h, w) = size_of(image.data), reduced.pixels.shape[:2]
            image.decoded = Decoded(reduced, scale=(width / w, height / h))

    def _search(self, images: list[ImageTask]) -> None:
        import torch

        assert self._detect is not None
        decoded = [image.decoded for image in images if image.decoded is not None]
        views = [upright_views(one.picture) for one in decoded]  # nearly always one of each
        regions, near = self._detect([torch.from_numpy(view).permute(2, 0, 1) for some in views for view in some])
        if len(regions) != sum(map(len, views)):
            raise ValueError(f"the detector gave regions for {len(regions)} images, expected {sum(map(len, views))}")
        start = 0
        for image, one, some in zip(images, decoded, views, strict=True):
            _take_found(image, one, (regions, near), range(start, start + len(some)))
            start += len(some)


def _take_found(image: ImageTask, decoded: Decoded, both: "tuple[Regions, Regions]", views: range) -> None:
    """Give the image its boxes, in stored pixels of the file, with scores from the highest, and landmarks.

    Args:
        image: whose they are.
        decoded: what was searched.
        both: the regions and the near misses of all views of all images.
        views: which of them are of this image.
    """
    regions, near = both
    boxes, scores, landmarks = [], [], []
    for i in views:
        found = regions[i]
        if not found.isfinite().all():
            raise ValueError(f"the detector gave the regions {found.tolist()}, expected finite coordinates")
        inside = (found[:, 2:] > found[:, :2]).all(1)  # those wholly outside were clipped to nothing
        boxes.append(stored_boxes(found[inside].numpy(), decoded.picture))
        if regions.scores is not None:
            scores.append(regions.scores[i, : len(found)][inside].numpy())
        if regions.landmarks is not None:
            landmarks.append(_stored_points(regions.landmarks[i, : len(found)][inside], decoded.picture))
    scale = np.array(decoded.scale or (1.0, 1.0), np.float32)
    every = np.concatenate(boxes) * np.tile(scale, 2)
    order = np.argsort(-np.concatenate(scores), kind="stable") if scores else np.arange(len(every))
    image.boxes = every[order]
    image.scores = np.concatenate(scores)[order].tolist() if scores else None
    image.landmarks = (np.concatenate(landmarks) * scale)[order].tolist() if landmarks else None
    image.near_misses = near_misses(image.boxes, _stored_near_misses(decoded, near, views))


def _stored_near_misses(decoded: Decoded, near: "Regions", views: range) -> NearMisses:
    """Return the near misses of an image's views, in stored pixels of the file."""
    scale = np.tile(np.array(decoded.scale or (1.0, 1.0), np.float32), 2)
    found: NearMisses = []
    for i in views:
        if len(boxes := near[i]) and near.scores is not None:
            stored = stored_boxes(boxes.numpy(), decoded.picture) * scale
            found += zip(stored.tolist(), near.scores[i, : len(boxes)].tolist(), strict=True)
    return found


def _pieces(images: list[ImageTask]) -> list[list[ImageTask]]:
    """Split images, in their order, into parts of about `PIECE_PIXELS` at most."""
    pieces: list[list[ImageTask]] = [[]]
    pixels = 0
    for image in images:
        width, height = size_of(image.data)
        if pieces[-1] and pixels + width * height > PIECE_PIXELS:
            pieces.append([])
            pixels = 0
        pieces[-1].append(image)
        pixels += width * height
    return pieces


def _stored_points(
    points: "torch.Tensor",  # (n, 5, 2) xy px, upright
    picture: Picture,
) -> Boxes:  # (n, 5, 2) xy px, stored
    """Return points of the upright image in stored coordinates: a point is a box without an area."""
    flat = points.reshape(-1, 2).numpy()
    return stored_boxes(np.hstack((flat, flat)), picture)[:, :2].reshape(-1, 5, 2)


def check_detector_options(detector: Any, threshold: float | None, size: int | None) -> None:
    """Raise UsageError for a detector that is not known, and a score threshold or a longest side that does not fit it.

    Args:
        detector: its name, "package.module:name" or a callable; None for the default one.
        threshold, size: score threshold, and longest side in pixels; None for the detector's own.
    """
    if isinstance(detector, str):
        check_name(detector)
    elif detector is not None and not callable(detector):
        raise TypeError(f"detector is a {type(detector).__name__}, expected a name or a callable")
    if threshold is not None and (not is_number(threshold) or not 0 <= threshold <= 1):
        raise UsageError(f"threshold is {threshold!r}, expected 0..1")
    if size is not None and (not is_whole(size) or size < MIN_DETECT_SIZE):
        raise UsageError(
            f"detect_size is {size!r}, expected at least {MIN_DETECT_SIZE} pixels: no face is found in less"
        )
    if is_own(detector):
        for name, value in (("threshold", threshold), ("detect_size", size)):
            if value is not None:
                raise UsageError(f"{name} has no effect with a detector of your own, expected it left out")


def is_own(detector: Any) -> bool:
    """Return whether a detector is one of the user's own, and not given by the name of one of fastblur's."""
    return detector is not None and (not isinstance(detector, str) or is_import_name(detector))


def make_detect(detector: Any, threshold: float | None, size: int | None, device: str) -> tuple[Detect, dict[str, Any]]:
    """Load a detector; return a function that finds regions, and the parameters that decide what it finds.

    Args:
        detector: its name, "package.module:name" or a callable; None for the default one.
        threshold, size: score threshold and longest side in pixels; None for the detector's own.
        device: "cpu" or "cuda".

    Raises ValueError, ImportError or OSError as `load_detector` and `detectors.custom.resolve` do.
    """
    from fastblur.detectors import DEFAULT_DETECTOR, load_detector
    from fastblur.detectors.custom import find_regions, name_of, resolve, version_of
    from fastblur.pipeline.images.cuda_stream import DeviceStream
    from fastblur.regions import Regions

    stream = DeviceStream(device)
    if is_own(detector):
        own = resolve(detector)
        alone = threading.Lock()  # nobody has said that threads may call it together

        def detect_with_own(images: "list[torch.Tensor]") -> "tuple[Regions, Regions]":
            with alone, stream.activate():
                found = find_regions(own, stream.to_device(images)).to("cpu")
            return found, Regions.from_boxes([[] for _ in images])  # what it left out nobody knows

        return detect_with_own, {
            "detector": name_of(detector),
            "detector_version": version_of(own),
            "threshold": None,
            "detect_size": None,
            "weights_sha256": None,
        }
    loaded = load_detector(
        detector or DEFAULT_DETECTOR, device=device, threshold=threshold, detect_size=size, threads=1
    )

    def detect(images: "list[torch.Tensor]") -> "tuple[Regions, Regions]":
        with stream.activate():
            regions, near = loaded.with_near_misses(stream.to_device(images))
            return regions.to("cpu"), near.to("cpu")

    return detect, {
        "detector": loaded.name,
        "threshold": loaded.threshold,
        "detect_size": loaded.detect_size,
        "weights_sha256": loaded.weights_sha256,
    }

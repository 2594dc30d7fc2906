"""One image on its way through the stages, and how a stage fails one image without touching the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from fastblur.boxes import Boxes
from fastblur.codecs import Picture
from fastblur.codecs.refused import Refused, RefusedKind
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.images.near_misses import NearMisses
from fastblur.pipeline.shards.interfaces import Item

if TYPE_CHECKING:
    from fastblur.codecs.jpeg_blocks import Layout

T = TypeVar("T")


class Outcome(str, Enum):
    """What became of an image, or of a file that is not searched; the values are those of the journal."""

    HIDDEN = "hidden"
    COPIED = "copied"
    FAILED = "failed"
    UNSEARCHED = "unsearched"
    SKIPPED = "skipped"


@dataclass(slots=True)
class Decoded:
    """The pixels of an image, between decoding and encoding.

    Attributes:
        picture: the pixels, (H, W, C) uint8, which `hide` changes in place.
        scale: width and height of the stored image over those of `picture`; None where `picture` has full size.
        touched: whether `hide` has begun to change the pixels.
    """

    picture: Picture
    scale: tuple[float, float] | None = None
    touched: bool = False


class Result(NamedTuple):
    """What a worker process sends back of an image that is finished; as the fields of `ImageTask`."""

    outcome: Outcome
    data: bytes | None
    boxes: Boxes | None  # (n, 4) xyxy px
    scores: list[float] | None
    degenerate: int
    reason: str
    jpeg: Literal["", "blocks"] | RefusedKind
    near_misses: NearMisses


@dataclass(slots=True)
class ImageTask:
    """An image on its way through the stages.

    Attributes:
        item: where it comes from.
        data: the bytes of its file; from reading until it is finished.
        decoded: its pixels; from decoding until it is finished.
        boxes: what to hide, (n, 4) float32 in stored coordinates; None while that is not known.
        scores: of the boxes that were detected, highest first; None for boxes that were given.
        landmarks: of those boxes, [[x, y], ..] in stored coordinates for each; None where the network has none.
        near_misses: what was found with a score of at least half the threshold but under it, as `near_misses` keeps it.
        degenerate: how many boxes without an area were given together with `boxes`.
        outcome: what became of it; None until it is finished.
        reason: why it failed, or why a JPEG was not rewritten block by block.
        layout: of a JPEG that is to be rewritten block by block; from decoding until it is finished.
        jpeg: of a hidden JPEG, "blocks" where it was rewritten block by block, else the kind of reason why not.
        result: the bytes to write; None where it failed.
    """

    item: Item
    data: bytes = b""
    decoded: Decoded | None = None
    boxes: Boxes | None = None
    scores: list[float] | None = None
    landmarks: list[list[list[float]]] | None = None
    near_misses: NearMisses = field(default_factory=list)
    degenerate: int = 0
    outcome: Outcome | None = None
    reason: str = ""
    layout: "Layout | None" = None
    jpeg: Literal["", "blocks"] | RefusedKind = ""
    result: bytes | None = None

    def finish(self, outcome: Outcome, result: bytes | None = None) -> None:
        """Settle the outcome, and free what only the stages need."""
        self.outcome, self.result = outcome, result
        self.data, self.decoded, self.layout = b"", None, None

    def fail(self, reason: str) -> None:
        """Finish as failed."""
        self.reason = reason
        self.finish(Outcome.FAILED)

    def report(self, *, with_data: bool) -> Result:
        """Return what a worker process sends back; `with_data` where the result is still to be written."""
        assert self.outcome is not None, "it has gone through all stages"
        data = self.result if with_data else None
        found = self.boxes, self.scores, self.degenerate
        return Result(self.outcome, data, *found, self.reason, self.jpeg, self.near_misses)

    def accept(self, result: Result) -> None:
        """Finish with what a worker process has sent back."""
        self.boxes, self.scores, self.degenerate, self.reason, self.jpeg, self.near_misses = result[2:]
        self.finish(result.outcome, result.data)


Images = Sequence[ImageTask]


class ImageStage(NamedTuple):
    """One of the stages that images go through.

    Attributes:
        name: of the stage.
        work: does the stage on those images of a batch that are not finished.
        threads: how many threads the stage has of its own; 0 where the workers do it.
    """

    name: str
    work: Callable[[Images], None]
    threads: int = 0


def guarded(name: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call the function, and turn whatever it raises, but for Refused, into a Failure that names the stage."""
    try:
        return function(*arguments)
    except (Failure, Refused):
        raise
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:
        reason = str(error)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
    raise Failure(f"{name}: {reason}")


def each_alone(function: Callable[[ImageTask], None], images: Images) -> None:
    """Call the function on each image that is not finished; those for which it raises Failure fail."""
    for image in images:
        if image.outcome is None:
            try:
                function(image)
            except Failure as failure:
                image.fail(str(failure))


def all_together(name: str, function: Callable[[list[ImageTask]], None], images: list[ImageTask]) -> None:
    """Call the function on all the images, or, where that raises, on each by itself; those for which it raises fail."""
    if not images:
        return
    try:
        guarded(name, function, images)
    except Failure as failure:
        if len(images) == 1:
            images[0].fail(str(failure))
            return
        for image in images:
            all_together(name, function, [image])

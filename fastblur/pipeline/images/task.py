"""Images in hand, on their way through the stages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fastblur.annotations.rows import Boxes
from fastblur.codecs import Picture
from fastblur.pipeline.errors import Failure
from fastblur.pipeline.shards.interfaces import Batch, Item

T = TypeVar("T")

HIDDEN, COPIED, FAILED = "hidden", "copied", "failed"


@dataclass(slots=True)
class Opened:
    """An image in hand.

    Attributes:
        item: where it comes from.
        data: the file; empty when its fate is decided.
        picture: its pixels, which `hide` changes; None before and after they are needed.
        reduced: how many times its sides are larger than those of `picture`, (x, y); None where they are the same.
        boxes: what to hide, (n, 4) float32 in stored coordinates; None while that is not known.
        scores: of the boxes that were detected, from the highest; None for boxes that were given.
        landmarks: of those boxes, [[x, y], ..] in stored coordinates for each; None where the network has none.
        degenerate: how many boxes without an area were given beside them.
        touched: whether the pixels may have been changed.
        fate: HIDDEN, COPIED or FAILED; empty while that is open.
        reason: why it failed.
        result: the file to write.
    """

    item: Item
    data: bytes = b""
    picture: Picture | None = None
    reduced: tuple[float, float] | None = None
    boxes: Boxes | None = None
    scores: list[float] | None = None
    landmarks: list[list[list[float]]] | None = None
    degenerate: int = 0
    touched: bool = False
    fate: str = ""
    reason: str = ""
    result: bytes | None = None

    def end(self, fate: str, result: bytes | None = None) -> None:
        """Decide the fate; what is no longer needed is let go."""
        self.fate, self.result = fate, result
        self.data, self.picture = b"", None


@dataclass(slots=True)
class Hand:
    """A batch in hand.

    Attributes:
        batch: as the shard gave it.
        anywhere: whether its results may be put by any thread or process, in any order.
        images: its images.
        is_put: whether the results have been put.
        part: what the shard's run wants to know again, see `ShardRun`.
    """

    batch: Batch
    anywhere: bool = True
    images: list[Opened] = field(init=False)
    is_put: bool = False
    part: Any = None

    def __post_init__(self) -> None:
        """Open the batch's items."""
        self.images = [Opened(item) for item in self.batch.items]


Images = Sequence[Opened]


def on_images(function: Callable[[Images], None]) -> Callable[[Hand], None]:
    """Return the function for a batch in hand."""
    return lambda hand: function(hand.images)


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

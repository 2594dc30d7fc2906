"""The interface of an engine, and what a run gives to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fastblur.pipeline.boxes.assign import assign_boxes
from fastblur.pipeline.boxes.matching import BoxAssignment
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.execution.journal import Journal
from fastblur.pipeline.execution.stages import StageReport
from fastblur.pipeline.shards.interfaces import Item, Shard
from fastblur.pipeline.storage.sink import Sink
from fastblur.pipeline.summary import Tally


@dataclass
class RunContext:
    """A run that has begun: where its results go, and what counts them.

    Attributes:
        config: the run's options.
        root: the folder that images' names are relative to.
        sink: where results go.
        journal: where finished shards are recorded; None for a single image.
        record_failure: takes the name of an image that failed, or of a broken shard, and the reason; raises OSError.
        boxes: the boxes given, or None.
        parameters: what decides the result, as the journal records it.
        versions: of the packages that take part.
        tally: counts images.
        on_tick: called a few times a second, or None.
        stages: what the stages took, summed over all that did them.
    """

    config: RunConfig
    root: Path
    sink: Sink
    journal: Journal | None
    record_failure: Callable[[str, str], None]
    boxes: BoxAssignment | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    on_tick: Callable[[], None] | None = None
    stages: StageReport = field(default_factory=StageReport)

    def assign_boxes(self, item: Item) -> Item:
        """Return the image with the boxes that are given for it."""
        return assign_boxes(item, self.boxes, self.config.unlisted or "fail")


class Engine(Protocol):
    """Who does the shards of a run.

    Attributes:
        name: as the user chooses it.
        workers: how many threads, processes or actors work at once.
    """

    name: str
    workers: int

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that decide the result, once it is known that the work can be done.

        Raises ValueError, TypeError, ImportError or OSError where the detector cannot be loaded, RunStopped where
        no worker starts.
        """

    def process(self, shards: Iterator[Shard], context: RunContext) -> None:
        """Do the shards; what the stages took is added to `context.stages` however this ends.

        Raises RunStopped where the run cannot go on, and KeyboardInterrupt after an interrupt. Either way every file
        that was written is whole.
        """

    def close(self) -> None:
        """End what was started for the work; may be called at any time."""

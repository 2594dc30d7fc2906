"""`fastblur detect`: what a detector finds in the images of a folder, one line an image."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import torch

from fastblur.files import AtomicFile
from fastblur.pipeline.config import MAX_PIXELS, check_device, make_detect
from fastblur.pipeline.execution.journal import count
from fastblur.pipeline.execution.stages import Stage, Stages
from fastblur.pipeline.execution.workers import BATCH, check_workers, default_workers, readers
from fastblur.pipeline.images.detection import Batches, Detect
from fastblur.pipeline.images.task import COPIED, FAILED, HIDDEN, Hand, Images, on_images
from fastblur.pipeline.progress import Show, ticking
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.storage.paths import error_reason
from fastblur.pipeline.summary import Tally


@dataclass(frozen=True)
class Found:
    """The end of a search.

    Attributes:
        images: looked at, `failed` included.
        with_regions: images in which something was found.
        regions: found in them.
        failed: images that could not be searched; their lines say why.
        seconds: from the first image listed to the last one searched.
        interrupted: the number of the signal that stopped it before its end, or 0; the file is not written then.
    """

    images: int
    with_regions: int
    regions: int
    failed: int
    seconds: float
    interrupted: int

    @property
    def exit_status(self) -> int:
        """The exit status of a command: 130 or 143 interrupted, 1 some image failed, 0 none."""
        return 128 + self.interrupted if self.interrupted else 1 if self.failed else 0

    def text(self) -> str:
        """Return the counts for a reader."""
        lines = [
            f"images        {self.images}",
            f"with regions  {self.with_regions}, {self.regions} regions",
            f"failed        {self.failed}" + (", their lines say why" if self.failed else ""),
            f"time          {self.seconds:.1f} s, {self.images / max(self.seconds, 1e-9):.1f} images a second",
        ]
        return "\n".join([*lines, "interrupted   nothing was written"] if self.interrupted else lines)


class Lines:
    """Writes lines of JSON, those of failures among them; several threads may write at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def write(self, line: dict[str, Any]) -> None:
        """Add one line; ASCII, so that a name that is not UTF-8 keeps its bytes as escaped surrogates."""
        text = json.dumps(line) + "\n"
        with self._lock:
            self._file.write(text)

    def fail(self, name: str, reason: str) -> None:
        """Add the line of an image that could not be searched."""
        self.write({"path": name, "error": reason})


class Listing(Batches):
    """Finds the regions of images and writes a line for each."""

    def __init__(
        self, detect: Detect, size: int | None, lines: Lines, tally: Tally, parameters: dict[str, Any]
    ) -> None:
        super().__init__(detect, size, MAX_PIXELS)
        self._lines, self._tally, self._parameters = lines, tally, parameters

    def after_decoding(self) -> list[Callable[[Images], None]]:
        """Return the stages that an image goes through when it has been decoded."""
        return [self.search, self.list]

    def list(self, images: Images) -> None:
        """Write the lines of images that have been searched."""
        for one in images:
            if one.fate:
                continue
            assert one.boxes is not None
            assert one.picture is not None
            (height, width), reduced = one.picture.pixels.shape[:2], one.reduced or (1, 1)
            line: dict[str, Any] = {"path": one.item.name, "width": round(width * reduced[0])}
            line |= {"height": round(height * reduced[1]), "boxes": one.boxes.tolist()}
            self._lines.write(line | {"scores": one.scores, "landmarks": one.landmarks} | self._parameters)
            one.end(HIDDEN if len(one.boxes) else COPIED)

    def end(self, images: Images) -> None:
        """Count the images, and write the lines of those that failed."""
        for one in images:
            if one.fate == FAILED:
                self._lines.fail(one.item.name, one.reason)
        self._tally.add(count(images))


def detect(
    source: str | Path,
    out: str | Path,
    *,
    detector: str | None = None,
    threshold: float | None = None,
    detect_size: int | None = None,
    device: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
    progress: Show | None = None,
) -> Found:
    """Write what a detector finds in the images of `source` to `out`, one line of JSON an image, in no order.

    A line has the image's `path` below the source (for one file, its name), `width` and `height`, `boxes` (n, 4), xyxy
    in pixels, and `landmarks` (n, 5, 2), or null, both in stored coordinates (before any EXIF rotation), `scores`,
    `detector`, `threshold`, `detect_size` and `weights_sha256`. An image that could not be searched has a line with
    `path` and `error`; `run` given the file as `boxes` then refuses that image. The file appears whole at the end.

    Args:
        source: a folder tree, or one image file.
        out: the file; its name ends in .jsonl.
        overwrite: replace a file that is there.

    The other arguments are those of `run`. Raises as `run` does.
    """
    device = check_device(device)
    check_workers(workers)
    workers = default_workers() if workers is None else workers
    path = Path(out)
    if path.suffix.lower() != ".jsonl":
        raise ValueError(f"OUT is {str(path)!r}, expected a file's name ending in .jsonl")
    if path.is_dir() or not Path(os.path.abspath(path)).parent.is_dir():
        raise ValueError(f"OUT {str(path)!r} cannot be written, expected a file's name in a folder that exists")
    if os.path.lexists(path) and not overwrite:
        raise ValueError(f"OUT {str(path)!r} is already there, expected a new name or --overwrite")
    opened = Source(os.fspath(source))
    find, parameters = make_detect(detector, threshold, detect_size, device)
    tally = Tally()

    def hands() -> Iterator[Hand]:
        for shard in opened.shards():
            batches = shard.batches(BATCH[device])
            while True:
                try:
                    batch = next(batches, None)
                except (ValueError, OSError) as error:
                    yield Hand(Batch([Item(shard.name, problem=error_reason(error))]))
                    break
                if batch is None:
                    break
                yield Hand(batch)

    start = time.perf_counter()
    interrupted = 0
    try:
        with AtomicFile(path) as binary, os.fdopen(os.dup(binary.fileno()), "w", encoding="ascii") as text:
            listing = Listing(find, parameters["detect_size"], Lines(text), tally, parameters)
            steps = {"read": listing.read, "decode": listing.decode, "detect": listing.search, "list": listing.list}
            stages = [
                Stage(name, on_images(step), readers(opened.path) if name == "read" else 0)
                for name, step in {**steps, "end": listing.end}.items()
            ]
            tick = ticking(progress, tally, opened.path, None)
            Stages(stages, workers, 3 * workers + 4, lambda: torch.set_num_threads(1)).run(hands(), tick)
            if progress is not None:
                progress(tally, tally.images)
    except KeyboardInterrupt as error:
        interrupted = int(getattr(error, "signal", 2))
    seconds = time.perf_counter() - start
    return Found(tally.images, tally.with_regions, tally.regions, tally.failed, seconds, interrupted)

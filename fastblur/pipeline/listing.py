"""`fastblur detect`: what a detector finds in the images of a folder, one line an image."""

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fastblur.codecs import decode
from fastblur.detectors.weights import replacing
from fastblur.pipeline.batches import Batches, Opened, read, step
from fastblur.pipeline.progress import Show
from fastblur.pipeline.runner import BATCH, check_device, default_workers, make_detect, run_threads
from fastblur.pipeline.shards import Item
from fastblur.pipeline.source import Source
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
        interrupted: whether it was stopped before its end; the file is not written then.
    """

    images: int
    with_regions: int
    regions: int
    failed: int
    seconds: float
    interrupted: bool

    @property
    def exit_status(self) -> int:
        """The exit status of a command: 130 interrupted, 1 some image failed, 0 none."""
        return 130 if self.interrupted else 1 if self.failed else 0

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


@dataclass(frozen=True)
class Listing(Batches):
    """Finds the regions of images and writes a line for each."""

    sink: Lines
    parameters: dict[str, Any]

    def open(self, item: Item) -> Opened:
        """Return the image."""
        return Opened(item, step("decode", decode, read(item)), None)

    def finish(self, batch: list[Opened]) -> None:
        """Find the regions of the images and write their lines."""
        for one in self.together("detect", self.find, batch):
            assert one.boxes is not None
            height, width = one.picture.pixels.shape[:2]
            line = {"path": one.item.name, "width": width, "height": height}
            line |= {"boxes": one.boxes.tolist(), "scores": one.scores, "landmarks": one.landmarks}
            self.sink.write(line | self.parameters)
            if len(one.boxes):
                self.tally.blurred(len(one.boxes), 0)
            else:
                self.tally.copy()


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
    workers = default_workers() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    path = Path(out)
    if path.suffix.lower() != ".jsonl":
        raise ValueError(f"OUT is {str(path)!r}, expected a file's name ending in .jsonl")
    if path.is_dir() or not Path(os.path.abspath(path)).parent.is_dir():
        raise ValueError(f"OUT {str(path)!r} cannot be written, expected a file's name in a folder that exists")
    if os.path.lexists(path) and not overwrite:
        raise ValueError(f"OUT {str(path)!r} is already there, expected a new name or --overwrite")
    opened = Source(Path(source))
    find, parameters = make_detect(detector, threshold, detect_size, device)
    tally = Tally()
    start = time.perf_counter()
    try:
        with replacing(path) as binary:
            text = os.fdopen(os.dup(binary.fileno()), "w", encoding="ascii")
            with text:
                listing = Listing(find, Lines(text), tally, parameters)
                if run_threads(opened, listing, workers, BATCH[device], tally, progress):
                    raise KeyboardInterrupt
    except KeyboardInterrupt:
        interrupted = True
    else:
        interrupted = False
    seconds = time.perf_counter() - start
    return Found(tally.images, tally.with_regions, tally.regions, tally.failed, seconds, interrupted)

"""`fastblur detect`: what a detector finds in the images of a folder, one line an image."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch

from fastblur.detectors import DetectorName
from fastblur.errors import FileError, UsageError
from fastblur.files import AtomicFile
from fastblur.options import MAX_PIXELS, Device, Others
from fastblur.pipeline.config import RunConfig, check_workers, resolve_device
from fastblur.pipeline.errors import until_interrupted
from fastblur.pipeline.execution.concurrency import BATCH, default_workers, max_in_flight, readers
from fastblur.pipeline.execution.journal import count
from fastblur.pipeline.execution.stages import Stage, Stages
from fastblur.pipeline.images.detection import DetectionStages, check_detector_options, make_detect
from fastblur.pipeline.images.task import Images, ImageTask, Outcome
from fastblur.pipeline.progress import Show, ticking
from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.storage.paths import error_reason
from fastblur.pipeline.summary import DetectSummary, Tally
from fastblur.torch_threads import one_torch_thread


class JsonLines:
    """Writes lines of JSON, those of failures among them; several threads may write at once."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def write(self, line: dict[str, Any]) -> None:
        """Add one line; ASCII, so that a name that is not UTF-8 keeps its bytes as escaped surrogates."""
        text = json.dumps(line) + "\n"
        with self._lock:
            self._file.write(text)


class DetectionWriter:
    """Writes a line for each image that has been searched, and counts the images."""

    def __init__(self, lines: JsonLines, tally: Tally, parameters: dict[str, Any]) -> None:
        self._lines, self._tally, self._parameters = lines, tally, parameters

    def write(self, images: Images) -> None:
        """Write the lines of images that have been searched."""
        for image in images:
            if image.outcome is not None:
                continue
            assert image.boxes is not None
            assert image.decoded is not None
            (height, width), scale = image.decoded.picture.pixels.shape[:2], image.decoded.scale or (1, 1)
            line: dict[str, Any] = {"path": image.item.name, "width": round(width * scale[0])}
            line |= {"height": round(height * scale[1]), "boxes": image.boxes.tolist()}
            line["coordinates"] = "stored"
            line |= {"scores": image.scores, "landmarks": image.landmarks}
            line["near_misses"] = [[*box, score] for box, score in image.near_misses]
            self._lines.write(line | self._parameters)
            image.finish(Outcome.HIDDEN if len(image.boxes) else Outcome.COPIED)

    def end(self, images: Images) -> None:
        """Count the images, and write the lines of those that failed."""
        for image in images:
            if image.outcome is Outcome.FAILED:
                self._lines.write({"path": image.item.name, "error": image.reason})
        self._tally.add(count(images))


def detect(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    detector: DetectorName | str | Callable[..., Any] | None = None,
    threshold: float | None = None,
    detect_size: int | None = None,
    image_column: str | Sequence[str] | None = None,
    members: str | Sequence[str] | None = None,
    others: Others = "fail",
    device: Device = "auto",
    workers: int | None = None,
    overwrite: bool = False,
    progress: Show | None = None,
) -> DetectSummary:
    """Write what a detector finds in the images of `source` to `out`, one line of JSON an image, in no order.

    A line has the image's `path` below the source (for one file, its name), `width` and `height`, `boxes` (n, 4), xyxy
    in pixels, and `landmarks` (n, 5, 2), or null, both in `coordinates` "stored" (before any EXIF rotation), `scores`,
    `near_misses` (n, 5), boxes and scores of at least half the threshold but under it, at most 16, `detector`,
    `threshold`, `detect_size` and `weights_sha256` (for a detector of your own `detector_version`, and null for these
    three). An image that could not be searched has a line with `path` and `error`; `run` given the file as `boxes` then
    refuses that image. The file appears whole at the end.

    Args:
        source: a folder tree, or one image file; or several, of which paths begin with their names.
        out: the file; its name ends in .jsonl.
        others: what becomes of what is not searched: "fail" for a line that says so, "copy" or "skip" for none.
        overwrite: replace a file that is there.

    The other arguments are those of `run`. Raises UsageError, FileError, MissingPackage or WeightsError where an
    argument does not fit, the file cannot be written, or the detector cannot be loaded.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from fastblur.pipeline import detect
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new("RGB", (80, 60), "white").save(folder / "wall.png")
        >>> summary = detect(folder, folder / "faces.jsonl", device="cpu")
        >>> summary.images, summary.regions
        (1, 0)
    """
    given = {"source": source, "destination": out, "image_column": image_column, "members": members, "others": others}
    config = RunConfig.from_options(given)
    opened = config.open_source()
    resolved = resolve_device(device)
    check_workers(workers)
    check_detector_options(detector, threshold, detect_size)
    workers = default_workers() if workers is None else workers
    path = _check_output(Path(out), overwrite)
    find, parameters = make_detect(detector, threshold, detect_size, resolved)
    tally = Tally()
    start = time.perf_counter()
    with (
        one_torch_thread(),
        _writing(path),
        until_interrupted() as interruption,
        AtomicFile(path) as binary,
        os.fdopen(os.dup(binary.fileno()), "w", encoding="ascii") as text,
    ):
        searched = DetectionStages(find, parameters["detect_size"], MAX_PIXELS)
        writer = DetectionWriter(JsonLines(text), tally, parameters)
        stages: list[Stage[Images]] = [
            Stage("read", searched.read, readers(config.sources)),
            Stage("decode", lambda images: searched.decode(images, then=[searched.search, writer.write])),
            Stage("detect", searched.search),
            Stage("write", writer.write),
            Stage("end", writer.end),
        ]
        line = Stages(stages, workers, max_in_flight(workers), partial(torch.set_num_threads, 1))
        line.run(_images(opened, BATCH[resolved]), ticking(progress, tally, opened))
        if progress is not None:
            progress(tally, tally.images)
    seconds = time.perf_counter() - start
    return DetectSummary(tally.images, tally.with_regions, tally.regions, tally.failed, seconds, interruption.signal)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a FileError: those of images are caught where these are read."""
    try:
        yield
    except OSError as error:
        raise FileError(f"OUT {str(path)!r} cannot be written: {error_reason(error)}") from error


def _check_output(path: Path, overwrite: bool) -> Path:
    """Return the path; raises UsageError where no file of lines can be written there."""
    if path.suffix.lower() != ".jsonl":
        raise UsageError(f"OUT is {str(path)!r}, expected a file's name ending in .jsonl")
    if path.is_dir() or not Path(os.path.abspath(path)).parent.is_dir():
        raise UsageError(f"OUT {str(path)!r} cannot be written, expected a file's name in a folder that exists")
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"OUT {str(path)!r} is already there, expected a new name or --overwrite")
    return path


def _images(source: Source, batch_size: int) -> Iterator[Images]:
    """Yield the images of a source, a batch at a time; a shard that ends too early gives one that fails."""
    for shard in source.shards():
        try:
            for batch in shard.batches(batch_size):
                yield [ImageTask(item) for item in batch.items]
        except (ValueError, OSError) as error:
            yield [ImageTask(Item(shard.name, problem=error_reason(error)))]

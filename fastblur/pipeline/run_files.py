"""A run: from its arguments to a summary."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from fastblur.detectors import DetectorName
from fastblur.options import (
    MAX_PIXELS,
    BoxCoordinates,
    BoxFormat,
    Device,
    EngineName,
    Format,
    JpegWay,
    Method,
    OnError,
    Others,
    Unlisted,
)
from fastblur.pipeline.boxes.assign import assign_boxes
from fastblur.pipeline.boxes.box_index import BoxIndex
from fastblur.pipeline.boxes.matching import BoxAssignment
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.destination import Destination, check_destination, check_remote_destination
from fastblur.pipeline.errors import RunStopped, stopping_the_run, until_interrupted
from fastblur.pipeline.execution.engine import Engine, RunContext
from fastblur.pipeline.execution.engines import start_engine
from fastblur.pipeline.execution.journal import FAILURES, Journal, locked
from fastblur.pipeline.progress import Show, ticking
from fastblur.pipeline.shards.interfaces import Item, Shard
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.shards.tar.names import is_tar_name
from fastblur.pipeline.storage.paths import is_url
from fastblur.pipeline.storage.sink import open_sink
from fastblur.pipeline.summary import COUNTS, Summary, installed_versions
from fastblur.recipes import Scope, Shape


def run(
    source: str | Path | Sequence[str | Path],
    destination: str | Path,
    *,
    detector: DetectorName | str | Callable[..., Any] | None = None,
    threshold: float | None = None,
    detect_size: int | None = None,
    boxes: str | Path | None = None,
    box_category: str | Sequence[str] | None = None,
    box_coordinates: BoxCoordinates = "auto",
    unlisted: Unlisted | None = None,
    method: Method = "blur",
    recipe: str | None = None,
    strength: float | None = None,
    margin: float | None = None,
    feather: float | None = None,
    shape: Shape | None = None,
    scope: Scope | None = None,
    blocks: int | None = None,
    color: str | None = None,
    jpeg: JpegWay = "blocks",
    format: Format | None = None,
    image_column: str | Sequence[str] | None = None,
    box_column: str | None = None,
    box_format: BoxFormat | None = None,
    members: str | Sequence[str] | None = None,
    others: Others = "fail",
    strip_metadata: bool = False,
    max_pixels: int = MAX_PIXELS,
    on_error: OnError = "continue",
    device: Device = "auto",
    workers: int | None = None,
    engine: EngineName = "auto",
    overwrite: bool = False,
    report: str | Path | None = None,
    progress: Show | None = None,
) -> Summary:
    """Write a copy of the images of `source` to `destination` in which faces are hidden.

    Only images with regions are encoded again; the others are copied byte for byte. An image that cannot be read, in
    which the detector fails, or that cannot be written whole is not written at all: it is listed with its reason in
    `.fastblur/failures.jsonl` of the destination, and the run goes on.

    The journal in the destination's folder `.fastblur` records what is done. A run that was stopped, for whatever
    reason, goes on when it is called again with the same arguments, and the result is that of a run that was not.

    Args:
        source: a folder tree, one image file, one tar, Parquet or Arrow file; a path, or a URL that fsspec knows. Or
            several of them: then the destination gets each under its own name, as `cp -r` does it.
        destination: a folder or URL, new, empty, or of a run to go on with; for one image file also a new file's name.
        detector: name of the detector, "centerface" by default; or your own (see `fastblur.detectors.FaceDetector`): a
            callable, which is called by threads of this process, one at a time, or "package.module:name", which worker
            processes and Ray import.
        threshold: score threshold of the detector, 0..1.
        detect_size: longest side in pixels that the detector sees.
        boxes: annotation file with the boxes to hide, instead of a detector.
        box_category: with `boxes` of COCO, one or several names or ids of categories; None for the boxes of all.
        box_coordinates: whether given boxes are of the pictures as they are "stored" or "upright", turned as their EXIF
            orientation says. "auto" goes by the size that the file states; an image that is stored turned fails where
            that does not tell. What `detect` writes is of the stored pictures.
        unlisted: with `boxes`, what happens to an image that the file does not list: "fail" (default), "copy" or
            "detect".
        method: "blur", "pixelate" or "fill".
        recipe, strength, margin, feather, shape, scope, blocks: of the method, as its operator takes them; None for
            their defaults.
        color: of "fill": a text, "128" or "255,0,0", a level or RGB in 0..255.
        jpeg: "blocks" to change JPEG files only in the 8 x 8 blocks that the method touches, where the file allows it
            (see `fastblur.hide_jpeg`), or "encode" to decode and encode all whole.
        format: "images", "webdataset" (tar files) or "table" (Parquet, Arrow) to work on files of one kind only.
        image_column: of tables, one or several names; None for all that look like images. Other columns that may hold
            images are `others`.
        box_column: of tables, with the boxes to hide instead of a detector.
        box_format: what the four numbers of a box in `box_column` are, as `fastblur.Regions.from_boxes` takes them;
            "xyxy" in pixels by default, "xyxyn" for what img2dataset keeps.
        members: of samples in tars, the images to search: extensions as "jpg", which is not that of "a.seg.jpg", or
            patterns as "*.left.png"; a text with commas, or a list; None for all images. The other images are written
            as they are.
        others: what happens to what holds or may hold images and is not searched, as archives, videos, arrays, columns
            and images of other formats: "fail" (default), "copy" to write it as it is, also texts in folders, or
            "skip" to leave it out.
        strip_metadata: write images without EXIF (GPS too), XMP, IPTC, comments, previews and gain maps; colour
            profile, orientation and coded pixels stay. Also images without a face, which are then no longer the source
            byte for byte. What is not searched (`members`, `others`), texts and columns stay as they are.
        max_pixels: the largest width times height that is decoded; a larger image fails.
        on_error: "continue" after an image has failed, or "stop".
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        workers: processes, or threads; by default one for each CPU that this process may use. With Ray, actors of one
            CPU each; by default as many as the cluster has CPUs.
        engine: "processes", "threads" of this process, "ray" for the shards to be done by a Ray cluster, or "auto":
            processes, but threads for a few images and on CUDA.
        overwrite: start over in a destination that is not empty, replacing its files.
        report: file for the summary as JSON.
        progress: called several times a second with the counters and the number of images. To count them, folders of
            this machine are listed a second time.

    Raises UsageError (a ValueError), FileError (an OSError), MissingPackage (an ImportError) or WeightsError before
    anything is written where an argument, file or package does not fit, and RunStopped where the run cannot go on, as
    on a full disk; it can be resumed then.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from fastblur.pipeline import run
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "photos").mkdir()
        >>> Image.new("RGB", (80, 60), "white").save(folder / "photos" / "wall.png")
        >>> _ = (folder / "boxes.json").write_text('[{"url": "wall.png", "bboxes": []}]')
        >>> run(folder / "photos", folder / "hidden", boxes=folder / "boxes.json").copied
        1
    """
    options = {**locals()}  # the arguments by their names: nothing else has one yet
    del options["progress"]
    config = RunConfig.from_options(options)
    opened = config.open_source()
    place = check_destination(config, opened)
    with closing(start_engine(config, opened)) as started, begun(config, opened, place, started) as context:
        context.on_tick = ticking(progress, context.tally, opened)
        start = time.perf_counter()
        with until_interrupted() as interruption, stopping_the_run():
            started.process(remaining_shards(opened, context), context)
        seconds = time.perf_counter() - start
        if progress is not None and not interruption.signal:
            progress(context.tally, context.tally.images)
        summary = summarize(context, opened, started, seconds, interruption.signal)
        try:
            context.sink.close()
            if config.report is not None:
                summary.write(Path(config.report))
        except OSError as error:
            raise RunStopped(f"the images are done, but their end could not be recorded: {error}") from error
    return summary


@contextmanager
def begun(config: RunConfig, source: Source, destination: Destination, engine: Engine) -> Iterator[RunContext]:
    """Begin a run: read the boxes, open and lock the output, and begin or resume its journal; unlock it at the end.

    Raises UsageError or ValueError, ImportError and OSError where something does not fit, and as `Engine.parameters`.
    """
    boxes = None  # which are read while workers start
    if config.boxes is not None:
        boxes = BoxAssignment(BoxIndex.read(Path(config.boxes), config.box_categories), source.root)
    parameters = engine.parameters()
    parameters |= {
        "source": source.parameter,
        "format": config.format,
        "image_columns": list(config.image_columns),
        "others": config.others,
        "members": list(config.members),
        "box_column": config.box_column,
        "box_format": config.box_format,
    }
    if boxes is not None:
        parameters |= {"boxes_sha256": boxes.index.sha256, "box_categories": list(config.box_categories)}
    sink = open_sink(destination.root, alone=source.is_image, rename=destination.rename)
    check_remote_destination(sink, source, overwrite=config.overwrite)
    local_folder = not (is_url(destination.root) or source.is_image)
    with locked(Path(destination.root)) if local_folder else nullcontext():
        journal, versions = Journal(sink), installed_versions()
        with stopping_the_run():
            if source.is_image:
                journal.forget_failures()
            else:
                sink.clean()
                journal.begin(parameters, versions, overwrite=config.overwrite)
        recorded = None if source.is_image else journal
        try:
            yield RunContext(config, source.root, sink, recorded, journal.fail, boxes, parameters, versions)
        except BaseException:
            with suppress(OSError):  # the list of failures at a URL is written when the sink is closed
                sink.close()
            raise


def remaining_shards(source: Source, context: RunContext) -> Iterator[Shard]:
    """Yield the shards to do.

    Those that earlier runs finished are counted, and the boxes of their images marked as used.
    """
    journal = context.journal
    for shard in source.shards():
        done = None if journal is None else journal.finished_counts(shard)
        if journal is None or done is None:
            yield shard
            continue
        context.tally.add({**done, "resumed": done["images"], "shards": 1})
        if context.boxes is not None and is_tar_name(shard.name):
            for name in journal.finished_images(shard):
                assign_boxes(Item(name, key=name.removeprefix(f"{shard.name}/")), context.boxes, "copy")


def summarize(context: RunContext, source: Source, engine: Engine, seconds: float, interrupted: int) -> Summary:
    """Return the summary of a run that has ended.

    Args:
        context, source, engine: of the run.
        seconds: how long the engine took.
        interrupted: the number of the signal that interrupted it, or 0.
    """
    config, tally, boxes = context.config, context.tally, context.boxes
    unused = None if boxes is None or interrupted or tally.resumed else boxes.unused
    return Summary(
        **{name: getattr(tally, name) for name in (*COUNTS, "resumed", "shards")},
        other_files=source.passed + tally.skipped,
        unused_boxes=unused,
        seconds=seconds,
        interrupted=interrupted,
        failures_file=context.sink.path(FAILURES),
        stages=context.stages,
        parameters={**context.parameters, "boxes": config.boxes, "workers": engine.workers, "engine": engine.name},
        versions=context.versions,
    )

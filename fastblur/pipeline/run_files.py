"""A run: from its arguments to a summary."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from fastblur.files import sha256
from fastblur.pipeline.boxes.assignment import BoxAssignment
from fastblur.pipeline.boxes.box_index import BoxIndex
from fastblur.pipeline.boxes.lookup import assign_boxes
from fastblur.pipeline.config import MAX_PIXELS, Job, check_device
from fastblur.pipeline.destination import check_report, place, place_remote
from fastblur.pipeline.errors import RunStopped, stopped
from fastblur.pipeline.execution.journal import Journal, locked
from fastblur.pipeline.execution.processes import Processes
from fastblur.pipeline.execution.shard_flow import Flow
from fastblur.pipeline.execution.workers import BATCH, check_workers, default_workers, readers
from fastblur.pipeline.progress import Show, ticking
from fastblur.pipeline.shards.interfaces import Item, Shard
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.shards.tar.names import is_tar_name
from fastblur.pipeline.storage.paths import is_url, strip_file_scheme
from fastblur.pipeline.storage.sink import open_sink
from fastblur.pipeline.summary import COUNTS, Summary, Tally, installed_versions

ENGINES = ("auto", "threads", "processes", "ray")


def run(
    source: str | Path,
    destination: str | Path,
    *,
    detector: str | None = None,
    threshold: float | None = None,
    detect_size: int | None = None,
    boxes: str | Path | None = None,
    unlisted: str | None = None,
    method: str = "blur",
    recipe: str | None = None,
    strength: float | None = None,
    margin: float | None = None,
    feather: float | None = None,
    shape: str | None = None,
    blocks: int | None = None,
    color: str | None = None,
    format: str | None = None,
    image_column: str | None = None,
    box_column: str | None = None,
    max_pixels: int = MAX_PIXELS,
    on_error: str = "continue",
    device: str = "auto",
    workers: int | None = None,
    engine: str = "auto",
    overwrite: bool = False,
    report: str | Path | None = None,
    progress: Show | None = None,
) -> Summary:
    """Write a copy of the images of `source` to `destination` in which faces are hidden.

    Only images with regions are encoded anew; the others are copied byte for byte. An image that cannot be read, in
    which the detector fails, or that cannot be written whole is not written at all: it is listed with its reason in
    `.fastblur/failures.jsonl` of the destination, and the run goes on.

    The journal in the destination's folder `.fastblur` tells what is done. A run that was stopped, however that came,
    goes on when it is called again with the same arguments, and the result is that of a run that was not stopped.

    Args:
        source: a folder tree, one image file, one tar, Parquet or Arrow file; a path, or a URL that fsspec knows.
        destination: a folder or URL, new, empty, or of a run to go on with; for one image file also a new file's name.
        detector: name of the detector; "centerface" by default.
        threshold: score threshold of the detector, 0..1.
        detect_size: longest side in pixels that the detector sees.
        boxes: annotation file with the boxes to hide, instead of a detector.
        unlisted: with `boxes`, an image that the file does not name: "fail" (default), "copy" or "detect".
        method: "blur", "pixelate" or "fill"; the next seven arguments are those of the operators.
        recipe, strength, margin, feather, shape, blocks: as the operators take them; None for their defaults.
        color: as `make_hide` takes it.
        format: "images", "webdataset" (tar files) or "table" (Parquet, Arrow) to work on files of one kind only.
        image_column: of tables; None where there is only one it can be.
        box_column: of tables, with the boxes to hide instead of a detector.
        max_pixels: the largest width times height that is decoded; a larger image fails.
        on_error: "continue" after an image has failed, or "stop".
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        workers: processes, or threads; by default one for each CPU that this process may use. With Ray, actors of one
            CPU each; by default as many as the cluster has CPUs.
        engine: "processes", "threads" of this process, "ray" for the shards to be done by a Ray cluster, or "auto":
            processes, but threads for a few images and on CUDA.
        overwrite: start over in a destination that is not empty, replacing its files.
        report: file for the summary as JSON.
        progress: called several times a second with the counters and the number of images.

    Raises ValueError, TypeError, ImportError or OSError before anything is written where an argument does not fit, and
    RuntimeError (RunStopped) where the run cannot go on, as on a full disk; it can be taken up again then.
    """
    if on_error not in ("continue", "stop"):
        raise ValueError(f"on-error is {on_error!r}, expected 'continue' or 'stop'")
    check_workers(workers)
    device = check_device(device)
    opened = Source(os.fspath(source), format, (image_column,) if image_column else (), box_column)
    destination = strip_file_scheme(destination)
    engine, count = _chosen(engine, opened, destination, device, workers)
    root: Path | None = None
    rename: str | None = None
    if not is_url(destination):
        root, rename = place(Path(destination), opened, overwrite=overwrite)
    check_report(report, root, opened, boxes)
    options = {"recipe": recipe, "strength": strength, "margin": margin, "feather": feather, "shape": shape}
    options |= {"blocks": blocks, "color": color}
    job = Job(
        detector, threshold, detect_size, unlisted, method, options, device, max_pixels, boxes is not None,
        box_column is not None,
    )  # fmt: skip
    target = str(destination) if root is None else os.path.abspath(root)
    stages: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        pool: Processes | None = None
        work: Any = None
        if engine == "processes":
            pool = stack.enter_context(Processes(count, job, target, readers(opened.path), stages))
        assignment = None if boxes is None else BoxAssignment(BoxIndex.read(Path(boxes)), opened.root)
        if pool is not None:
            parameters = pool.parameters()
        else:
            work, parameters = job.work()
        parameters |= {"source": opened.path, "format": format, "image_column": image_column, "box_column": box_column}
        if boxes is not None:
            parameters["boxes_sha256"] = sha256(os.fspath(boxes))
        sink = open_sink(target if root is None else root, alone=opened.is_image, rename=rename)
        place_remote(sink, opened, overwrite=overwrite)
        if root is not None and not opened.is_image:
            stack.enter_context(locked(root))
        journal, tally, versions = Journal(sink), Tally(), installed_versions()
        try:
            if opened.is_image:
                journal.forget_failures()
            else:
                sink.clean()
                journal.begin(parameters, versions, overwrite=overwrite)
        except OSError as error:
            raise stopped(error) from error
        flow = partial(
            Flow, sink=sink, journal=None if opened.is_image else journal, tally=tally, fail=journal.fail,
            batch=BATCH[device], boxed=partial(assign_boxes, assignment=assignment, unlisted=unlisted or "fail"),
            stop_on_error=on_error == "stop",
        )  # fmt: skip
        tick = ticking(progress, tally, opened.path, format)
        shards = _unfinished(opened, journal, tally, assignment)
        interrupted = 0
        start = time.perf_counter()
        try:
            if pool is not None:
                with pool:
                    _through(flow([("work", pool.do, pool.threads)], workers=1, most=pool.most), shards, tick, stages)
            elif engine == "ray":
                from fastblur.pipeline.execution.ray import run_shards

                run_shards(
                    shards, job, assignment, opened.root, opened.path, target, tally, journal.fail, workers, tick,
                    stages, stop_on_error=on_error == "stop",
                )  # fmt: skip
            else:
                assert work is not None
                line = work.stages(readers(opened.path), device)
                _through(
                    flow(line, workers=count, most=3 * count + 4, begin=job.one_thread),
                    shards,
                    tick,
                    stages,
                )
        except KeyboardInterrupt as error:
            interrupted = int(getattr(error, "signal", 2))
        except OSError as error:
            raise stopped(error) from error
        if progress is not None and not interrupted:
            progress(tally, tally.images)
        unused = None if assignment is None or interrupted or tally.resumed else assignment.unused
        summary = Summary(
            **{name: getattr(tally, name) for name in (*COUNTS, "resumed", "shards")},
            other_files=opened.passed,
            unused_boxes=unused,
            seconds=time.perf_counter() - start,
            interrupted=interrupted,
            failures_file=journal.failures,
            stages=stages,
            parameters={**parameters, "boxes": boxes and str(boxes), "workers": count, "engine": engine},
            versions=versions,
        )
        try:
            sink.close()
            if report is not None:
                summary.write(Path(report))
        except OSError as error:
            raise RunStopped(f"the images are done, but their end could not be recorded: {error}") from error
    return summary


def _chosen(engine: str, source: Source, destination: str, device: str, workers: int | None) -> tuple[str, int]:
    """Return who does the work, and how many workers there are."""
    if engine not in ENGINES:
        raise ValueError(f"engine is {engine!r}, expected one of {', '.join(map(repr, ENGINES))}")
    if source.is_image and engine not in ("auto", "threads"):
        raise ValueError(f"engine is {engine!r} for one image, expected 'auto'")
    if device == "cuda" and engine == "processes":
        raise ValueError("engine is 'processes' on CUDA, expected 'threads' or 'auto': one process feeds a device best")
    in_memory = f"{source.path} {destination}".count("memory://") > 0
    if in_memory and engine in ("processes", "ray"):
        raise ValueError(f"engine is {engine!r} for memory://, expected 'threads' or 'auto': others do not see it")
    count = workers or default_workers()
    if engine == "auto":
        alone = device == "cuda" or count == 1 or source.is_image or in_memory or source.is_small()
        engine = "threads" if alone else "processes"
    return engine, count


def _unfinished(source: Source, journal: Journal, tally: Tally, assignment: BoxAssignment | None) -> Iterator[Shard]:
    """Yield the shards to do; those that earlier runs finished are counted, and their images' boxes taken for found."""
    for shard in source.shards():
        done = journal.finished_counts(shard)
        if done is None:
            yield shard
        else:
            tally.add({**done, "resumed": done["images"], "shards": 1})
            if assignment is not None and is_tar_name(shard.name):
                for name in journal.finished_images(shard):
                    assign_boxes(Item(name, key=name.removeprefix(f"{shard.name}/")), assignment, "copy")


def _through(
    flow: Flow, shards: Iterator[Shard], tick: Callable[[], None] | None, stages: dict[str, dict[str, float]]
) -> None:
    try:
        flow.run(shards, tick)
    finally:
        stages.update(flow.line.report())

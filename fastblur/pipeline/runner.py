"""A run over a folder: a few threads, each taking images from one listing and doing them from end to end."""

import os
import threading
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from fastblur.detectors import load_detector
from fastblur.pipeline.batches import Batches, Detect
from fastblur.pipeline.boxes import BoxFile
from fastblur.pipeline.hiding import make_hide
from fastblur.pipeline.progress import Show
from fastblur.pipeline.shards import Item
from fastblur.pipeline.sink import Sink, place
from fastblur.pipeline.source import Source
from fastblur.pipeline.summary import Summary, Tally, installed_versions
from fastblur.pipeline.work import Work

UNLISTED = ("fail", "copy", "detect")
# Images that a worker takes at once. On the CPU a batch of more makes the detector no faster; the operator's share of
# Python is what is saved, and more would leave workers idle at the end of a small folder.
BATCH = {"cpu": 8, "cuda": 32}


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
    device: str = "auto",
    workers: int | None = None,
    overwrite: bool = False,
    report: str | Path | None = None,
    progress: Show | None = None,
) -> Summary:
    """Write a copy of the images of `source` to `destination` in which faces are hidden.

    Only images with regions are encoded anew; the others are copied byte for byte. An image that cannot be read, in
    which the detector fails, or that cannot be written whole is not written at all: it is listed with its reason in
    `.fastblur/failures.jsonl` of the destination, and the run goes on. Ctrl-C ends the run after the images in hand.

    Args:
        source: a folder tree, or one image file.
        destination: a folder, new or empty; for one image file also a new file's name.
        detector: name of the detector; "centerface" by default.
        threshold: score threshold of the detector, 0..1.
        detect_size: longest side in pixels that the detector sees.
        boxes: ILSVRC annotation file with the boxes to hide, instead of a detector.
        unlisted: with `boxes`, an image that the file does not name: "fail" (default), "copy" or "detect".
        method: "blur", "pixelate" or "fill"; the next seven arguments are those of the operators.
        recipe, strength, margin, feather, shape, blocks: as the operators take them; None for their defaults.
        color: as `make_hide` takes it.
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        workers: threads; by default one for each CPU that the process may use.
        overwrite: replace files in a destination that is not empty.
        report: file for the summary as JSON.
        progress: called several times a second with the counters and the number of images.

    Raises ValueError, TypeError, ImportError or OSError before anything is written where an argument does not fit, and
    RuntimeError where the run cannot go on because its failures, or its end, cannot be recorded.
    """
    parameters = dict(locals())
    parameters = {name: str(v) if isinstance(v, Path) else v for name, v in parameters.items() if name != "progress"}
    device = check_device(device)
    workers = default_workers() if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers is {workers}, expected at least 1")
    opened = Source(Path(source))
    root, rename = place(Path(destination), opened, overwrite=overwrite)
    _check_report(report, root)
    hide, hiding = make_hide(
        method,
        device,
        recipe=recipe,
        strength=strength,
        margin=margin,
        feather=feather,
        shape=shape,
        blocks=blocks,
        color=color,
    )
    box_file = None if boxes is None else BoxFile(Path(boxes), opened.root)
    _check_unlisted(unlisted, box_file)
    detect: Detect | None = None
    detecting: dict[str, Any] = {}
    if box_file is None or unlisted == "detect":
        detect, detecting = make_detect(detector, threshold, detect_size, device)
    else:
        for name, value in (("detector", detector), ("threshold", threshold), ("detect-size", detect_size)):
            if value is not None:
                raise ValueError(f"--{name} has no effect with --boxes, expected --unlisted detect beside it")
    sink = Sink(root, rename=rename, overwrite=overwrite)

    tally = Tally()
    work = Work(detect, sink, tally, box_file, unlisted or "fail", hide)
    start = time.perf_counter()
    interrupted = run_threads(opened, work, workers, BATCH[device], tally, progress)
    summary = Summary(
        images=tally.images,
        with_regions=tally.with_regions,
        regions=tally.regions,
        degenerate_regions=tally.degenerate_regions,
        copied=tally.copied,
        failed=tally.failed,
        other_files=opened.others,
        seconds=time.perf_counter() - start,
        interrupted=interrupted,
        failures_file=str(sink.failures),
        parameters={**parameters, **hiding, **detecting, "device": device, "workers": workers},
        versions=installed_versions(),
    )
    try:
        sink.flush()
        if report is not None:
            summary.write(Path(report))
    except OSError as error:
        raise RuntimeError(f"the images are done, but their end could not be recorded: {error}") from error
    return summary


def run_threads(source: Source, work: Batches, workers: int, batch: int, tally: Tally, progress: Show | None) -> bool:
    """Let `workers` threads do all images of the source, `batch` at a time; return whether Ctrl-C ended it early.

    At most `workers` * `batch` files are in memory, and of the images decoded from them `Work` bounds the pixels: a
    thread takes more from the listing when it has done its last.
    """
    items = iter(source)
    lock = threading.Lock()
    stop = threading.Event()
    errors: list[Exception] = []

    def take() -> list[Item]:
        with lock:
            return [] if stop.is_set() else list(islice(items, batch))

    def worker() -> None:
        torch.set_num_threads(1)  # the images are the parallelism
        try:
            while taken := take():
                work(taken)
        except Exception as error:
            errors.append(error)
            stop.set()

    total: list[int] = []
    if progress is not None:
        count = threading.Thread(target=lambda: total.append(sum(1 for _ in Source(source.path))), daemon=True)
        count.start()
    torch_threads = torch.get_num_threads()
    threads = [threading.Thread(target=worker, name=f"fastblur-{number}") for number in range(workers)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.1)
                if progress is not None:
                    progress(tally, total[0] if total else None)
        if progress is not None:
            progress(tally, tally.images)
    except KeyboardInterrupt:
        stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        return True
    finally:
        torch.set_num_threads(torch_threads)
    if errors:
        raise RuntimeError(f"the run stopped: {errors[0]}") from errors[0]
    return False


def make_detect(
    name: str | None, threshold: float | None, size: int | None, device: str
) -> tuple[Detect, dict[str, Any]]:
    """Return a function that finds regions, and the parameters that decide what it finds."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}, expected 0..1")
    if size is not None and size < 1:
        raise ValueError(f"detect-size is {size}, expected a positive number of pixels")
    detector = load_detector(name or "centerface", device=device, score_threshold=threshold, size=size, threads=1)

    def detect(images: list[torch.Tensor]) -> Any:
        return detector([image.to(device) for image in images])

    return detect, {
        "detector": detector.name,
        "threshold": detector.score_threshold,
        "detect_size": detector.size,
        "weights_sha256": detector.weights_sha256,
    }


def _check_unlisted(unlisted: str | None, box_file: BoxFile | None) -> None:
    if unlisted is not None and box_file is None:
        raise ValueError("--unlisted has no effect without --boxes, expected it left out")
    if unlisted not in (None, *UNLISTED):
        raise ValueError(f"unlisted is {unlisted!r}, expected one of {', '.join(map(repr, UNLISTED))}")


def check_device(device: str) -> str:
    """Return "cpu" or "cuda" for a device asked for by the user; ValueError where it cannot be had."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is {device!r}, expected 'auto', 'cpu' or 'cuda'")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but this machine has no CUDA device, expected 'cpu' or 'auto'")
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


def _check_report(report: str | Path | None, root: Path) -> None:
    if report is None:
        return
    path = Path(report)
    if path.is_dir() or not (path.parent.is_dir() or path.parent == root):
        raise ValueError(
            f"the summary cannot be written to {str(path)!r}, expected a file's name in a folder that exists"
        )


def default_workers() -> int:
    """Return the number of CPUs that the process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1

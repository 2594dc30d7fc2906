"""Ray: the shards of a run done by actors of a cluster, and faces hidden within a Ray Data job.

The journal on the file system that all machines share stays the truth: an actor reports a shard when its images and its
entry in the journal are durable. A worker or node that is lost takes its shard with it, which another then does again,
to the same bytes; should both come to the end, one of them makes the entry.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastblur import transforms
from fastblur.codecs import size_of
from fastblur.pipeline.boxes import BoxFile, SharedBoxes, relative_boxes
from fastblur.pipeline.flow import BATCH, Flow, RunStopped, readers
from fastblur.pipeline.given import with_boxes
from fastblur.pipeline.job import Job
from fastblur.pipeline.journal import Journal
from fastblur.pipeline.shards import Shard
from fastblur.pipeline.sink import LocalSink, RemoteSink
from fastblur.pipeline.storage import is_url
from fastblur.pipeline.summary import COUNTS, Tally

try:
    import ray
    from ray.exceptions import RayActorError, RayTaskError
except ImportError:
    raise ImportError("the engine 'ray' needs the package ray, expected it installed (fastblur[ray])") from None

TRIES = 5  # of one shard, each with another worker lost
STARTS = 3  # workers that fail to start, one after the other, before the run gives up


class BlurFaces:
    """Hides the faces in a column of images of a Ray Data set, for `ray.data.Dataset.map_batches`.

    A cell is the bytes of an image file, Hugging Face's {"bytes": .., "path": ..}, or an array (H, W, C) uint8. A row
    whose image fails is left out, and the reason goes to the log; or it is raised. All other columns come back as they
    are; with `batch_format="pyarrow"` also those of nested lists, which Ray's own format pickles.

    Args:
        image_column: the column of images.
        box_column: a column with the boxes to hide, (n, 4) xyxy, instead of a detector.
        relative: whether those boxes are relative to the image's sides, as img2dataset keeps them, and not in pixels.
        on_error: "drop" the row, or "raise".
        options: those of `fastblur.transforms.BlurFaces`: detector, threshold, size, method, recipe and so on.

    Raises ValueError or TypeError for arguments that do not fit.

    Example:
        >>> options = {"image_column": "image"}
        >>> pool = ray.data.ActorPoolStrategy(size=4)
        >>> dataset.map_batches(BlurFaces, fn_constructor_kwargs=options, batch_format="pyarrow", compute=pool)
    """

    def __init__(
        self,
        image_column: str = "image",
        *,
        box_column: str | None = None,
        relative: bool = False,
        on_error: str = "drop",
        **options: Any,
    ) -> None:
        if on_error not in ("drop", "raise"):
            raise ValueError(f"on_error is {on_error!r}, expected 'drop' or 'raise'")
        self._image_column, self._box_column, self._relative = image_column, box_column, relative
        self._on_error = on_error
        self._hide = transforms.BlurFaces(images="image", boxes=None if box_column is None else "boxes", **options)

    def __call__(self, batch: Any) -> Any:
        """Return the batch, a dict of columns as arrays or a pyarrow.Table, with the faces in its images hidden."""
        names = list(batch) if isinstance(batch, dict) else batch.column_names
        for column in (self._image_column, self._box_column):
            if column is not None and column not in names:
                raise ValueError(f"the batch has the columns {names}, expected {column!r} among them")
        torch.set_num_threads(1)
        return self._arrays(batch) if isinstance(batch, dict) else self._table(batch)

    def _table(self, table: Any) -> Any:
        import pyarrow as pa

        column = table.column(self._image_column)
        boxes = None if self._box_column is None else table.column(self._box_column).to_pylist()
        kept, images = self._hidden(column.to_pylist(), boxes)
        left = table.take(pa.array(kept, pa.int64()))
        place = left.column_names.index(self._image_column)
        return left.set_column(place, left.schema.field(place), pa.array(images, column.type))

    def _arrays(self, batch: dict[str, np.ndarray[Any, Any]]) -> dict[str, np.ndarray[Any, Any]]:
        boxes = None if self._box_column is None else batch[self._box_column]
        kept, images = self._hidden(batch[self._image_column], boxes)
        hidden: np.ndarray[Any, Any] = np.empty(len(images), object)
        hidden[:] = images
        whole = batch[self._image_column]
        if whole.dtype != object and len(images):
            hidden = np.stack(images)
        return {
            name: hidden if name == self._image_column else column[np.array(kept, np.int64)]
            for name, column in batch.items()
        }

    def _hidden(self, cells: Iterable[Any], boxes: Any) -> tuple[list[int], list[Any]]:
        """Return the rows that did not fail, and their images."""
        kept, images = [], []
        for row, cell in enumerate(cells):
            try:
                images.append(self._cell(cell, None if boxes is None else boxes[row]))
            except Exception as error:
                if self._on_error == "raise":
                    raise
                logging.getLogger(__name__).warning("a row is left out: %s", error)
                continue
            kept.append(row)
        return kept, images

    def _cell(self, cell: Any, boxes: Any) -> Any:
        image = cell["bytes"] if isinstance(cell, dict) else cell
        sample = {"image": image}
        if self._box_column is not None:
            if boxes is None:
                raise ValueError("the row has no boxes")
            rows = np.array([np.asarray(box, np.float32) for box in boxes], np.float32).reshape(-1, 4)
            if self._relative:
                width, height = size_of(image) if isinstance(image, bytes) else image.shape[1::-1]
                rows = relative_boxes(rows, height, width)
            sample["boxes"] = rows
        changed = self._hide(sample)["image"]
        return {**cell, "bytes": changed} if isinstance(cell, dict) else changed


class ShardWorker:
    """Does shards, one after the other, in a process of one CPU (and one GPU on CUDA)."""

    def __init__(self, job: Job, box_file: BoxFile | None, source: str, destination: str, stop_on_error: bool) -> None:
        torch.set_num_threads(1)
        self._job, self._stop_on_error, self._readers = job, stop_on_error, readers(source)
        self._box_file = box_file
        self._boxed = partial(with_boxes, box_file=box_file, unlisted=job.unlisted or "fail")
        self._work, _ = job.work()
        self._sink = RemoteSink(destination) if is_url(destination) else LocalSink(Path(destination))
        self._journal = Journal(self._sink)

    def ready(self) -> None:
        """Return when the worker has started."""

    def do(
        self, shard: Shard
    ) -> tuple[dict[str, int], list[tuple[str, str]], dict[str, dict[str, float]], list[tuple[int, int]]]:
        """Do a shard; return its counts, its failures as (name, reason), what the stages took, and `BoxFile.drain`.

        Raises RunStopped where the run cannot go on.
        """
        tally = Tally()
        failures: list[tuple[str, str]] = []
        flow = Flow(
            self._work.stages(self._readers, self._job.device),
            self._sink,
            self._journal,
            tally,
            lambda name, reason: failures.append((name, reason)),
            workers=1,
            batch=BATCH[self._job.device],
            boxed=self._boxed,
            most=7,
            stop_on_error=self._stop_on_error,
        )
        flow.run(iter([shard]))
        found = [] if self._box_file is None else self._box_file.drain()
        return {name: getattr(tally, name) for name in (*COUNTS, "shards")}, failures, flow.line.report(), found


def run_shards(
    shards: Iterator[Shard],
    job: Job,
    box_file: BoxFile | None,
    source: str,
    destination: str,
    tally: Tally,
    fail: Callable[[str, str], None],
    workers: int | None,
    tick: Callable[[], None] | None,
    stages: dict[str, dict[str, float]],
    *,
    stop_on_error: bool,
) -> None:
    """Let a Ray cluster do the shards.

    Connects to the cluster that RAY_ADDRESS names, or that runs on this machine, or starts one in this process. Workers
    that are lost are replaced as far as the cluster has room for them, and the others go on meanwhile.

    Args:
        shards: those to do.
        job: what is done.
        box_file: the boxes given, or None.
        source: the source, as all machines name it.
        destination: the output folder, on a file system that all machines share, or its URL.
        tally: counts images.
        fail: takes the name and reason of each failure.
        workers: how many; None for one for each CPU of the cluster, or each GPU on CUDA.
        tick: called a few times a second.
        stages: gets what the stages took, summed over all workers.
        stop_on_error: whether the first failure stops the run.

    Raises RunStopped where the run cannot go on; KeyboardInterrupt after giving up the shards in hand.
    """
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(log_to_driver=False, configure_logging=False, include_dashboard=False)
    kind = "GPU" if job.device == "cuda" else "CPU"
    count = workers or max(1, int(ray.cluster_resources().get(kind, 1)))
    actor = ray.remote(num_cpus=1, num_gpus=1 if job.device == "cuda" else 0, max_restarts=0)(ShardWorker)
    arguments = (job, ray.put(box_file), source, destination, stop_on_error)
    pool = _Pool(lambda: actor.remote(*arguments), count, stages, box_file)
    try:
        pool.run(shards, tally, fail, tick)
    finally:
        pool.kill()
        if started_here:
            ray.shutdown()


class _Pool:
    """Workers, and which shard each has in hand."""

    def __init__(
        self,
        start: Callable[[], Any],
        count: int,
        stages: dict[str, dict[str, float]],
        box_file: BoxFile | None,
    ) -> None:
        self._start, self._box_file = start, box_file
        self._in_hand: dict[Any, tuple[Any, Shard | None, int]] = {}  # reference -> worker, its shard, its try
        self._again: list[tuple[Shard, int]] = []
        self._workers: list[Any] = []
        self._failed_starts = 0
        self._stages = stages
        for _ in range(count):
            self._add()

    def run(
        self,
        shards: Iterator[Shard],
        tally: Tally,
        fail: Callable[[str, str], None],
        tick: Callable[[], None] | None,
    ) -> None:
        idle: list[Any] = []
        left = True
        while True:
            while idle and (left or self._again):
                shard, tries = self._again.pop() if self._again else (next(shards, None), 1)
                if shard is None:
                    left = False
                    break
                worker = idle.pop()
                self._in_hand[worker.do.remote(shard)] = (worker, shard, tries)
            busy = any(shard is not None for _, shard, _ in self._in_hand.values())
            if not left and not self._again and not busy:
                return
            done, _ = ray.wait(list(self._in_hand), timeout=0.2)
            for reference in done:
                worker, shard, tries = self._in_hand.pop(reference)
                if self._result(reference, shard, tries, tally, fail):
                    idle.append(worker)
                else:
                    self._add()
            if tick is not None:
                tick()

    def kill(self) -> None:
        """End all workers."""
        for worker in self._workers:
            ray.kill(worker)

    def _add(self) -> None:
        worker = self._start()
        self._workers.append(worker)
        self._in_hand[worker.ready.remote()] = (worker, None, 0)

    def _result(
        self, reference: Any, shard: Shard | None, tries: int, tally: Tally, fail: Callable[[str, str], None]
    ) -> bool:
        """Take what a worker has to say; return whether it lives."""
        try:
            said = ray.get(reference)
        except RayTaskError as error:
            cause = error.cause
            raise cause if isinstance(cause, RunStopped) else RunStopped(f"the run stopped: {cause}") from error
        except RayActorError as error:
            if shard is None:
                self._failed_starts += 1
                if self._failed_starts == STARTS:
                    raise RunStopped(f"the run stopped because no Ray worker starts: {_last_line(error)}") from error
            elif tries == TRIES:
                raise RunStopped(
                    f"the run stopped: {TRIES} Ray workers were lost with the shard {shard.name!r}"
                ) from error
            else:
                self._again.append((shard, tries + 1))
            return False
        self._failed_starts = 0
        if shard is not None:
            counts, failures, stages, found = said
            if self._box_file is not None:
                try:
                    self._box_file.claim(found)
                except SharedBoxes as error:
                    raise RunStopped(f"the run stopped at {shard.name!r}: {error}") from error
            tally.add(counts)
            for name, reason in failures:
                fail(name, reason)
            for stage, values in stages.items():
                row = self._stages.setdefault(stage, {})
                for name, value in values.items():
                    row[name] = row.get(name, 0) + value
        return True


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].strip()

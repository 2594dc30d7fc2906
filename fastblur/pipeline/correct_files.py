"""`fastblur correct`: boxes added or taken away in a finished run, and only the images that they are of done again."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastblur.errors import UsageError
from fastblur.pipeline.config import RunConfig, check_workers
from fastblur.pipeline.correction.checks import ContainerImages, check_boxes, check_failed, check_source, is_made_of
from fastblur.pipeline.correction.entry import rewritten_entry
from fastblur.pipeline.correction.plan import Todo, plan, read_by_image
from fastblur.pipeline.errors import RunStopped, stopping_the_run
from fastblur.pipeline.execution.concurrency import default_workers
from fastblur.pipeline.execution.journal import CORRECTING, SHARDS, Journal, locked
from fastblur.pipeline.execution.journal_lines import WRITTEN
from fastblur.pipeline.execution.record import Inputs, RunRecord
from fastblur.pipeline.execution.shard_run import write_results
from fastblur.pipeline.images.hiding import HidingStages
from fastblur.pipeline.images.redo import redo, with_boxes
from fastblur.pipeline.images.task import ImageTask, Outcome
from fastblur.pipeline.shards.folder import FolderShard
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.storage.paths import IMAGE_BYTES, check_regular, error_reason, is_url, lies_in, read_file
from fastblur.pipeline.storage.sink import Sink, open_sink
from fastblur.pipeline.summary import CorrectSummary

BATCH = 8  # images done together
Line = dict[str, Any]


def correct(
    source: Inputs, destination: str | Path, judgements: str | Path, *, workers: int | None = None
) -> CorrectSummary:
    """Hide in the output of a run what people said, and only that: the images judged are done again from the source.

    Of a folder these images are written again; of a tar or table its file. Each shard is one durable step, and the
    journal gets the file's sha256: a call that was killed goes on when it is made again, and one with a file that was
    applied does nothing. The output is that of a fresh run with these boxes, byte for byte. An image that cannot be
    done again is removed from the output and listed as failed.

    Args:
        source: of the run, or several, in their order.
        destination: the run's output.
        judgements: a file that the page of `fastblur audit` has saved.
        workers: threads; by default one for each CPU that this process may use.

    Raises UsageError (a ValueError) before anything is written where the file does not fit the run or the source is
    not what it was, FileError (an OSError) where a file cannot be read, RunStopped where the output cannot be written.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from fastblur.pipeline import correct, run
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "photos").mkdir()
        >>> Image.effect_noise((80, 60), 64).save(folder / "photos" / "wall.png")
        >>> _ = (folder / "boxes.json").write_text('[{"url": "wall.png", "bboxes": []}]')
        >>> _ = run(folder / "photos", folder / "hidden", boxes=folder / "boxes.json")
        >>> line = {"image": "wall.png", "shard": "wall.png", "coordinates": "stored", "boxes": [[10, 10, 40, 50]]}
        >>> _ = (folder / "judgements.jsonl").write_text(json.dumps(line))
        >>> correct(folder / "photos", folder / "hidden", folder / "judgements.jsonl").changed
        1
    """
    start = time.perf_counter()
    check_workers(workers)
    record = RunRecord(destination)
    config = record.redo_config(source)
    for one in [source] if isinstance(source, (str, Path)) else source:
        if lies_in(one, destination):
            raise UsageError(f"SRC {str(one)!r} lies in OUT, whose faces are hidden, expected the source of the run")
    judged, digest = read_by_image(Path(judgements))
    local = not is_url(config.destination)
    with locked(Path(config.destination)) if local else nullcontext():
        half = record.half_corrected()
        if other := next((one for one in half if one != digest), None):
            told = f"fastblur correct with the file whose sha256 is {other} began and did not end"
            raise UsageError(f"{told}, expected that file first")
        todo = list(plan(record, source, judged, digest))
        done: list[list[ImageTask]] = []
        if todo or half:
            workers = workers or default_workers()
            correction = _Correction(config, record, digest)
            correction.check(todo, workers)
            listed = record.failures()
            mark = f"{CORRECTING}/{digest}"
            sink = open_sink(config.destination)
            with stopping_the_run():
                sink.clean()
                try:
                    sink.write(mark, b"", durable=True)
                except ValueError as error:
                    raise UsageError(f"{error}, as a run keeps it") from None
                try:
                    done = correction.run(todo, sink, workers)
                except RunStopped:
                    if not (half or correction.has_begun):
                        sink.remove(mark)
                    raise
                if _failed(done) or listed:
                    _list_failures(record, Journal(sink))
                sink.close()
                sink.remove(mark)
    seconds = time.perf_counter() - start
    return CorrectSummary(len(judged), sum(map(len, done)), _failed(done), len(done), seconds)


class _Correction:
    """Does shards again with other boxes.

    Args:
        config, record: of the run.
        digest: sha256 of the judgements.

    Attributes:
        has_begun: whether anything of the output may have changed.
    """

    has_begun = False

    def __init__(self, config: RunConfig, record: RunRecord, digest: str) -> None:
        self._record, self._digest = record, digest
        self._stages: HidingStages
        self._stages, _ = config.build_stages()
        self._sink: Sink

    def check(self, todo: Sequence[Todo], workers: int) -> None:
        """Raise UsageError where images of folders are not those of the run; a tar's or table's stamp tells that."""
        with ThreadPoolExecutor(workers) as pool:
            try:
                list(pool.map(self._check, todo))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def run(self, todo: Sequence[Todo], sink: Sink, workers: int) -> list[list[ImageTask]]:
        """Do the shards; return the changed images of each."""
        self._sink = sink
        with ThreadPoolExecutor(workers) as pool:
            try:
                return list(pool.map(self._shard, todo))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _check(self, todo: Todo) -> None:
        if not isinstance(todo.shard, FolderShard):
            return
        of = {line["path"]: line for line in todo.lines}
        for item in todo.shard.items:
            if (one := todo.judged.get(item.name)) is not None:
                check_boxes(item, one)
                line = of[item.name]
                path, boxes = self._record.tree.path(item.name), line.get("boxes", ())
                check_source(self._stages, item, path, boxes, one.boxes.tolist())
                if "output" in line:
                    check_failed(self._stages, item, line)

    def _shard(self, todo: Todo) -> list[ImageTask]:
        """Do one shard: its images become durable, then its entry in the journal takes the place of the old one."""
        done: list[ImageTask] = []
        left: dict[str, str] = {}
        if todo.judged:
            done = self._folder(todo, left) if isinstance(todo.shard, FolderShard) else self._container(todo)
        content = rewritten_entry(todo, done, self._digest, left)
        self.has_begun = True
        self._sink.write(f"{SHARDS}/{todo.entry.name}.jsonl", content, durable=True)
        return done

    def _folder(self, todo: Todo, left: dict[str, str]) -> list[ImageTask]:
        """Do images of a folder again; of those that fail `left` gets the sha256 of what leaves the output."""
        done: list[ImageTask] = []
        output = todo.shard.output(self._sink)
        self.has_begun = True
        for batch in todo.shard.batches(BATCH):
            items = [self._judged(item, todo) for item in batch.items if item.name in todo.judged]
            if items:
                images = redo(self._stages, items)
                for image in images:
                    if image.outcome is Outcome.FAILED:
                        with suppress(OSError):  # it left before
                            left[image.item.name] = self._hash(image.item.name)
                write_results(output, Batch(items), images)
                done += images
        output.commit()
        return done

    def _hash(self, name: str) -> str:
        path = self._record.tree.path(name)
        check_regular(path)
        return sha256(read_file(path, IMAGE_BYTES)).hexdigest()

    def _container(self, todo: Todo) -> list[ImageTask]:
        """Do a tar or table again: what the journal says of its other images is done to them as before."""
        done: list[ImageTask] = []
        output = todo.shard.output(self._sink)
        lines, of = iter(todo.lines), {line["path"]: line for line in todo.lines}
        there = ContainerImages(self._record, todo.shard.name)
        try:
            for batch in self._batches(todo):
                items = [self._as_before(item, next(lines, None), todo) for item in batch.items]
                images = redo(self._stages, items)
                write_results(output, Batch(items, batch.info), images)  # of a sample or row all images fail with one
                for item, image in zip(items, images, strict=True):
                    if of[item.name]["fate"] in WRITTEN:
                        self._check_made_of(item, image, of[item.name].get("boxes", ()), there)
                done += [image for image in images if self._is_new(image, of[image.item.name], todo)]
            self.has_begun = True
            output.commit()
        except BaseException:
            output.abort()
            raise
        return done

    def _check_made_of(
        self, item: Item, image: ImageTask, boxes: Sequence[Sequence[float]], there: ContainerImages
    ) -> None:
        """Raise RunStopped where the output has no image that was made of this one by its old boxes, or by the new."""
        if image.outcome is Outcome.FAILED:
            there.pass_failed()
            return

        def is_made(output: bytes) -> bool:
            return is_made_of(output, image) or is_made_of(output, redo(self._stages, [with_boxes(item, boxes)])[0])

        if not there.has(is_made):
            told = f"{item.name!r} of SRC is not the image that OUT has in its place"
            raise RunStopped(f"{told}, expected the source and output of one run")

    @staticmethod
    def _batches(todo: Todo) -> Iterator[Batch]:
        try:
            yield from todo.shard.batches(BATCH)
        except (ValueError, OSError) as error:
            if not todo.entry.broken:
                raise RunStopped(
                    f"the shard {todo.shard.name!r} of SRC cannot be read to its end: {error_reason(error)}"
                ) from error

    def _judged(self, item: Item, todo: Todo) -> Item:
        one = todo.judged[item.name]
        return with_boxes(item, one.boxes.tolist(), one.size)

    def _as_before(self, item: Item, line: Line | None, todo: Todo) -> Item:
        if line is None or line["path"] != item.name:
            raise RunStopped(
                f"{item.name!r} of SRC is not what the journal has in its place, expected the run's source"
            )
        if item.name in todo.judged:
            return self._judged(item, todo)
        if line["fate"] == Outcome.FAILED and "boxes" not in line and item.problem is None:
            return replace(item, problem=line["reason"])
        return with_boxes(item, line.get("boxes", ()))

    @staticmethod
    def _is_new(image: ImageTask, line: Line, todo: Todo) -> bool:
        """Return whether the journal's line of an image changes.

        That of an image that nobody judged does where another one of its sample or row fails, or does not any more.
        Raises RunStopped where it changes for no such reason.
        """
        if image.item.name in todo.judged or image.outcome == line["fate"]:
            return image.item.name in todo.judged
        if image.outcome is not Outcome.FAILED and not (line["fate"] == Outcome.FAILED and "boxes" in line):
            raise RunStopped(f"{image.item.name!r} is {image.outcome} now, the journal says {line['fate']}")
        return True


def _list_failures(record: RunRecord, journal: Journal) -> None:
    """Make the list of failures again: images may have failed, or not fail any more."""
    journal.forget_failures()
    for name, reason in record.failed_images():
        journal.fail(name, reason)


def _failed(done: list[list[ImageTask]]) -> int:
    return sum(one.outcome is Outcome.FAILED for images in done for one in images)

"""The proof: each image of the source has exactly one outcome, and its output is what that outcome says."""

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fastblur.audit.account import read_lines
from fastblur.audit.containers import Container
from fastblur.audit.coverage import check_hidden
from fastblur.audit.formula import Formula
from fastblur.audit.output import Output
from fastblur.audit.problems import Problems
from fastblur.codecs import CodecError, decode, encode, strip_metadata
from fastblur.codecs.jpeg_scans import without_coding
from fastblur.codecs.written_by import written_by
from fastblur.pipeline.execution.journal import entry_name
from fastblur.pipeline.execution.journal_lines import WRITTEN
from fastblur.pipeline.execution.record import Entry, Inputs, RunRecord
from fastblur.pipeline.images.hiding import HidingStages
from fastblur.pipeline.images.redo import redo, with_boxes
from fastblur.pipeline.shards.folder import FolderShard
from fastblur.pipeline.shards.interfaces import Item, Shard
from fastblur.pipeline.storage.paths import IMAGE_BYTES, error_reason, read_file
from fastblur.torch_threads import one_torch_thread

AHEAD = 4  # images held for each worker
MOST_LARGER = 1.25  # times the size that this codec gives the same pixels: other versions compress otherwise
MOST_LARGER_HERE = 1.02  # of the same version, for pixels that differ from the audit's own
FEW_CODED = 64  # bytes more that such pixels may take
LOSSLESS = {"PNG", "WEBP", "BMP", "TIFF", "HEIF"}  # as `encode` writes them
FEW_BYTES = 8  # zeros at the end of coded pixels, too few for a picture
Line = dict[str, Any]


@dataclass
class Coverage:
    """What was measured of all regions.

    Attributes:
        regions: how many were measured.
        least: the least coverage of a region; None without regions.
        not_hidden: how many images have a region that is not hidden.
        of_image: the coverages of the images that were asked for, by name.
    """

    regions: int = 0
    least: float | None = None
    not_hidden: int = 0
    of_image: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, coverages: list[float], hidden: bool, keep: bool) -> None:
        """Add an image's regions."""
        self.regions += len(coverages)
        self.not_hidden += not hidden
        if coverages:
            self.least = min(coverages if self.least is None else (self.least, *coverages))
        if keep:
            self.of_image[name] = coverages


class _Pair(NamedTuple):
    """An image that a run wrote.

    Attributes:
        entry: of its shard in the journal.
        item: of the source.
        line: what the journal says of it.
        output: its bytes in a tar or table; None for a file, or where it is missing.
    """

    entry: Entry
    item: Item
    line: Line
    output: bytes | None


class Proof:
    """Compares an output with its source.

    Args:
        record, output: of the run.
        source: where the images came from.
        problems: takes what is wrong.
        wanted: the images whose coverages are kept.
        workers: threads.

    Raises UsageError where the run's options do not fit this version, or there is no such source.
    """

    def __init__(
        self, record: RunRecord, output: Output, source: Inputs, problems: Problems, wanted: set[str], workers: int
    ) -> None:
        self._record, self._output, self._problems, self._wanted = record, output, problems, wanted
        self._source = record.open_source(source)
        self._workers = workers
        config = record.redo_config(source)
        self._stages: HidingStages
        self._stages, _ = config.build_stages()
        self._formula = Formula(config.method, dict(config.method_options))
        self._strips = config.strip_metadata
        self._coverage, self._lock = Coverage(), threading.Lock()

    def run(self) -> Coverage:
        """Compare all images."""
        left = {entry.name: entry.shard for entry in self._record.entries() if entry.name}
        with one_torch_thread(), ThreadPoolExecutor(self._workers) as pool:
            _bounded(pool, self._compare, self._pairs(left), AHEAD * self._workers)
        for name, shard in left.items():
            sentence = f"journal/{name}.jsonl is of the shard {shard!r}, which the source does not have as it was"
            self._problems.add("", shard, "journal", sentence)
        return self._coverage

    def _pairs(self, left: dict[str, str]) -> Iterator[_Pair]:
        """Yield each written image."""
        for shard in self._source.shards():
            name = entry_name(shard)
            if left.pop(name, None) is None:
                sentence = f"the shard {shard.name!r} of the source is not in the journal as it is now"
                sentence += f", expected the source of the run: {self._record.parameters['source']!r}"
                self._problems.add("", shard.name, "missing", sentence)
                continue
            entry = self._record.entry(name)
            try:
                yield from self._pairs_of(shard, entry)
            except (ValueError, OSError) as error:
                if not entry.broken:
                    sentence = (
                        f"the shard {shard.name!r} of the source cannot be compared to its end: {error_reason(error)}"
                    )
                    self._problems.add("", shard.name, "changed", sentence)

    def _pairs_of(self, shard: Shard, entry: Entry) -> Iterator[_Pair]:
        told = list(read_lines(entry, Problems()))  # whose problems the account has
        lines = iter(told)
        with ExitStack() as stack:
            container: Container | None = None
            for batch in shard.batches(64):
                if container is None and not isinstance(shard, FolderShard):
                    written = {line["path"] for line in told if line["fate"] in WRITTEN}
                    container = stack.enter_context(closing(Container(self._record, self._output, shard, written)))
                images: list[bytes | None] = []
                for item in batch.items:
                    line = next(lines, None)
                    if line is None or line["path"] != item.name:
                        sentence = f"the journal has no outcome for {item.name!r} in its place, expected exactly one"
                        self._problems.add(item.name, shard.name, "journal", sentence)
                        return
                    images.append(None)
                    if line["fate"] in WRITTEN:
                        images[-1] = container.next(item.name) if container is not None else None
                        yield _Pair(entry, item, line, images[-1])
                if container is not None:
                    container.add(batch, images)
            if next(lines, None) is not None:
                sentence = f"the journal names more images of {shard.name!r} than the source has"
                self._problems.add("", shard.name, "journal", sentence)
            elif container is not None and (difference := container.difference()) is not None:
                self._problems.add("", shard.name, "changed", difference)

    def _compare(self, pair: _Pair) -> None:
        entry, item, line, output = pair
        shard, name, fate = entry.shard, item.name, line["fate"]
        try:
            if item.data is None:
                output = self._output.read(name)
            source = read_file(item.path, IMAGE_BYTES) if item.data is None else item.data
        except FileNotFoundError as error:
            if error.filename == item.path:
                self._problems.add(name, shard, "missing", f"{name!r} is not in the source any more")
            return  # that it is not in the output is in the account
        except OSError as error:
            self._problems.add(name, shard, "changed", f"{name!r} cannot be read: {error_reason(error)}")
            return
        if output is None:
            return  # it is in the account too
        if (fate == "unsearched") != (item.unsearched == "copy"):
            is_one = "is" if item.unsearched == "copy" else "is not"
            sentence = f"{name!r} is {fate} in the journal, and {is_one} what this run copies without a search"
            self._problems.add(name, shard, "journal", sentence)
            return
        if fate != "hidden":
            unsearched = fate == "unsearched" and output.rstrip(b"\0") == source.rstrip(b"\0")
            if not unsearched and not (fate == "copied" and self._is_copy(line, source, output)):
                self._problems.add(
                    name, shard, "changed", f"{name!r} was copied, and its bytes differ from the source's"
                )
            return
        (again,) = redo(self._stages, [with_boxes(Item(name, data=source), line["boxes"])])
        verdict = check_hidden(source, output, again.result, line["boxes"], self._formula)
        with self._lock:
            self._coverage.add(name, verdict.coverages, verdict.kind != "not hidden", name in self._wanted)
        if verdict.kind is not None:
            self._problems.add(name, shard, verdict.kind, f"{name!r} {verdict.sentence}")
        elif again.result is not None and not self._is_as_written(source, output, again.result, entry.written_by):
            sentence = (
                f"{name!r} has other metadata, or other bytes, than the run writes of its pixels, which may show "
            )
            self._problems.add(name, shard, "changed", f"{sentence}the image as it was")

    def _is_as_written(self, source: bytes, output: bytes, again: bytes, makers: str) -> bool:
        """Return whether an output has nothing beside its pixels that the source hidden again does not have.

        Where the same codecs wrote it, an output of the same pixels has the same bytes, and so has one whose pixels are
        written again without loss.
        """
        if output == again:
            return True
        is_here = makers == written_by()
        if is_here:
            mine, theirs = decode(again), decode(output)
            if np.array_equal(mine.pixels, theirs.pixels):
                return output.rstrip(b"\0") == again.rstrip(b"\0")  # columns may pad with zeros
            if mine.format in LOSSLESS:
                written = encode(decode(source), theirs.pixels)
                written = strip_metadata(written) if self._strips else written
                return output.rstrip(b"\0") == written.rstrip(b"\0")
        return _same_metadata(output, again, MOST_LARGER_HERE if is_here else MOST_LARGER)

    def _is_copy(self, line: Line, source: bytes, output: bytes) -> bool:
        """Return whether an output is what a run makes of a file in which nothing is hidden: nearly always its bytes.

        They differ where metadata are stripped, and of a JPEG whose previews show something else than its picture.
        """
        as_it_was = not self._strips and "reason" not in line  # which says what previews the run removed
        if as_it_was and output.rstrip(b"\0") == source.rstrip(b"\0"):  # columns may pad with zeros
            return True
        (again,) = redo(self._stages, [with_boxes(Item(line["path"], data=source), [])])
        return again.result is not None and output.rstrip(b"\0") == again.result.rstrip(b"\0")


def _same_metadata(output: bytes, again: bytes, most: float) -> bool:
    """Return whether an output has the metadata of the source hidden again, and is not `most` times as large.

    Pixels encoded with either are the same. Of two JPEG files all but the coded pixels has to be.
    """
    try:
        mine, theirs = decode(again), decode(output)
        if encode(mine, mine.pixels) != encode(theirs, mine.pixels):
            return False
        expected = max(len(again), len(encode(theirs, theirs.pixels)))
        if len(output.rstrip(b"\0")) > most * expected + FEW_CODED:
            return False  # more than its pixels and metadata take, as between the parts of a file that readers look at
        if mine.format == "JPEG" and without_coding(output.rstrip(b"\0")) != without_coding(again.rstrip(b"\0")):
            return False
        return abs(_size_of_metadata(output) - _size_of_metadata(again)) <= FEW_BYTES  # of what encoding leaves out too
    except CodecError:
        return False


def _size_of_metadata(data: bytes) -> int:
    """Return how many bytes of a file are metadata; zeros at its end, which columns of equal lengths have, are none."""
    return len(data.rstrip(b"\0")) - len(strip_metadata(data).rstrip(b"\0"))


def _bounded(pool: ThreadPoolExecutor, function: Any, arguments: Iterable[Any], most: int) -> None:
    """Call the function on each argument in the pool, with at most `most` of them taken at once."""
    waiting: list[Future[None]] = []
    for argument in arguments:
        waiting.append(pool.submit(function, argument))
        if len(waiting) >= most:
            waiting.pop(0).result()
    for future in waiting:
        future.result()

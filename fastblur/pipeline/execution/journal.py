"""The journal of a run, DST/.fastblur: what was done, so that a run goes on where it was stopped.

- `run.json`: the parameters that decide the result, and the versions of the packages.
- `journal/`: a file for each finished shard, named by a hash of the shard's name and fingerprint. Its first line
  has the shard and its counts, and what its files were `written_by`, then comes a line for each image: path, fate (an
  `Outcome`), boxes, scores, near misses (`near`, see `near_misses.to_journal`), reason, how many boxes without an area
  there were (`degenerate`), and of a hidden JPEG whether it was rewritten by blocks or why not.
- `failures.jsonl`: the images that failed, for people; made again from the journal when a run goes on.
- `correcting/`: an empty file for each correction that has begun and not ended, named by the sha256 of its judgements.
- `lock`: held while a run writes here.

A shard's file appears in one step, when the shard's images are durable: this is the durable point. It is made only
once: of two processes that did the same shard, the later one's is dropped, and both have written the same images.
"""

import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from fastblur.codecs.refused import RefusedKind
from fastblur.codecs.written_by import written_by
from fastblur.errors import UsageError
from fastblur.options import choices
from fastblur.pipeline.execution.journal_lines import short_reason, to_text
from fastblur.pipeline.images.near_misses import to_journal
from fastblur.pipeline.images.task import ImageTask, Outcome
from fastblur.pipeline.shards.interfaces import Shard
from fastblur.pipeline.storage.sink import Sink
from fastblur.pipeline.summary import COUNTS

FOLDER = ".fastblur"
SHARDS = f"{FOLDER}/journal"
RUN = f"{FOLDER}/run.json"
FAILURES = f"{FOLDER}/failures.jsonl"
LOCK = f"{FOLDER}/lock"
METHOD_OPTIONS = ("recipe", "strength", "margin", "feather", "shape", "scope", "blocks", "color")
CORRECTING = f"{FOLDER}/correcting"  # an empty file, named by its sha256, for each file of judgements half applied


class Journal:
    """The journal in a sink's folder `.fastblur`; safe to use from many threads, and processes on other machines."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._finished: set[str] = set()  # the entries of earlier runs
        self._lock = threading.Lock()

    def begin(self, parameters: dict[str, Any], versions: dict[str, str], *, overwrite: bool) -> None:
        """Start a run, or go on with the one that the journal records.

        Raises ValueError where that run had other parameters, OSError where the journal cannot be read or written.
        """
        content = json.loads(json.dumps(parameters))  # as it will be read again
        before = None if overwrite else self._parameters()
        names = self._sink.names(SHARDS)
        if before is None:
            self.forget_failures()
            for name in names:
                self._sink.remove(f"{SHARDS}/{name}")
            for name in self._sink.names(CORRECTING):
                self._sink.remove(f"{CORRECTING}/{name}")
            self._sink.write(RUN, record_text(content, versions).encode("ascii"), durable=True)
            return
        differing = [name for name in sorted(before.keys() | content.keys()) if before.get(name) != content.get(name)]
        if differing:
            if "method" in differing:
                differing = [name for name in differing if name not in METHOD_OPTIONS]  # they differ with it
            told = ", ".join(f"{name} was {before.get(name)!r} and is {content.get(name)!r}" for name in differing)
            raise UsageError(f"DST holds a run with other parameters ({told}), expected the same, or --overwrite")
        self.forget_failures()
        self._finished = {name.removesuffix(".jsonl") for name in names}

    def forget_failures(self) -> None:
        """Empty the list of failures; those of finished shards are added again as their shards are met."""
        self._sink.remove(FAILURES)

    def finished_counts(self, shard: Shard) -> dict[str, int] | None:
        """Return the counts of a shard that an earlier run finished, if it has not changed since; else None.

        Its failures go to the list of failures. An entry that makes no sense is removed, and the shard done again.
        Raises OSError where the journal cannot be read or written.
        """
        if not self._finished or (name := entry_name(shard)) not in self._finished:
            return None
        lines = self._sink.read(f"{SHARDS}/{name}.jsonl").splitlines() or [b""]
        try:
            head = json.loads(lines[0])
            counts = {name: int(head[name]) for name in COUNTS}
            if min(counts.values()) < 0:
                raise ValueError
            images = map(json.loads, lines[1:] if head["failed"] else ())
            failed = [(told["path"], told["reason"]) for told in images if told["fate"] == Outcome.FAILED]
            failed += [(head["shard"], head["broken"])] if head["broken"] else []
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self._sink.remove(f"{SHARDS}/{name}.jsonl")
            return None
        for path, reason in failed:
            self.fail(path, reason)
        return counts

    def finished_images(self, shard: Shard) -> list[str]:
        """Return the names of the images that an earlier run wrote of a finished shard; raises OSError."""
        lines = self._sink.read(f"{SHARDS}/{entry_name(shard)}.jsonl").splitlines()[1:]
        written = (Outcome.HIDDEN, Outcome.COPIED)
        return [told["path"] for told in map(json.loads, lines) if told["fate"] in written]

    def finish(self, shard: Shard, counts: dict[str, int], broken: str, lines: Iterable[bytes]) -> None:
        """Record a shard whose result is durable; raises OSError.

        Args:
            shard: the shard.
            counts: of its images, as `count` gives them; a broken shard counts as one image that failed.
            broken: why the shard ended too early, or "".
            lines: as `journal_line` makes them.
        """
        head = {"shard": shard.name, **counts, "broken": short_reason(broken), "written_by": written_by()}
        content = b"".join((to_text(head).encode("ascii"), *lines))
        self._sink.write_once(f"{SHARDS}/{entry_name(shard)}.jsonl", content)

    def fail(self, name: str, reason: str) -> None:
        """Add an image to the list of failures, for people; raises OSError."""
        with self._lock:
            self._sink.append(FAILURES, failure_line(name, short_reason(reason)))

    @property
    def failures(self) -> str:
        """Where the failures are listed; the file is there if any image failed."""
        return self._sink.path(FAILURES)

    def _parameters(self) -> dict[str, Any] | None:
        try:
            parameters: dict[str, Any] = json.loads(self._sink.read(RUN))["parameters"]
            if not isinstance(parameters, dict):
                raise TypeError
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UsageError(
                f"{self._sink.path(RUN)} is not a run's record, expected --overwrite to start over"
            ) from None
        return parameters


def record_text(parameters: dict[str, Any], versions: dict[str, str]) -> str:
    """Return the content of `RUN`."""
    return json.dumps({"parameters": parameters, "versions": versions}, indent=1) + "\n"


def entry_name(shard: Shard) -> str:
    """Return the name of a shard's file in the journal: another one when the shard has changed."""
    return name_of_entry(shard.name, shard.fingerprint())


def name_of_entry(shard: str, fingerprint: str) -> str:
    """Return the name of the file of a shard that has this name and fingerprint."""
    parts = (shard.encode("utf-8", "surrogateescape"), fingerprint.encode("utf-8", "surrogateescape"))
    return blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def count(images: Sequence[ImageTask]) -> dict[str, int]:
    """Return the counts of finished images."""
    hidden = [one for one in images if one.outcome is Outcome.HIDDEN]
    failed, unsearched, skipped = (
        sum(one.outcome is outcome for one in images)
        for outcome in (Outcome.FAILED, Outcome.UNSEARCHED, Outcome.SKIPPED)
    )
    searched = len(images) - unsearched - skipped
    values = (
        searched,
        len(hidden),
        sum(len(one.boxes) for one in hidden if one.boxes is not None),
        sum(one.degenerate for one in hidden),
        searched - len(hidden) - failed,
        failed,
        unsearched,
        skipped,
        sum(one.outcome is Outcome.COPIED and one.reason != "" for one in images),
        *(sum(one.jpeg == way for one in hidden) for way in ("blocks", *choices(RefusedKind))),
    )
    return dict(zip(COUNTS, values, strict=True))


def journal_line(one: ImageTask) -> bytes:
    """Return an image's line."""
    line: dict[str, Any] = {"path": one.item.name, "fate": one.outcome}
    if one.outcome is Outcome.FAILED:
        line["reason"] = short_reason(one.reason)
    elif one.boxes is not None:
        line["boxes"] = [_short(box) for box in one.boxes]
        if one.scores is not None:
            line["scores"] = _short(one.scores)
        if one.near_misses:
            line["near"] = to_journal(one.near_misses)
    if one.outcome is Outcome.HIDDEN and one.degenerate:
        line["degenerate"] = one.degenerate
    if one.outcome is Outcome.HIDDEN and one.jpeg:
        line["jpeg"] = one.jpeg
        if one.reason:
            line["reason"] = short_reason(one.reason)
    if one.outcome is Outcome.COPIED and one.reason:
        line["reason"] = short_reason(one.reason)
    return to_text(line).encode("ascii")


def _short(values: Sequence[float]) -> list[float]:
    """Return float32 numbers with as few digits as tell each from all others: half as many as float64 would take."""
    return [float(str(np.float32(value))) for value in values]


def failure_line(name: str, reason: str) -> bytes:
    """Return the line of an image in the list of failures."""
    # ASCII only: a name that is not UTF-8 keeps its bytes as escaped surrogates, as os.fsencode takes them.
    return (json.dumps({"path": name, "reason": reason}) + "\n").encode("ascii")


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock of the folder's journal, which the system releases when the process ends, however it ends.

    Raises ValueError where another run holds it.
    """
    from filelock import FileLock, Timeout  # 0.1 s to import, and only runs of a folder need it

    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(f"another run is writing to DST {str(root)!r}, expected it to have ended") from None
    try:
        yield
    finally:
        lock.release()

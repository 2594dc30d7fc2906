"""What a run left in its journal, read again by whoever comes after the run; nothing is written here."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from fastblur.errors import FileError, UsageError
from fastblur.options import is_number
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.execution.journal import (
    CORRECTING,
    FAILURES,
    FOLDER,
    LOCK,
    METHOD_OPTIONS,
    RUN,
    SHARDS,
    record_text,
)
from fastblur.pipeline.execution.journal_lines import is_sha256, parse_head, parse_line
from fastblur.pipeline.images.task import Outcome
from fastblur.pipeline.shards.interfaces import Shard
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.shards.table.shard import TableShard, is_table_name
from fastblur.pipeline.shards.tar.shard import TarShard
from fastblur.pipeline.shards.tree import LocalTree, RemoteTree
from fastblur.pipeline.storage.local import TEMPORARY
from fastblur.pipeline.storage.paths import check_regular, error_reason, is_url, open_file, read_file, strip_file_scheme
from fastblur.pipeline.summary import COUNTS

Inputs = str | Path | Sequence[str | Path]
"""A source of a run, or several."""

ENTRY_BYTES = 1 << 32  # of a shard's file in the journal at most
OPTIONS = ("method", "others", "format", "max_pixels", "device", "box_column", "jpeg", "strip_metadata")
"""Options that decide what becomes of an image whose boxes are known, and are recorded by their own names."""


def _makes_sense(parameters: dict[str, Any]) -> bool:
    """Return whether parameters are of the types that a run writes, for what is read of them without a check."""
    if "source" not in parameters or not isinstance(parameters.get("method"), str):
        return False
    threshold, detector = parameters.get("threshold"), parameters.get("detector")
    lists = (parameters.get(name, []) for name in ("image_columns", "members"))
    return (
        (threshold is None or (is_number(threshold) and 0 <= threshold <= 1))
        and (detector is None or isinstance(detector, str))
        and all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in lists)
    )


@dataclass(frozen=True)
class Entry:
    """A finished shard, as the journal has it.

    Attributes:
        name: of its file, without the suffix; "" where the journal's folder cannot be listed.
        shard: the shard's name.
        counts: of its images.
        broken: why the shard ended too early, or "".
        corrected: sha256 of the files of judgements that were applied to it.
        written_by: what wrote the images, see `codecs.written_by`; "" where not all were written by the same.
        lines: of its images, undecoded JSON.
        problem: what is wrong with the file, or "".
    """

    name: str
    shard: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    broken: str = ""
    corrected: tuple[str, ...] = ()
    written_by: str = ""
    lines: list[str] = field(default_factory=list)
    problem: str = ""


class RunRecord:
    """The record of a run in its output.

    Args:
        destination: the output of the run, a folder or URL.

    Attributes:
        destination: the output, a path or URL.
        tree: its files.
        parameters: what decided the result, as `run.json` has it.

    Raises UsageError where there is no folder, or no run's record in it.
    """

    def __init__(self, destination: str | Path) -> None:
        self.destination = path = strip_file_scheme(destination)
        self.tree: LocalTree | RemoteTree = (
            RemoteTree(path, "OUT") if is_url(path) else LocalTree(Path(path), "OUT", links=False)
        )
        if self.tree.file is not None:
            raise UsageError(f"OUT {path!r} is a file, expected the folder or URL of a run")
        try:
            check_regular(self.tree.path(RUN))
            text = read_file(self.tree.path(RUN), ENTRY_BYTES).decode("ascii")
            record = json.loads(text)
            self.parameters: dict[str, Any] = dict(record["parameters"])
            if not _makes_sense(self.parameters) or record_text(self.parameters, record["versions"]) != text:
                raise ValueError
        except FileNotFoundError:
            raise UsageError(
                f"OUT {path!r} holds no run: {RUN} is not there, expected the output of fastblur run"
            ) from None
        except OSError as error:
            raise FileError(f"{self.tree.path(RUN)} cannot be read: {error_reason(error)}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UsageError(f"{self.tree.path(RUN)} is not a run's record, expected what fastblur run wrote") from None

    def half_corrected(self) -> list[str]:
        """Return the sha256 of the files of judgements whose correction has begun and not ended."""
        if (CORRECTING, True, None) not in self.tree.entries(FOLDER):
            return []
        names = (path.rpartition("/")[2] for path, _, problem in self.tree.entries(CORRECTING) if problem is None)
        return list(filter(is_sha256, names))

    def foreign_files(self) -> Iterator[str]:
        """Yield what is in the run's own folder and no finished run keeps there, or is not empty as runs keep it."""
        for path, is_folder, problem in self.tree.entries(FOLDER):
            if not is_folder or path not in (SHARDS, CORRECTING, TEMPORARY):
                is_kept = not is_folder and path in (RUN, FAILURES, LOCK) and problem is None
                if not is_kept or (path == LOCK and self.tree.size(path)):
                    yield path
                continue
            for name, is_inner, problem in self.tree.entries(path):
                if is_inner or problem is not None or not self._is_kept(path, name):
                    yield name

    def _is_kept(self, folder: str, name: str) -> bool:
        """Return whether a run keeps such a file in a folder of its record."""
        if folder == CORRECTING:
            return is_sha256(name.rpartition("/")[2]) and self.tree.size(name) == 0
        return folder == SHARDS and name.endswith(".jsonl")

    def failures(self) -> bytes:
        """Return the list of failures for people, b"" where there is none; raises FileError."""
        path = self.tree.path(FAILURES)
        try:
            check_regular(path)
            return read_file(path, ENTRY_BYTES)
        except FileNotFoundError:
            return b""
        except (OSError, ValueError) as error:
            raise FileError(f"{path} cannot be read: {error_reason(error)}") from error

    def entries(self) -> Iterator[Entry]:
        """Yield the finished shards; one whose file makes no sense has a problem."""
        for path, is_folder, problem in self.tree.entries(SHARDS):
            name = path.rpartition("/")[2]
            if problem is not None:
                name = "" if path == SHARDS else name.removesuffix(".jsonl")
                yield Entry(name, problem=problem.removeprefix("the folder "))
            elif not is_folder and name.endswith(".jsonl"):
                yield self.entry(name.removesuffix(".jsonl"))

    def entry(self, name: str) -> Entry:
        """Return a finished shard by the name of its file."""
        path = self.tree.path(f"{SHARDS}/{name}.jsonl")
        try:
            check_regular(path)
            head, *lines = read_file(path, ENTRY_BYTES).decode("ascii").split("\n")
            told = parse_head(head)
            counts = {count: told[count] for count in COUNTS}
            corrected = tuple(told.get("corrected", ()))
            entry = Entry(name, told["shard"], counts, told["broken"], corrected, told.get("written_by", ""), lines)
        except OSError as error:
            return Entry(name, problem=f"cannot be read: {error_reason(error)}")
        except ValueError:
            return Entry(name, problem="is not what a run writes")
        if lines.pop() != "":
            return Entry(name, entry.shard, counts, entry.broken, problem="is cut short: its last line has no end")
        return entry

    def failed_images(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the reason of each image that failed, and of each shard that ended too early.

        Lines that make no sense are passed.
        """
        for entry in self.entries():
            if entry.broken:
                yield entry.shard, entry.broken
            for text in entry.lines if entry.counts.get("failed") else ():
                with suppress(ValueError):
                    line = parse_line(text)
                    if line["fate"] == Outcome.FAILED:
                        yield line["path"], line["reason"]

    def open_container(self, name: str) -> BinaryIO:
        """Open a tar or table of the output to read bytes from; raises OSError."""
        path = self.tree.path(name)
        check_regular(path)
        return open_file(path)

    def container(self, name: str) -> Shard:
        """Return a tar or table of the output, to read its images; raises OSError where there is no such file."""
        check_regular(self.tree.path(name))
        opened: Any = partial(self.open_container, name)
        if is_table_name(name):
            columns = tuple(self.parameters.get("image_columns", ()))
            return TableShard(name, opened, "", columns=columns, others="copy")
        return TarShard(name, opened, "", "copy", tuple(self.parameters.get("members", ())))

    def options(self) -> dict[str, Any]:
        """Return the options of the run that decide what becomes of an image whose boxes are known."""
        recorded = self.parameters
        options = {name: recorded[name] for name in OPTIONS if name in recorded}
        options |= {name: recorded[name] for name in METHOD_OPTIONS if name in recorded}
        options["image_column"] = list(recorded.get("image_columns", ())) or None
        options["members"] = list(recorded.get("members", ())) or None
        return options

    def open_source(self, path: Inputs) -> Source:
        """Return a source that is read as that of the run; raises UsageError and FileError as `Source`."""
        recorded: Mapping[str, Any] = self.parameters
        return Source(
            path,
            recorded.get("format"),
            tuple(recorded.get("image_columns", ())),
            recorded.get("box_column"),
            others=recorded.get("others", "fail"),
            members=tuple(recorded.get("members", ())),
        )

    def redo_config(self, source: Inputs) -> RunConfig:
        """Return the run's options for images whose boxes are known: nothing is detected; raises UsageError."""
        options = {**self.options(), "source": source, "destination": self.destination, "box_column": None}
        return RunConfig.from_options({**options, "boxes": "the journal"})

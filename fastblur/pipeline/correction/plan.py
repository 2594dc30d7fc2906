"""What a correction has to do: which shards have judgements, and whose boxes differ from those in the journal."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastblur.annotations.judgements import Judgement, read_judgements
from fastblur.errors import FileError, UsageError
from fastblur.files import regular_file, sha256
from fastblur.pipeline.execution.journal import entry_name
from fastblur.pipeline.execution.journal_lines import parse_line
from fastblur.pipeline.execution.record import Entry, Inputs, RunRecord
from fastblur.pipeline.images.redo import same_boxes
from fastblur.pipeline.images.task import Outcome
from fastblur.pipeline.shards.interfaces import Shard
from fastblur.pipeline.storage.paths import error_reason

Line = dict[str, Any]


@dataclass(frozen=True)
class Todo:
    """A shard with judgements.

    Attributes:
        shard: of the source.
        entry: of the journal.
        lines: what the journal says of its images.
        judged: its images whose boxes change, by their names.
    """

    shard: Shard
    entry: Entry
    lines: list[Line]
    judged: dict[str, Judgement]


def read_by_image(path: Path) -> tuple[dict[str, Judgement], str]:
    """Return the judgements by their images' names, and the file's sha256."""
    judged: dict[str, Judgement] = {}
    try:
        with regular_file(path) as file:
            for one in read_judgements(file):
                if one.image in judged:
                    raise UsageError(f"judgements file {path} names {one.image!r} twice, expected one line an image")
                judged[one.image] = one
            return judged, sha256(file)
    except OSError as error:
        raise FileError(f"judgements file {path} cannot be read: {error_reason(error)}") from error


def plan(record: RunRecord, source: Inputs, judged: dict[str, Judgement], digest: str) -> Iterator[Todo]:
    """Yield the shards to which the judgements were not applied yet; raises UsageError where they do not fit."""
    by_shard: dict[str, dict[str, Judgement]] = {}
    for one in judged.values():
        by_shard.setdefault(one.shard, {})[one.image] = one
    for shard in record.open_source(source).shards() if judged else ():
        here = by_shard.pop(shard.name, None)
        if here is None:
            continue
        entry = record.entry(entry_name(shard))
        if entry.problem:
            told = f"the shard {shard.name!r} of SRC is not in the journal as it is now"
            raise UsageError(f"{told}, expected the source of the run: {record.parameters['source']!r}")
        try:
            lines: list[Line] = [parse_line(line) for line in entry.lines]
        except ValueError:
            where = f"journal/{entry.name}.jsonl of OUT"
            raise UsageError(f"{where} is not what a run writes, expected it as it was") from None
        if entry.corrected[-1:] == (digest,):  # one that was followed by another is asked for again
            here = {line["path"]: here[line["path"]] for line in lines if line["path"] in here and _has_failed(line)}
            if not here:
                continue
        yield Todo(shard, entry, lines, _changed(lines, here))
        if not by_shard:
            return
    for name in by_shard:
        told = f"the judgements are of the shard {name!r}, which SRC does not have"
        raise UsageError(f"{told}, expected the source of the run: {record.parameters['source']!r}")


def _changed(lines: list[Line], judged: dict[str, Judgement]) -> dict[str, Judgement]:
    """Return the judgements of images whose boxes differ from those in the journal; raises UsageError."""
    fates = {line["path"]: line for line in lines}
    changed = {}
    for name, one in judged.items():
        line = fates.get(name)
        if line is None or (line["fate"] not in (Outcome.HIDDEN, Outcome.COPIED) and not _has_failed(line)):
            fate = "is not in its shard" if line is None else f"was {line['fate']}"
            raise UsageError(f"the judgements are of {name!r}, which {fate}, expected an image of OUT")
        if _has_failed(line) or not same_boxes(line.get("boxes", ()), one.boxes.tolist()):
            changed[name] = one
    return changed


def _has_failed(line: Line) -> bool:
    """Return whether an image failed in a correction, and may be done again: it was in the output before."""
    return line["fate"] == Outcome.FAILED and "corrected" in line

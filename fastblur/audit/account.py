"""The account: every image that the journal names is there, and nothing else."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastblur.audit.output import Output
from fastblur.audit.problems import Problems
from fastblur.audit.selection import Selection
from fastblur.errors import FileError
from fastblur.pipeline.execution.journal import FAILURES, failure_line, name_of_entry
from fastblur.pipeline.execution.journal_lines import WRITTEN, is_name, parse_line
from fastblur.pipeline.execution.record import Entry, RunRecord
from fastblur.pipeline.images.task import Outcome
from fastblur.pipeline.shards.folder import names_hash
from fastblur.pipeline.shards.table.shard import STATE_FILES
from fastblur.pipeline.summary import COUNTS

COUNTED = ("hidden", *(name for name in COUNTS if name not in ("images", "with_regions")))


@dataclass
class Account:
    """What became of all images.

    Attributes:
        counts: of the images by their fate.
        corrected: how many were done again by `fastblur correct`.
        shards: for each its name and counts.
        containers: of each tar and table, the names of its entries in the journal.
    """

    counts: Counter[str] = field(default_factory=Counter)
    corrected: int = 0
    shards: list[dict[str, Any]] = field(default_factory=list)
    containers: dict[str, list[str]] = field(default_factory=dict)


def read_lines(entry: Entry, problems: Problems) -> Iterator[dict[str, Any]]:
    """Yield what the journal says of each image of a shard; lines that make no sense are problems."""
    for number, text in enumerate(entry.lines, 2):
        try:
            line = parse_line(text)
        except ValueError:
            where = f"line {number} of journal/{entry.name}.jsonl"
            problems.add("", entry.shard, "journal", f"{where} is not what a run writes, expected an image's outcome")
            continue
        yield line


def count_images(record: RunRecord, output: Output, selection: Selection, problems: Problems) -> Account:
    """Return the account of a run: one pass over the journal, one over the output's files.

    Names are held as hashes of 8 bytes, so that millions take little memory; those of files that are missing, or that
    nobody expects, are looked up in a second pass.
    """
    account, expected = Account(), array("q")
    failed: set[bytes] = set()  # the lines of the list of failures
    impossible = _impossible_fates(record.parameters)
    for digest in record.half_corrected():
        sentence = f"fastblur correct with the file whose sha256 is {digest} began and did not end: give it again"
        problems.add("", "", "journal", sentence)
    for entry in record.entries():
        _add_entry(entry, account, expected, failed, selection, problems, impossible)
    if not account.counts and not problems.counts:
        problems.add("", "", "journal", "the journal names no image, expected those of a run that found some")
    present = array("q")
    for name in record.foreign_files():
        problems.add(name, "", "extra", f"{name!r} is in the run's record, expected what a run keeps there")
    _check_failures(record, failed, problems)
    for name, problem in output.files():
        if problem is None and name in account.containers:
            continue
        if problem is not None:
            problems.add(name, "", "extra", f"{name!r} {problem}, expected a file that the run wrote")
        present.append(hash(name))
    _compare(record, output, np.array(expected), np.array(present), problems)
    for container, names in account.containers.items():
        _check_container(record, output, container, names, problems)
    return account


def _add_entry(
    entry: Entry,
    account: Account,
    expected: "array[int]",
    failed: set[bytes],
    selection: Selection,
    problems: Problems,
    impossible: set[str],
) -> None:
    if entry.problem:
        where = f"journal/{entry.name}.jsonl" if entry.name else "the journal"
        problems.add("", entry.shard, "journal", f"{where} {entry.problem}, expected the outcome of a run")
    if not entry.counts:
        return
    if not is_name(entry.shard):
        sentence = f"journal/{entry.name}.jsonl is of the shard {entry.shard!r}, expected the name of one in the output"
        problems.add("", entry.shard, "journal", sentence)
        return
    counts: Counter[str] = Counter()
    lines = list(read_lines(entry, problems))
    container = not lines or (lines[0]["path"] != entry.shard and lines[0]["path"].startswith(f"{entry.shard}/"))
    place = 0
    if entry.broken:
        failed.add(failure_line(entry.shard, entry.broken))
    for line in lines:
        fate = line["fate"]
        counts[fate] += 1
        counts["regions"] += len(line["boxes"]) if fate == "hidden" else 0
        counts["degenerate_regions"] += line.get("degenerate", 0)
        if "jpeg" in line:
            counts[f"jpeg_{line['jpeg']}"] += 1
        counts["without_previews"] += fate == "copied" and "reason" in line
        if "corrected" in line:
            account.corrected += 1
            if line["corrected"] not in entry.corrected:
                sentence = f"{line['path']!r} was corrected by {line['corrected']!r}, which its shard does not name"
                problems.add(line["path"], entry.shard, "journal", sentence)
        if fate in impossible and line["path"].rpartition("/")[2] not in STATE_FILES:
            sentence = f"{line['path']!r} is {fate} in the journal, which by the run's options no image can be"
            problems.add(line["path"], entry.shard, "journal", sentence)
        if fate == Outcome.FAILED:
            failed.add(failure_line(line["path"], line["reason"]))
        if fate not in WRITTEN:
            continue
        if not container:
            expected.append(hash(line["path"]))
        if fate != "unsearched":
            selection.consider(line, entry.shard, place, container)
        place += 1
    if container:
        account.containers.setdefault(entry.shard, []).append(entry.name)
    counts["failed"] += bool(entry.broken)
    images = counts["hidden"] + counts["copied"] + counts["failed"]
    found = {"images": images, **{name: counts[name] for name in COUNTED}}
    told = {**entry.counts, "hidden": entry.counts["with_regions"]}
    if not entry.problem and any(told[name] != found[name] for name in found):
        sentence = f"journal/{entry.name}.jsonl counts { {name: told[name] for name in found} }, its lines are {found}"
        problems.add("", entry.shard, "journal", sentence)
    if not (entry.problem or container or entry.name == _expected_name(entry.shard, lines)):
        sentence = f"journal/{entry.name}.jsonl is not of the shard {entry.shard!r} with these images, by its name"
        problems.add("", entry.shard, "journal", sentence)
    account.counts += counts
    told = {name: counts[name] for name in ("hidden", "copied", "failed")}
    account.shards.append({"name": entry.shard, "images": images, **told})


def _check_failures(record: RunRecord, failed: set[bytes], problems: Problems) -> None:
    """Compare the list of failures with the journal, which may name more: whoever runs again may have removed it."""
    try:
        others = [line for line in record.failures().splitlines(keepends=True) if line not in failed]
    except FileError as error:
        problems.add("", "", "journal", str(error))
        return
    if others:
        sentence = f"{FAILURES} has {len(others)} lines that are no failures of the journal, expected none: "
        problems.add("", "", "journal", sentence + "the run was stopped and not continued, or the list was edited")


def _impossible_fates(parameters: dict[str, Any]) -> set[str]:
    """Return the fates that no image of a run with these parameters has, but for `STATE_FILES`, which are copied."""
    others = parameters.get("others", "fail")
    copies = others == "copy" or parameters.get("members")
    return {fate for fate, can_be in (("unsearched", copies), ("skipped", others == "skip")) if not can_be}


def _expected_name(shard: str, lines: list[dict[str, Any]]) -> str | None:
    """Return the name of the journal's file for a shard of these files; None where no run has such names."""
    try:
        return name_of_entry(shard, names_hash(line["path"] for line in lines))
    except UnicodeEncodeError:
        return None


def _compare(
    record: RunRecord,
    output: Output,
    expected: np.ndarray,  # (n,) int64 hashes of the names in the journal
    present: np.ndarray,  # (m,) int64 hashes of the files' names
    problems: Problems,
) -> None:
    """Name the images that are missing, the files that nobody expects, and what the journal names twice."""
    once, times = np.unique(expected, return_counts=True)
    missing, twice = np.setdiff1d(once, present), once[times > 1]
    extra = set(np.setdiff1d(present, once).tolist())
    if len(missing) or len(twice):
        lost, doubled = set(missing.tolist()), set(twice.tolist())
        entries: dict[str, list[str]] = {}  # of the journal, that name an image twice
        for entry in record.entries():
            for line in read_lines(entry, Problems()):
                key, name = hash(line["path"]), line["path"]
                if line["fate"] not in WRITTEN:
                    continue
                if key in lost:
                    problems.add(
                        name, entry.shard, "missing", f"{name!r} is not in the output, the journal says that it is"
                    )
                if key in doubled:
                    entries.setdefault(name, []).append(entry.name)
        for name, where in entries.items():
            problems.add(name, "", "twice", _twice(name, where))
    for name, problem in output.files() if extra else ():
        if problem is None and hash(name) in extra:
            problems.add(
                name, "", "extra", f"{name!r} is in the output, the journal does not say that the run wrote it"
            )


def _twice(name: str, entries: list[str]) -> str:
    """Say that the journal names an image again, and what may have happened; `entries` has the journal's files."""
    files = sorted(set(entries))
    if len(files) == 1:
        return f"journal/{files[0]}.jsonl names {name!r} {len(entries)} times, expected once: it was edited"
    return (
        f"the journal names {name!r} in {len(files)} shards ({', '.join(f'journal/{one}.jsonl' for one in files)}), "
        "expected one: SRC had other files when the run was continued, and the later one of them says what is in OUT"
    )


def _check_container(record: RunRecord, output: Output, container: str, names: list[str], problems: Problems) -> None:
    """Compare the images in a tar or table with those that the journal names."""
    if len(names) > 1:
        where = ", ".join(f"journal/{name}.jsonl" for name in names)
        sentence = f"the journal has {len(names)} entries for {container!r} ({where}), expected one: "
        sentence += "the file had changed in SRC when the run was continued, and the later one says what is in OUT"
        problems.add("", container, "twice", sentence)
        return
    entry = record.entry(names[0])
    written = [line["path"] for line in read_lines(entry, Problems()) if line["fate"] in WRITTEN]
    try:
        there = list(output.names(container))
    except FileNotFoundError:
        if written:
            problems.add("", container, "missing", f"{container!r} is not in the output, the journal says that it is")
        return
    except (ValueError, OSError) as error:
        problems.add("", container, "changed", f"{container!r} cannot be read to its end: {error}")
        return
    if output.has_own_names(container):
        lost, more = Counter(written), Counter(there)
        lost, more = lost - more, more - lost
        for name in lost:
            problems.add(name, container, "missing", f"{name!r} is not in the output, the journal says that it is")
        for name in more:
            problems.add(
                name, container, "extra", f"{name!r} is in the output, the journal does not say that the run wrote it"
            )
    elif len(there) != len(written):
        kind: Any = "missing" if len(there) < len(written) else "extra"
        problems.add("", container, kind, f"{container!r} has {len(there)} images, the journal says {len(written)}")

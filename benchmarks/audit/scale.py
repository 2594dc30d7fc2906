"""The audit of large runs: its time and memory."""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.audit.data import judgements, known_faces, link_tree, write_boxes
from fastblur.audit import audit
from fastblur.pipeline import correct, run
from fastblur.pipeline.execution.journal import RUN, SHARDS, name_of_entry, record_text
from fastblur.pipeline.execution.journal_lines import to_text
from fastblur.pipeline.shards.folder import names_hash
from fastblur.pipeline.summary import COUNTS

COPIES, ENTRIES, IMAGES_A_SHARD = 80, 1_500_000, 256


def scale(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    files, known = known_faces(arguments.data)
    files = {name: path for name, path in files.items() if name.startswith("train/")}
    names = link_tree(folder / "src", files, COPIES)
    boxes = write_boxes(folder / "boxes.jsonl", {name: known[name[4:]] for name in names})
    done = run(folder / "src", folder / "out", boxes=boxes, workers=arguments.workers, engine="threads", device="cpu")
    assert done.images == len(names)
    start, before = time.perf_counter(), time.process_time()
    summary = audit(folder / "out", folder / "report", workers=arguments.workers, device="cpu")
    seconds, processor = time.perf_counter() - start, time.process_time() - before
    page = sum(path.stat().st_size for path in (folder / "report").rglob("*") if path.is_file())
    images = [one for one in summary.content["images"] if one["sampled"] and one["fate"] == "copied"][:10]
    asked = judgements(folder / "judgements.jsonl", images, {one["image"]: [[30, 30, 90, 110]] for one in images})
    times = {name: os.stat(folder / "out" / name).st_mtime_ns for name in names}
    start = time.perf_counter()
    corrected = correct(folder / "src", folder / "out", asked, workers=arguments.workers)
    correct_seconds = time.perf_counter() - start
    written = sum(os.stat(folder / "out" / name).st_mtime_ns != times[name] for name in names)
    return {
        "images": len(names),
        "seconds of audit, 500 sampled": round(seconds, 1),
        "seconds of a processor": round(processor, 1),
        "of these the search": summary.content["search"]["seconds"],
        "detectors": summary.content["search"]["detectors"],
        "MB of the report": round(page / 1e6, 1),
        "problems": len(summary.content["account"]["problems"]),
        "seconds of correct, 10 images": round(correct_seconds, 2),
        "images changed, files written": [corrected.changed, written],
    }


def journal(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    out = _make_journal(folder / "out")
    code = "import sys; from fastblur.audit import audit; s = audit(sys.argv[1], sample=0); "
    # The system's own figure for a child begins with what its parent had.
    code += "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')); "
    code += "print(s.content['account']['images'], len(s.content['account']['problems']), peak)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    ended = subprocess.run([sys.executable, "-c", code, out], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    images, problems, kilobytes = map(int, ended.stdout.split())
    shutil.rmtree(out)
    assert problems == 0, "the journal is one that a run writes"
    return {
        "entries": images,
        "seconds of the process": round(seconds, 1),
        "of these on a processor": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "MB of memory at most": round(kilobytes / 1024),
    }


def _make_journal(out: Path) -> Path:
    """Make the journal of a run over ENTRIES images, one in six hidden, and as many empty files."""
    (out / SHARDS).mkdir(parents=True)
    parameters = {"source": "src", "method": "blur", "recipe": "default"}
    (out / RUN).write_text(record_text(parameters, {}))
    for first in range(0, ENTRIES, IMAGES_A_SHARD):
        lines = []
        counts = dict.fromkeys(COUNTS, 0)
        for number in range(first, min(ENTRIES, first + IMAGES_A_SHARD)):
            name = f"n{number // 1300:08}/n{number // 1300:08}_{number}.JPEG"
            line: dict[str, Any] = {"path": name, "fate": "copied", "boxes": [], "scores": []}
            if number % 6 == 0:
                box = [101.7251, 50.11927, 150.20518, 120.92517]
                line |= {"fate": "hidden", "boxes": [box], "scores": [0.71252465], "jpeg": "blocks"}
            if number % 2:
                line["near"] = [12, 40, 60, 90, 15]
            lines.append(line)
            for count in ("with_regions", "regions", "jpeg_blocks") if number % 6 == 0 else ("copied",):
                counts[count] += 1
            if number % 1300 == 0 or number == first:
                (out / name).parent.mkdir(exist_ok=True)
            os.close(os.open(out / name, os.O_CREAT | os.O_WRONLY))
        counts["images"] = len(lines)
        head = {"shard": lines[0]["path"], **counts, "broken": ""}
        text = "".join(map(to_text, (head, *lines)))
        name = name_of_entry(lines[0]["path"], names_hash(line["path"] for line in lines))
        (out / SHARDS / f"{name}.jsonl").write_text(text)
    return out

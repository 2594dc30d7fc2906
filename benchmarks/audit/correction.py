"""`fastblur correct` killed at random moments."""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.audit.data import known_faces, make_tree, take_out, write_boxes
from fastblur.audit import audit
from fastblur.pipeline import run

KILLS, TAKEN_OUT = 20, 40
CODE = (
    "import sys; from fastblur.pipeline import correct; print('ready', flush=True); correct(*sys.argv[1:], workers=1)"
)


def killed(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    files, known = known_faces(arguments.data)
    source = make_tree(folder / "src", files)
    left, out = take_out(known, TAKEN_OUT)
    first = write_boxes(folder / "first.jsonl", left)
    options: dict[str, Any] = {"workers": arguments.workers, "engine": "threads", "device": "cpu"}
    run(source, folder / "out", boxes=first, **options)
    run(source, folder / "fresh", boxes=write_boxes(folder / "all.jsonl", known), **options)
    shards = {}
    for path in (folder / "out" / ".fastblur" / "journal").iterdir():
        head, *lines = map(json.loads, path.read_text().splitlines())
        shards |= {line["path"]: head["shard"] for line in lines}
    lines = [{"image": name, "shard": shards[name], "coordinates": "stored", "boxes": known[name]} for name in out]
    asked = folder / "judgements.jsonl"
    asked.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [sys.executable, "-c", CODE, str(source), str(folder / "out"), str(asked)]
    whole = _seconds(folder, command)
    rng, kills, ended = random.Random(0), 0, 0
    shutil.copytree(folder / "out", folder / "kept")
    while kills < KILLS:
        if ended:  # the work was done before the kill: begin with a new copy
            shutil.rmtree(folder / "out")
            shutil.copytree(folder / "kept", folder / "out")
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.random() * whole)
        process.send_signal(signal.SIGKILL)
        ended = process.wait() == 0
        kills += not ended
    subprocess.run(command, check=True, capture_output=True)
    differing = [name for name in files if _bytes(folder / "out" / name) != _bytes(folder / "fresh" / name)]
    summary = audit(folder / "out", source=source, sample=0, workers=arguments.workers)
    problems = summary.content["account"]["problems"]
    return {
        "images judged": len(lines),
        "kills": kills,
        "seconds of the work, over which they are spread": round(whole, 2),
        "lost": sum(one["kind"] == "missing" for one in problems),
        "not hidden": sum(one["kind"] == "not hidden" for one in problems),
        "differing from a fresh run": len(differing),
        "problems in all": len(problems),
    }


def _seconds(folder: Path, command: list[str]) -> float:
    """Return how long the work takes after its imports, on a copy."""
    shutil.copytree(folder / "out", folder / "timed")
    process = subprocess.Popen([*command[:4], str(folder / "timed"), command[5]], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    start = time.perf_counter()
    process.wait()
    return time.perf_counter() - start


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""

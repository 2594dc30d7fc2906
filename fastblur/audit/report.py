"""The report of an audit: from its arguments to the folder with the page, its pictures and audit.json."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastblur._version import __version__
from fastblur.audit.account import Account, count_images
from fastblur.audit.compare import Coverage, Proof
from fastblur.audit.contact_sheet import check_sheet, write_sheet
from fastblur.audit.output import Output
from fastblur.audit.pictures import Seen, see, small_jpeg
from fastblur.audit.problems import Problems
from fastblur.audit.selection import SCORE_BINS, SIZE_EDGES, Chosen, Selection
from fastblur.codecs import CodecError
from fastblur.errors import UsageError
from fastblur.files import atomic_write
from fastblur.options import Device
from fastblur.pipeline.config import check_workers, resolve_device
from fastblur.pipeline.execution.concurrency import default_workers
from fastblur.pipeline.execution.record import Inputs, RunRecord
from fastblur.pipeline.images.near_misses import share_within
from fastblur.pipeline.storage.paths import error_reason, lies_in

if TYPE_CHECKING:
    from fastblur.audit.search import HarderSearch, Suspect

OWNER = 0o700
PARTS = ("index.html", "audit.json", "pictures")
SHOWN = 20  # problems in the text for the terminal
HIDDEN_SHARE = 0.5  # of a near miss's area in a region that `correct` has hidden since


@dataclass(frozen=True)
class AuditSummary:
    """The end of an audit.

    Attributes:
        content: of audit.json.
        report: the folder of the report, or None.
        seconds: how long it took.
    """

    content: dict[str, Any]
    report: str | None
    seconds: float

    @property
    def exit_status(self) -> int:
        """0, or 1 where something is wrong with the output."""
        return int(self.content["account"]["exit_status"])

    def text(self) -> str:
        """Return the figures for a reader."""
        content, account = self.content, self.content["account"]
        search, coverage = content["search"], content["coverage"]
        lines = [
            f"images        {account['images']}: {account['hidden']} hidden, {account['copied']} copied, "
            f"{account['failed']} failed",
        ]
        if coverage is not None:
            least = "" if coverage["least"] is None else f", the least covered by {coverage['least']:.1%}"
            lines.append(f"regions       {coverage['regions']} compared with the source{least}")
        lines.append(f"near misses   {content['near_misses']} in {content['near_misses_images']} images")
        if search is not None:
            suspects = [len(one["suspects"]) for one in content["images"] if one["suspects"]]
            lines.append(f"suspects      {sum(suspects)} in {len(suspects)} of the {search['searched']} images drawn")
        total = len(account["problems"]) + account["problems_left_out"]
        lines.append(f"problems      {total}" + (", which is why the exit status is 1" if total else ""))
        lines += [f"  {one['kind']}: {one['sentence']}" for one in account["problems"][:SHOWN]]
        if total > SHOWN:
            lines.append(f"  and {total - SHOWN} more" + (", see audit.json" if self.report else ""))
        lines.append(f"time          {self.seconds:.1f} s")
        if self.report is not None:
            lines.append(
                f"look at       {os.path.join(self.report, 'index.html')}: it may show faces, keep it to yourself"
            )
        return "\n".join(line.encode("utf-8", "backslashreplace").decode() for line in lines)


def audit(
    output: str | Path,
    report: str | Path | None = None,
    *,
    source: Inputs | None = None,
    sample: int = 500,
    seed: int = 0,
    gallery: int = 250,
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
    if sample < 0 or gallery < 0:
        raise UsageError(f"sample is {sample} and gallery is {gallery}, expected numbers of images")
    if contact_sheet is not None:
        check_sheet(Path(contact_sheet), output)
    check_workers(workers)
    workers = default_workers() if workers is None else workers
    record = RunRecord(output)
    folder = None if report is None else _make_report(Path(report), output)
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
    images = _Looks(files, search, coverage, problems, folder, contact_sheet is not None).images(chosen, workers)
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


class _Looks:
    """Looks at the chosen images: their pictures, their boxes, and what the harder search finds."""

    def __init__(
        self,
        output: Output,
        search: "HarderSearch | None",
        coverage: Coverage | None,
        problems: Problems,
        folder: Path | None,
        keep_pixels: bool,
    ) -> None:
        self._output, self._search, self._coverage, self._problems = output, search, coverage, problems
        self._folder, self._keep_pixels = folder, keep_pixels

    def images(self, chosen: list[Chosen], workers: int) -> list[dict[str, Any]]:
        """Return what audit.json says of the images, in the order in which they were chosen."""
        if self._search is not None:
            import torch

            torch.set_num_threads(1)  # the images are what is done in parallel
        order = {one.line["path"]: number for number, one in enumerate(chosen, 1)}
        looks: list[dict[str, Any]] = []
        waiting: list[Future[dict[str, Any] | None]] = []
        with ThreadPoolExecutor(workers) as pool:
            for one, data in self._files(chosen):
                waiting.append(pool.submit(self._look, one, data, order[one.line["path"]]))
                if len(waiting) >= 4 * workers and (done := waiting.pop(0).result()) is not None:
                    looks.append(done)
            looks += [done for future in waiting if (done := future.result()) is not None]
        return sorted(looks, key=lambda look: int(look["id"]))

    def _files(self, chosen: list[Chosen]) -> Iterator[tuple[Chosen, bytes]]:
        """Yield the chosen images with their files, those of a tar or table together."""
        inside: dict[str, dict[int, Chosen]] = {}
        for one in chosen:
            if one.container:
                inside.setdefault(one.shard, {})[one.place] = one
                continue
            with suppress(OSError):  # the account says so
                yield one, self._output.read(one.line["path"])
        for container, places in inside.items():
            with suppress(ValueError, OSError):
                for place, item in enumerate(self._output.items(container)):
                    if place in places and item.data is not None:
                        yield places[place], item.data
                    if place >= max(places):
                        break

    def _look(self, one: Chosen, data: bytes, number: int) -> dict[str, Any] | None:
        line, name = one.line, one.line["path"]
        try:
            seen = see(data)
        except CodecError as error:
            self._problems.add(name, one.shard, "changed", f"{name!r} cannot be decoded: {error_reason(error)}")
            return None
        boxes = line["boxes"] if line["fate"] == "hidden" else []
        scores = line.get("scores") or [None] * len(boxes)
        coverages = [] if self._coverage is None else self._coverage.of_image.get(name, [])
        upright = seen.upright_boxes(boxes)
        near = [row for row in line.get("near", ()) if sum(share_within(row[:4], box) for box in boxes) < HIDDEN_SHARE]
        found: list[Suspect] = []
        if self._search is not None and "sample" in one.found:
            found = self._search.suspects(seen.pixels, upright)
        look = {
            "id": number,
            "image": name,
            "shard": one.shard,
            "fate": line["fate"],
            "sampled": "sample" in one.found,
            "found": one.found,
            "width": seen.pixels.shape[1],
            "height": seen.pixels.shape[0],
            "stored_width": seen.stored_size[0],
            "stored_height": seen.stored_size[1],
            "to_stored": list(seen.to_stored),
            **self._picture(seen, number),
            "regions": [
                {"box": box, "score": score, "coverage": coverages[place] if place < len(coverages) else None}
                for place, (box, score) in enumerate(zip(upright, scores, strict=True))
            ],
            "near_misses": [
                {"box": box, "score": row[4]}
                for box, row in zip(seen.upright_boxes([row[:4] for row in near]), near, strict=True)
            ],
            "suspects": [{"box": each.box, "score": each.score, "found_by": each.found_by} for each in found],
        }
        return look

    def _picture(self, seen: Seen, number: int) -> dict[str, Any]:
        data, width, height = small_jpeg(seen.pixels)
        name = f"pictures/{number:06}.jpg"
        if self._folder is not None:
            (self._folder / name).write_bytes(data)
        picture = {"picture": name, "picture_width": width, "picture_height": height}
        return {**picture, "pixels": data} if self._keep_pixels else picture


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


def _make_report(folder: Path, output: str | Path) -> Path:
    """Make the folder of a report, for its owner only; what an earlier report left there goes.

    Raises UsageError where it lies in the output, or holds something else.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(folder)):
        raise UsageError(f"REPORT {str(folder)!r} is a URL, expected a folder on this machine")
    folder = Path(os.path.abspath(folder))
    if lies_in(folder, output):
        raise UsageError(
            f"REPORT {str(folder)!r} lies in OUT, which gets published, expected another place: it may show faces"
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

"""What was done: counters while a run goes on, a summary at the end of `run` and of `detect`."""

import json
import platform
import threading
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastblur._version import __version__

COUNTS = (
    "images", "with_regions", "regions", "degenerate_regions", "copied", "failed", "unsearched", "skipped",
    "without_previews", "jpeg_blocks", "jpeg_progressive", "jpeg_unsupported", "jpeg_irregular",
)  # fmt: skip
_STALE = "which lost previews that show something else than the picture"
PACKAGES = ("torch", "kornia", "numba", "numpy", "onnxruntime", "pillow", "simplejpeg")


def installed_versions() -> dict[str, str]:
    """Return the versions of fastblur, Python and the packages that do the work, where they are installed."""
    versions = {"fastblur": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


class Tally:
    """Counters that several threads add to.

    Attributes:
        images: images done: `with_regions` + `copied` + `failed`.
        with_regions: images written with something hidden.
        regions: regions hidden in them.
        degenerate_regions: boxes without an area, which hide nothing, in images that were written.
        copied: images without a region, copied byte for byte.
        failed: images that were not written, files that are not searched, and shards that ended too early.
        unsearched: files and members that are or may hold images, and were written as they are.
        skipped: those that were left out.
        without_previews: of the copied images, those written without previews that did not show the picture.
        jpeg_blocks: JPEG files rewritten block by block.
        jpeg_progressive, jpeg_unsupported, jpeg_irregular: those that were to be and had to be decoded and encoded:
            because of their progressive coding, another kind that is not taken, or as not whole and exact.
        resumed: those of the images that earlier runs had done.
        shards: shards finished.
    """

    def __init__(self) -> None:
        self.images = self.with_regions = self.regions = self.degenerate_regions = self.copied = self.failed = 0
        self.unsearched = self.skipped = self.without_previews = 0
        self.jpeg_blocks = self.jpeg_progressive = self.jpeg_unsupported = self.jpeg_irregular = 0
        self.resumed = self.shards = 0
        self._lock = threading.Lock()

    def add(self, counts: dict[str, int]) -> None:
        """Add to the counters by their names."""
        with self._lock:
            for name, value in counts.items():
                setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class Summary:
    """The end of a run.

    Attributes:
        images, with_regions, regions, degenerate_regions, copied, failed, unsearched, skipped, without_previews,
            jpeg_blocks, jpeg_progressive, jpeg_unsupported, jpeg_irregular, resumed, shards: as in `Tally`.
        other_files: files of the source that are of no kind that is worked on, and were not copied.
        unused_boxes: how many entries of the boxes file named no image of the source; None without such a file.
        seconds: from the first image listed to the last one on the disk; loading the detector is not in it.
        interrupted: the number of the signal that stopped the run before its end, or 0.
        failures_file: where the failures are listed; the file is there if any image failed.
        stages: for each stage its batches, seconds (summed over threads) and mean number of batches waiting for it.
        parameters: everything that decided the result.
        versions: of the packages that took part.
    """

    images: int
    with_regions: int
    regions: int
    degenerate_regions: int
    copied: int
    failed: int
    unsearched: int
    skipped: int
    without_previews: int
    jpeg_blocks: int
    jpeg_progressive: int
    jpeg_unsupported: int
    jpeg_irregular: int
    resumed: int
    shards: int
    other_files: int
    unused_boxes: int | None
    seconds: float
    interrupted: int
    failures_file: str
    stages: dict[str, dict[str, float]]
    parameters: dict[str, Any]
    versions: dict[str, str]

    @property
    def images_a_second(self) -> float:
        """Images that this run did a second."""
        return (self.images - self.resumed) / self.seconds if self.seconds else 0.0

    @property
    def exit_status(self) -> int:
        """The exit status of the command, as `exit_status` gives it."""
        return exit_status(self.interrupted, self.failed, self.images)

    def text(self) -> str:
        """Return the summary for a reader; bytes of a path that are not UTF-8 are escaped."""
        stripped = bool(self.parameters.get("strip_metadata"))
        failures_file = self.failures_file.encode("utf-8", "backslashreplace").decode()
        lines = [
            f"images        {self.images}"
            + (f", {self.resumed} of them by earlier runs" if self.resumed else "")
            + ("" if self.images else ": SRC holds none that is searched, which is why the exit status is 1"),
            f"with regions  {self.with_regions}, {self.regions} regions hidden",
            f"copied        {self.copied}, "
            + ("without their metadata" if stripped else "byte for byte")
            + (f" but {self.without_previews}, {_STALE}" if self.without_previews else ""),
            f"failed        {self.failed}" + (f", listed in {failures_file}" if self.failed else ""),
        ]
        if self.other_files:
            skipped = " and what --others skip leaves out" if self.skipped else ""
            lines.append(f"other files   {self.other_files}, not copied: texts, hidden files{skipped}")
        done = self.images - self.resumed
        rate = f", {self.images_a_second:.1f} images a second" if done else ", there was nothing left to do"
        lines.append(f"time          {self.seconds:.1f} s{rate if self.images else ''}")
        if jpeg := self._jpeg_text():
            lines.insert(2, jpeg)
        if self.unsearched:
            lines.append(
                f"unsearched    {self.unsearched} files and members written as they are, with any face in them"
                + (" and their metadata" if stripped else "")
            )
        if self.degenerate_regions:
            lines.insert(2, f"degenerate    {self.degenerate_regions} regions without an area")
        if self.unused_boxes:
            lines.append(f"boxes         {self.unused_boxes} entries of the boxes file named no image of SRC")
        if self.interrupted:
            lines.append("interrupted   before all images were done; the same command goes on from here")
        return "\n".join(lines)

    def _jpeg_text(self) -> str:
        """Return how JPEG files were changed, "" where none was or all were encoded as the user asked."""
        kinds = {
            "progressive": self.jpeg_progressive,
            "of another kind": self.jpeg_unsupported,
            "irregular": self.jpeg_irregular,
        }
        encoded = sum(kinds.values())
        if not self.jpeg_blocks + encoded:
            return ""
        why = ", ".join(f"{number} {kind}" for kind, number in kinds.items() if number)
        return f"JPEG files    {self.jpeg_blocks} changed only in the blocks of their regions" + (
            f", {encoded} encoded whole ({why})" if encoded else ""
        )

    def write(self, path: Path) -> None:
        """Write the summary as JSON."""
        content = {**asdict(self), "images_a_second": self.images_a_second}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="ascii")


@dataclass(frozen=True)
class DetectSummary:
    """The end of a search.

    Attributes:
        images: looked at, `failed` included.
        with_regions: images in which something was found.
        regions: found in them.
        failed: images that could not be searched; their lines say why.
        seconds: from the first image listed to the last one searched.
        interrupted: the number of the signal that stopped it before its end, or 0; the file is not written then.
    """

    images: int
    with_regions: int
    regions: int
    failed: int
    seconds: float
    interrupted: int

    @property
    def exit_status(self) -> int:
        """The exit status of the command, as `exit_status` gives it."""
        return exit_status(self.interrupted, self.failed, self.images)

    def text(self) -> str:
        """Return the counts for a reader."""
        lines = [
            f"images        {self.images}" + ("" if self.images else ": SRC holds none that is searched"),
            f"with regions  {self.with_regions}, {self.regions} regions",
            f"failed        {self.failed}" + (", their lines say why" if self.failed else ""),
            f"time          {self.seconds:.1f} s, {self.images / max(self.seconds, 1e-9):.1f} images a second",
        ]
        return "\n".join([*lines, "interrupted   nothing was written"] if self.interrupted else lines)


@dataclass(frozen=True)
class CorrectSummary:
    """The end of a correction.

    Attributes:
        judged: images that the file names.
        changed: those whose boxes differ from what the run hid.
        failed: those that could not be done again, and are not in the output any more.
        shards: shards that were made again; those of an earlier call with the same file are not.
        seconds: how long it took.
    """

    judged: int
    changed: int
    failed: int
    shards: int
    seconds: float

    @property
    def exit_status(self) -> int:
        """0, or 1 where an image could not be done again."""
        return int(self.failed > 0)

    def text(self) -> str:
        """Return the counts for a reader."""
        lines = [
            f"judged        {self.judged} images",
            f"done again    {self.changed}, whose boxes have changed, in {self.shards} shards",
            f"failed        {self.failed}"
            + (", listed in .fastblur/failures.jsonl: they left OUT" if self.failed else ""),
            f"time          {self.seconds:.1f} s",
        ]
        done = "OUT is as these judgements say" if self.judged else "the file has no judgements"
        return "\n".join(lines if self.shards else [*lines, f"nothing to do {done}"])


def exit_status(interrupted: int, failed: int, images: int) -> int:
    """Return a command's exit status: 128 + the signal that interrupted it, 1 if an image failed or there was none."""
    return 128 + interrupted if interrupted else int(failed > 0 or images == 0)

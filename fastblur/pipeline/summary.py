"""What a run has done: counters while it goes on, a summary at its end."""

import json
import platform
import threading
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fastblur

PACKAGES = ("torch", "kornia", "numba", "numpy", "onnxruntime", "pillow", "simplejpeg")


def installed_versions() -> dict[str, str]:
    """Return the versions of fastblur, Python and the packages that do the work, where they are installed."""
    versions = {"fastblur": fastblur.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


class Tally:
    """Counters that several threads add to.

    Attributes:
        images: images done, whatever their fate: `with_regions` + `copied` + `failed`.
        with_regions: images written with something hidden.
        regions: regions hidden in them.
        degenerate_regions: boxes without an area, which hide nothing, in images that were written.
        copied: images without a region, copied byte for byte.
        failed: images that were not written.
    """

    def __init__(self) -> None:
        self.images = self.with_regions = self.regions = self.degenerate_regions = self.copied = self.failed = 0
        self._lock = threading.Lock()

    def blurred(self, regions: int, degenerate: int) -> None:
        """Count an image written with regions."""
        with self._lock:
            self.images += 1
            self.with_regions += 1
            self.regions += regions
            self.degenerate_regions += degenerate

    def copy(self) -> None:
        """Count an image copied."""
        with self._lock:
            self.images += 1
            self.copied += 1

    def fail(self) -> None:
        """Count an image that was not written."""
        with self._lock:
            self.images += 1
            self.failed += 1


@dataclass(frozen=True)
class Summary:
    """The end of a run.

    Attributes:
        images, with_regions, regions, degenerate_regions, copied, failed: as in `Tally`.
        other_files: files of the source without an image's suffix, which are not copied.
        seconds: from the first image listed to the last one written; loading the detector is not in it.
        interrupted: whether the run was stopped before its end.
        failures_file: where the failures are listed; the file is there if any image failed.
        parameters: everything that decided the result.
        versions: of the packages that took part.
    """

    images: int
    with_regions: int
    regions: int
    degenerate_regions: int
    copied: int
    failed: int
    other_files: int
    seconds: float
    interrupted: bool
    failures_file: str
    parameters: dict[str, Any]
    versions: dict[str, str]

    @property
    def images_a_second(self) -> float:
        """Images done a second of the run."""
        return self.images / self.seconds if self.seconds else 0.0

    @property
    def exit_status(self) -> int:
        """The exit status of a command: 130 interrupted, 1 some image failed, 0 none."""
        return 130 if self.interrupted else 1 if self.failed else 0

    def text(self) -> str:
        """Return the summary for a reader."""
        lines = [
            f"images        {self.images}",
            f"with regions  {self.with_regions}, {self.regions} regions hidden",
            f"copied        {self.copied}, byte for byte",
            f"failed        {self.failed}" + (f", listed in {self.failures_file}" if self.failed else ""),
            f"other files   {self.other_files}, not copied",
            f"time          {self.seconds:.1f} s, {self.images_a_second:.1f} images a second",
        ]
        if self.degenerate_regions:
            lines.insert(2, f"degenerate    {self.degenerate_regions} regions without an area")
        if self.interrupted:
            lines.append("interrupted   before all images were done; --overwrite starts anew")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """Write the summary as JSON."""
        content = {**asdict(self), "images_a_second": self.images_a_second}
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="ascii")

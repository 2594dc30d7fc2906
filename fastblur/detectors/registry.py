"""The detectors by name, importing nothing heavy, so that a command can list them before it loads one."""

from importlib import import_module
from typing import TYPE_CHECKING, Literal, cast, get_args

from fastblur.errors import UsageError
from fastblur.options import listed

if TYPE_CHECKING:
    from fastblur.detectors.networks.spec import Network

DetectorName = Literal["centerface", "retinaface-resnet50", "retinaface-mobilenet0.25", "yunet"]
"""The names that `load_detector` knows."""

DEFAULT_DETECTOR: DetectorName = "centerface"

# name -> (module of networks/, its Network); a module is imported when its detector is asked for
_NETWORKS: dict[DetectorName, tuple[str, str]] = {
    "centerface": ("centerface", "CENTERFACE"),
    "retinaface-resnet50": ("retinaface", "RESNET50"),
    "retinaface-mobilenet0.25": ("retinaface", "MOBILENET025"),
    "yunet": ("yunet", "YUNET"),
}


def network_of(name: str) -> "Network":
    """Return the network of the detector called `name`; raises UsageError for an unknown name.

    Example:
        >>> from fastblur.detectors.registry import network_of
        >>> network_of("yunet").multiple
        64
    """
    if name not in get_args(DetectorName):
        raise UsageError(f"detector is {name!r}, expected {listed(get_args(DetectorName))}")
    module, attribute = _NETWORKS[cast(DetectorName, name)]
    return cast("Network", getattr(import_module(f"fastblur.detectors.networks.{module}"), attribute))


def is_import_name(name: str) -> bool:
    """Return whether a name is that of a user's own detector, "package.module:name".

    Example:
        >>> from fastblur.detectors.registry import is_import_name
        >>> is_import_name("my_package.faces:detect"), is_import_name("yunet")
        (True, False)
    """
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))


def check_name(name: str) -> None:
    """Raise UsageError for what is neither a detector's name nor an import name."""
    names = get_args(DetectorName)
    if name not in names and not is_import_name(name):
        raise UsageError(f"detector is {name!r}, expected {listed(names)}, or one of your own as 'package.module:name'")

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
    names = get_args(DetectorName)
    if name not in names:
        raise UsageError(f"detector is {name!r}, expected {listed(names)}")
    module, attribute = _NETWORKS[cast(DetectorName, name)]
    return cast("Network", getattr(import_module(f"fastblur.detectors.networks.{module}"), attribute))

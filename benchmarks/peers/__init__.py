"""What people hide faces with today, each in a file of its own; adding a peer is adding a file.

A peer is a module here with

- `NAME`; `PACKAGE`, the distribution whose version stands beside it; `LACKS`, what it does not do that fastblur does,
  or ""; `SAME`, whether it means to give what the "ilsvrc" recipe gives, so that its error can be told;
- `image(pixels)`: what its users hold, made of (H, W, 3) uint8 pixels, outside the time that is measured;
- `hide(image, boxes)`: hides the (n, 4) xyxy boxes and returns the same kind; this is measured;
- `pixels(image)`: the (H, W, 3) uint8 pixels of it again;
- `threads(count)`: makes its library use so many threads.

Its imports stand at its top: where one is missing the peer is named as absent, with the reason.
"""

import pkgutil
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from benchmarks.common.measure import versions


class Peer(Protocol):
    """A module of this package."""

    NAME: str
    PACKAGE: str
    LACKS: str
    SAME: bool

    def image(self, pixels: np.ndarray) -> Any: ...  # noqa: D102
    def hide(self, image: Any, boxes: np.ndarray) -> Any: ...  # noqa: D102
    def pixels(self, image: Any) -> np.ndarray: ...  # noqa: D102
    def threads(self, count: int) -> None: ...  # noqa: D102


@cache
def found() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the peers by name, fastblur's own first, and why others are absent, by the module's name."""
    peers: dict[str, Any] = {}
    absent = {}
    for module in pkgutil.iter_modules(__path__):
        try:
            peer = import_module(f"{__name__}.{module.name}")
        except Exception as reason:  # a package that does not run here, for whatever reason
            absent[module.name] = f"{type(reason).__name__}: {reason}"
        else:
            peers[peer.NAME] = peer
    return dict(sorted(peers.items(), key=lambda pair: (pair[1].PACKAGE != "fastblur", pair[0]))), absent


def described(peer: Any) -> dict[str, Any]:
    """Return what a result file says of a peer."""
    return {
        "package": peer.PACKAGE,
        "version": versions((peer.PACKAGE,))[peer.PACKAGE],
        "lacks": peer.LACKS,
        "same": peer.SAME,
    }

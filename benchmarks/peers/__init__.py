"""What people hide faces with today, each in a file of its own; adding a peer is adding a file.

A peer is a module here, its name not beginning with "_", with

- `NAME`; `PACKAGE`, the distribution whose version is recorded; `LACKS`, what it does not do that fastblur does, or "";
  `SAME`, whether it should give the result of the "ilsvrc" recipe, so that its error means something;
- `image(pixels)`: makes what its users have out of (H, W, 3) uint8 pixels, outside the measured time;
- `hide(image, boxes)`: hides the (n, 4) xyxy px boxes, n > 0, and returns the same kind; this is measured;
- `pixels(image)`: its (H, W, 3) uint8 pixels;
- `threads(count)`: makes its library use so many threads.

Its imports are at its top: where one is missing the peer is named as absent, with the reason.
"""

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.common.command import versions


@cache
def found() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the peers by name, fastblur's own first, and why others are absent, by the module's name."""
    peers: dict[str, Any] = {}
    absent = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        try:
            peer = import_module(f"{__name__}.{module.name}")
        except Exception as reason:  # a package that does not run here, for whatever reason
            absent[module.name] = f"{type(reason).__name__}: {reason}"
        else:
            peers[peer.NAME] = peer
    return dict(sorted(peers.items(), key=lambda pair: (pair[1].PACKAGE != "fastblur", pair[0]))), absent


def side(peer: Any, pixels: list[np.ndarray], boxes: list[np.ndarray]) -> Callable[[], None]:
    """Return a function that has the peer hide boxes (n, 4) in one (H, W, 3) image after the other, on one thread."""
    images = [peer.image(one) for one in pixels]

    def hide_all() -> None:
        peer.threads(1)
        for image, rows in zip(images, boxes, strict=True):
            peer.hide(image, rows)  # the result is dropped, so that the next one finds its memory warm

    return hide_all


def described(peer: Any) -> dict[str, Any]:
    """Return what a result file says of a peer."""
    return {
        "package": peer.PACKAGE,
        "version": versions((peer.PACKAGE,))[peer.PACKAGE],
        "lacks": peer.LACKS,
        "same": peer.SAME,
    }

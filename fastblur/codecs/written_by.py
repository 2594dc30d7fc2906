"""What writes image files here: two machines on which it is equal write the same bytes for the same pixels."""

import json
import platform
import zlib
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version

from fastblur._version import __version__

LIBRARIES = "zlib", "zlib_ng", "libtiff", "webp", "avif"  # that wheels and distributions of Pillow bring or take


@lru_cache
def written_by() -> str:
    """Return 16 hexadecimal digits that name fastblur, the codecs and their versions, and the kind of processor.

    Example:
        >>> from fastblur.codecs.written_by import written_by
        >>> len(written_by())
        16
    """
    from PIL import features

    makers: dict[str, str | None] = {
        "fastblur": __version__,
        "machine": platform.machine(),
        "zlib of Python": zlib.ZLIB_RUNTIME_VERSION,
        **{name: features.version(name) for name in LIBRARIES},
        **{package: _installed(package) for package in ("pillow", "simplejpeg", "pillow-heif")},
    }
    return blake2b(json.dumps(makers, sort_keys=True).encode("ascii"), digest_size=8).hexdigest()


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

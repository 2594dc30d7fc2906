"""Files: written whole or not at all, their sha256, and the user's cache folder."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

CHUNK = 1 << 20  # bytes read at a time


def cache_folder() -> Path:
    """Return the user's cache folder of fastblur (it need not exist)."""
    from platformdirs import user_cache_path

    return user_cache_path("fastblur", appauthor=False)


def sha256(path: Path) -> str:
    """Return the sha256 of a file's bytes in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a new file to write that becomes `path` at the end, whole, or vanishes where an exception is raised."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)  # which can only be read by setting it
        os.umask(mask)
        os.chmod(file.name, 0o666 & ~mask)
        os.replace(file.name, path)
    except BaseException:
        os.unlink(file.name)
        raise

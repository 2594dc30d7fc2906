"""Files: written whole or not at all, their sha256, and the user's cache folder."""

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fastblur.need import need

CHUNK = 1 << 20  # bytes read at a time
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
MODE = 0o666  # of a new file, from which the system takes the user's umask

Place = Callable[[str, str], None]
"""Moves the file of the first path to the second, as `os.replace` does."""


def cache_folder() -> Path:
    """Return the user's cache folder of fastblur (it need not exist)."""
    path: Path = need("platformdirs", "run").user_cache_path("fastblur", appauthor=False)
    return path


def sha256(path: str | Path) -> str:
    """Return the sha256 of a file's bytes in hexadecimal; raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def regular_file(path: Path) -> Iterator[Path]:
    """Give a file that can be read more than once: this one, or a copy of what comes through a pipe.

    Raises OSError, also for a device: /dev/zero has no end.
    """
    if path.is_file() or path.is_dir() or not path.exists():
        yield path
        return
    if path.is_block_device() or path.is_char_device():
        raise OSError("it is a device, expected a file or a pipe")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, f"copy{path.suffix}")
        with open(path, "rb") as pipe, open(copy, "wb") as file:
            shutil.copyfileobj(pipe, file, CHUNK)
        yield copy


def atomic_write(
    path: str | Path, data: bytes, *, temporary: str | None = None, durable: bool = True, place: Place | None = None
) -> None:
    """Write a file in one step: wherever the process is killed, it is whole or not there.

    Args:
        path: the file; one that is there is replaced, unless `place` refuses to.
        data: its content.
        temporary: as `AtomicFile` takes it.
        durable: whether to wait until the content has reached the disk.
        place: gives the file its name; `os.replace` by default.

    Raises OSError; the temporary file is gone then.
    """
    temporary = temporary or _temporary(path)
    try:
        # Plain calls of the system, for speed: nothing here needs a buffer.
        descriptor = os.open(temporary, NEW_FILE, MODE)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        (place or os.replace)(temporary, str(path))
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


class AtomicFile:
    """A file that is written piece by piece, and gets its name when it is whole and on the disk.

    As a context it gives the file to write to, commits it at the end and aborts it where an exception is raised.

    Args:
        path: its name; a file that has it is replaced.
        temporary: its name until then, on the same file system; by default a hidden one in the same folder, which is
            made if it is not there.

    Attributes:
        file: what to write to.

    Raises OSError where the file cannot be made.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with AtomicFile(folder / "a.txt") as file:
        ...     _ = file.write(b"whole")
        >>> (folder / "a.txt").read_bytes()
        b'whole'
    """

    def __init__(self, path: str | Path, temporary: str | None = None) -> None:
        self._path, self._temporary = str(path), temporary or _temporary(path)
        self.file: BinaryIO = open(self._temporary, "xb")  # noqa: SIM115

    def commit(self) -> None:
        """Close the file, flush it to the disk and give it its name; raises OSError."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self._temporary, self._path)

    def abort(self) -> None:
        """Close the file and remove it."""
        with suppress(OSError):  # a full disk refuses what is left in the buffer
            self.file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._temporary)

    def __enter__(self) -> BinaryIO:
        return self.file

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.commit()
        except BaseException:
            self.abort()
            raise
        if kind is not None:
            self.abort()


def _temporary(path: str | Path) -> str:
    """Return a new hidden name in the folder of `path`, which is made if it is not there."""
    folder, name = os.path.split(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f".{name[:64]}.{secrets.token_hex(8)}")

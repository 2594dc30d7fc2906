"""A sink that is a folder of this machine; each file is written whole or not at all."""

import ctypes
import errno
import os
import secrets
import stat
from contextlib import suppress
from itertools import count
from pathlib import Path

from fastblur.errors import FileError, UsageError
from fastblur.files import NEW_FILE, AtomicFile, atomic_write

TEMPORARY = ".fastblur/tmp"


class LocalSink:
    """An output folder.

    Files are written under temporary names and get their own in one step: wherever the process is killed, a file under
    its own name is whole. The temporary files are in `.fastblur/tmp`, whose content `clean` removes at the start of a
    run; where one image is all that is written, they are in the root, to which other runs may write at the same time.

    Args:
        root: the folder, made if it is not there.
        alone: whether one image is all that is written.
        rename: the name of that image if it gets another one, else None.

    Raises FileError where the folder cannot be made or written.
    """

    def __init__(self, root: Path, *, alone: bool = False, rename: str | None = None) -> None:
        self.root = root
        self._rename = rename
        self._temporary = str(root) if alone else os.path.join(root, TEMPORARY)
        self._prefix = f".fastblur-{secrets.token_hex(8)}"
        self._numbers = count()
        self._folders = {"": str(root)}
        for folder in (root / TEMPORARY, root / os.path.dirname(TEMPORARY)):
            if folder.is_symlink():
                raise UsageError(f"{str(folder)!r} is a link, expected a folder: what is in it is removed")
        try:
            os.makedirs(self._temporary, exist_ok=True)
            probe = self._new()
            os.close(os.open(probe, NEW_FILE, 0o600))
            os.unlink(probe)
        except OSError as error:
            raise FileError(f"DST {str(root)!r} cannot be written: {error.strerror}") from error

    def clean(self) -> None:
        """Remove what killed runs have left half done; no other run may be writing."""
        with os.scandir(self._temporary) as entries:
            for entry in entries:
                os.unlink(entry.path)

    def write(self, name: str, data: bytes, *, durable: bool = False) -> None:
        """Write `data` as the file `name` below the root, replacing one that is there, whole or not at all.

        It survives a power cut after the next `flush`, or at once where it is `durable`. Raises OSError where that
        fails, ValueError for a name that leads out of the root. Neither leaves a file.
        """
        atomic_write(self._target(name), data, temporary=self._new(), durable=durable)

    def write_once(self, name: str, data: bytes) -> None:
        """Write a file, durable, unless there is one of this name: of several processes one writes it."""
        with suppress(FileExistsError):
            atomic_write(self._target(name), data, temporary=self._new(), place=_link)

    def append(self, name: str, data: bytes) -> None:
        """Add to a file."""
        with open(self._target(name), "ab") as file:
            file.write(data)

    def create(self, name: str) -> AtomicFile:
        """Begin a file."""
        return AtomicFile(self._target(name), self._new())

    def read(self, name: str) -> bytes:
        """Return a file's content; raises FileNotFoundError where there is none."""
        if not stat.S_ISREG(os.stat(self.root / name).st_mode):  # reading a pipe would never end
            raise OSError(errno.EINVAL, f"{name} in it is not a regular file")
        return (self.root / name).read_bytes()

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(self._target(name, make=False))

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; none where there is no such folder."""
        try:
            return sorted(os.listdir(self.root / folder))
        except FileNotFoundError:
            return []

    def path(self, name: str) -> str:
        """Return where a file is, for people."""
        return str(self.root / name)

    def flush(self) -> None:
        """Wait until all that was written has reached the disk, by one call for all files where the system has one.

        Waiting for each file instead would bind the run to the disk's speed: measured at three times the run's own.

        Raises OSError where the disk reports an error.
        """
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if os.name == "posix" else None
        if syncfs is None:
            return
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            if syncfs(descriptor) != 0:
                raise OSError(ctypes.get_errno(), f"DST {str(self.root)!r} could not be flushed to the disk")
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Flush; what was appended is written already."""
        self.flush()

    def _new(self) -> str:
        return f"{self._temporary}/{self._prefix}-{next(self._numbers)}"

    def _target(self, name: str, make: bool = True) -> str:
        given = name if self._rename is None or name.startswith(".fastblur/") else self._rename
        folder, _, file = given.rpartition("/")
        if name.startswith("/") or file in ("", ".", ".."):
            raise ValueError(f"the name {name!r} is not one of a file below DST")
        return f"{self._folder(folder, make)}/{file}"

    def _folder(self, folder: str, make: bool) -> str:
        """Return the path of a folder below the root, made if `make`; neither it nor a folder above it is a link."""
        if folder not in self._folders:
            above, _, last = folder.rpartition("/")
            if last in ("", ".", ".."):
                raise ValueError(f"the name {folder!r} is not one of a folder below DST")
            path = f"{self._folder(above, make)}/{last}"
            if make:
                with suppress(FileExistsError):
                    os.mkdir(path)
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise ValueError(f"{folder!r} in DST is a link or a file, expected a folder")
            self._folders[folder] = path
        return self._folders[folder]


def _link(temporary: str, target: str) -> None:
    """Give a file its name, which must be free."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, where two processes may do this at the same time
        if os.path.lexists(target):
            raise FileExistsError(None, "a file of this name is already there") from None
        os.replace(temporary, target)
        return
    os.unlink(temporary)

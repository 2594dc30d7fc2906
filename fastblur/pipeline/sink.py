"""Where images go: a folder tree that mirrors the source, each file written whole or not at all."""

import ctypes
import json
import os
import secrets
import stat
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

from fastblur.pipeline.source import Source, is_image_name

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


class Sink:
    """The output folder.

    Args:
        root: the folder; it is made if need be.
        rename: the name of the output where there is only one, else None.
        overwrite: replace files that are there already. An image that fails then leaves no older output behind.

    Attributes:
        failures: the file that lists failures, DST/.fastblur/failures.jsonl; it is there once an image has failed.

    Raises OSError where the folder cannot be made or written.
    """

    def __init__(self, root: Path, *, rename: str | None = None, overwrite: bool = False) -> None:
        self.root = root
        self.failures = root / ".fastblur" / "failures.jsonl"
        self._rename = rename
        self._overwrite = overwrite
        self._prefix = f".fastblur-{secrets.token_hex(8)}-"
        self._numbers = count()
        self._lock = threading.Lock()
        self._folders = {"": str(root)}
        try:
            root.mkdir(parents=True, exist_ok=True)
            probe = os.path.join(root, f"{self._prefix}{next(self._numbers)}.tmp")
            os.close(os.open(probe, _NEW_FILE, 0o600))
            os.unlink(probe)
            self.failures.unlink(missing_ok=True)
        except OSError as error:
            raise OSError(f"DST {str(root)!r} cannot be written: {error.strerror}") from error

    def write(self, name: str, data: bytes) -> None:
        """Write `data` as the file `name` below the root.

        The bytes go to a temporary file in the same folder, which then takes the name in one step: wherever the process
        is killed, a file under its own name is whole. What a power cut does is up to `flush`.

        Raises OSError where that fails, ValueError for a name that leads out of the root. Neither leaves a file.
        """
        target = self._target(name)
        if not self._overwrite and os.path.lexists(target):
            raise FileExistsError(None, "a file of this name is already there")
        temporary = f"{os.path.dirname(target)}/{self._prefix}{next(self._numbers)}.tmp"
        try:
            # Plain calls of the system, for speed: nothing here needs a buffer.
            descriptor = os.open(temporary, _NEW_FILE, 0o666)
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(descriptor, left) :]
            finally:
                os.close(descriptor)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    def fail(self, name: str, reason: str) -> None:
        """Add the image to the list of failures, and remove an older output of it where overwriting was asked for."""
        if self._overwrite:
            try:
                os.unlink(self._target(name))
            except (FileNotFoundError, ValueError):
                pass
            except OSError as error:
                reason += f"; what was there before may still be: {error.strerror}"
        # ASCII only: a name that is not UTF-8 keeps its bytes as escaped surrogates, as os.fsencode takes them.
        line = json.dumps({"path": name, "reason": reason}) + "\n"
        with self._lock:
            self.failures.parent.mkdir(exist_ok=True)
            with open(self.failures, "a", encoding="ascii") as file:
                file.write(line)

    def flush(self) -> None:
        """Wait until all that was written has reached the disk, by one call for all files where the system has it.

        Waiting for each file instead would bind the run to the disk's speed: measured at three times the run's own.

        Raises OSError where the disk reports an error.
        """
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if os.name == "posix" else None
        if syncfs is None:
            return
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            if syncfs(descriptor) != 0:
                raise OSError(ctypes.get_errno(), f"DST {str(self.root)!r} could not be brought to the disk")
        finally:
            os.close(descriptor)

    def _target(self, name: str) -> str:
        folder, _, file = (self._rename or name).rpartition("/")
        if name.startswith("/") or file in ("", ".", ".."):
            raise ValueError(f"the name {name!r} is not one of a file below DST")
        return f"{self._folder(folder)}/{file}"

    def _folder(self, folder: str) -> str:
        """Return the path of a folder below the root, made if need be; it and all above it are no links."""
        if folder not in self._folders:
            above, _, last = folder.rpartition("/")
            if last in ("", ".", ".."):
                raise ValueError(f"the name {folder!r} is not one of a folder below DST")
            path = f"{self._folder(above)}/{last}"
            try:
                os.mkdir(path)
            except FileExistsError:
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    raise ValueError(f"{folder!r} in DST is a link or a file, expected a folder") from None
            self._folders[folder] = path
        return self._folders[folder]


def place(path: Path, source: Source, *, overwrite: bool) -> tuple[Path, str | None]:
    """Return the root of the output and, for one file that gets a name of its own, that name.

    Raises ValueError where the output would lie in the source, or hold it, or replace files without `overwrite`.
    Nothing is made or changed here.
    """
    if path.exists() and not path.is_dir() and not source.is_file:
        raise ValueError(f"DST {str(path)!r} is a file, expected a folder since SRC is one")
    return (
        _for_file(path, source.path, overwrite) if source.is_file else (_for_folder(path, source.root, overwrite), None)
    )


def _for_file(path: Path, source: Path, overwrite: bool) -> tuple[Path, str | None]:
    rename = path.name if is_image_name(path.name) and not path.is_dir() else None
    if rename and path.suffix.lower() != source.suffix.lower():
        raise ValueError(f"DST {str(path)!r} has another suffix than SRC, expected {source.suffix}: the format is kept")
    root = path.parent if rename else path
    if root.exists() and not root.is_dir():
        raise ValueError(f"DST {str(path)!r} is a file or lies in one, expected a folder or an image file's name")
    target = root / (rename or source.name)
    if target.exists() and target.samefile(source):
        raise ValueError(f"DST {str(path)!r} would replace SRC itself, expected another place")
    if os.path.lexists(target) and not overwrite:
        raise ValueError(f"{str(target)!r} is already there, expected a new name or --overwrite")
    return root, rename


def _for_folder(path: Path, source: Path, overwrite: bool) -> Path:
    here, there = os.path.realpath(path), os.path.realpath(source)
    if is_within(here, there) or is_within(there, here):
        relation = "is SRC" if here == there else "lies in SRC" if is_within(here, there) else "holds SRC"
        raise ValueError(f"DST {str(path)!r} {relation}, expected a folder of its own")
    if path.is_dir() and not overwrite:
        with os.scandir(path) as entries:
            if next(entries, None) is not None:
                raise ValueError(f"DST {str(path)!r} is not empty, expected an empty or new folder, or --overwrite")
    return path


def is_within(path: str, root: str) -> bool:
    """Return whether the real path `path` is `root` or lies below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)

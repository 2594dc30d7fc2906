"""A sink that is a URL."""

import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, cast

from fastblur.pipeline.storage.paths import filesystem


class RemoteSink:
    """An output at a URL that fsspec knows, as s3://bucket/folder; an object appears there whole or not at all.

    Nothing keeps two runs from writing to it at the same time: object stores have no locks. Objects cannot grow, so one
    that is appended to is written again; that happens when it has doubled, and at the end, so that the bytes sent are
    at most three times those of the final object.

    Raises ImportError and ValueError as `filesystem` does.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._system, self._root = filesystem(url)
        self._appended: dict[str, bytearray] = {}
        self._sent: dict[str, int] = {}  # bytes of each that are in the object
        self._folders: set[str] = set()
        self._lock, self._writing = threading.Lock(), threading.Lock()

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write `data` as the object `name`; raises OSError, and ValueError for a name that leads out of the root."""
        self._system.pipe_file(self._made(name), data)

    def write_once(self, name: str, data: bytes) -> None:
        """Write an object unless there is one; of two that try at the same time, the later one's stays."""
        if not self._system.exists(self._target(name)):
            self.write(name, data)

    def append(self, name: str, data: bytes) -> None:
        """Add to an object; all of it is there after `close`, half of it or more after `flush`."""
        with self._lock:
            if name not in self._appended:
                self._appended[name] = bytearray()
                with suppress(FileNotFoundError):
                    self._appended[name] += self.read(name)
                self._sent[name] = len(self._appended[name])
            self._appended[name] += data

    def create(self, name: str) -> "RemoteFile":
        """Begin an object, in a temporary file on this machine."""
        return RemoteFile(self._system, self._made(name))

    def read(self, name: str) -> bytes:
        """Return an object's content; raises FileNotFoundError where there is none."""
        return cast(bytes, self._system.cat_file(self._target(name)))

    def remove(self, name: str) -> None:
        """Remove an object if it is there."""
        with self._lock:
            self._appended.pop(name, None)
            self._sent.pop(name, None)
        with suppress(FileNotFoundError):
            self._system.rm_file(self._target(name))

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; none where there is no such folder."""
        try:
            found = self._system.ls(self._target(folder) if folder else self._root, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def path(self, name: str) -> str:
        """Return where an object is, for people."""
        return f"{self._url}/{name}"

    def clean(self) -> None:
        """Do nothing: nothing is left half done."""

    def flush(self) -> None:
        """Write the objects that were appended to and have doubled; all others are durable when they are written."""
        self._write_appended(lambda sent, length: length >= 2 * sent)

    def close(self) -> None:
        """Write what was appended."""
        self._write_appended(lambda sent, length: True)

    def _write_appended(self, is_due: Callable[[int, int], bool]) -> None:
        with self._writing:  # an older state must not be written after a newer one
            with self._lock:
                due = [
                    (name, bytes(data))
                    for name, data in self._appended.items()
                    if len(data) > self._sent[name] and is_due(self._sent[name], len(data))
                ]
            for name, data in due:
                self.write(name, data)
                with self._lock:
                    self._sent[name] = len(data)

    def _target(self, name: str) -> str:
        if name.startswith("/") or any(part in ("", ".", "..") for part in name.split("/")):
            raise ValueError(f"the name {name!r} is not one of a file below DST")
        return f"{self._root}/{name}"

    def _made(self, name: str) -> str:
        """Return where an object is; its folder is made, once, where the system has folders."""
        target = self._target(name)
        folder = target.rpartition("/")[0]
        if folder not in self._folders:
            self._system.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        return target


class RemoteFile:
    """An object that is written to a temporary file on this machine and sent when it is whole."""

    def __init__(self, system: Any, target: str) -> None:
        self._system, self._target = system, target
        self.file: BinaryIO = cast(BinaryIO, tempfile.NamedTemporaryFile())  # noqa: SIM115

    def commit(self) -> None:
        """Send the object; raises OSError."""
        self.file.flush()
        self._system.put_file(self.file.name, self._target)
        self.file.close()

    def abort(self) -> None:
        """Remove the temporary file."""
        self.file.close()

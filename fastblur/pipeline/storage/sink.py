"""Where the files of a run go: the interface of a sink, and the sink of a destination."""

import os
from pathlib import Path
from typing import BinaryIO, Protocol

from fastblur.pipeline.storage.local import LocalSink
from fastblur.pipeline.storage.paths import is_url, strip_file_scheme
from fastblur.pipeline.storage.remote import RemoteSink


class NewFile(Protocol):
    """A file that gets its name when it is whole.

    Attributes:
        file: what to write to.
    """

    file: BinaryIO

    def commit(self) -> None:
        """Close the file, flush it to the disk and give it its name; raises OSError."""

    def abort(self) -> None:
        """Close the file and remove it."""


class Sink(Protocol):
    """Where shards and the journal put what they make; safe to use from several threads.

    Names are relative, with "/" between folders; ValueError for one that leads out of the sink. An OSError is about one
    name where `fastblur.pipeline.storage.paths.is_name_error` says so, else about the sink.
    """

    def write(self, name: str, data: bytes, *, durable: bool = False) -> None:
        """Write a whole file in one step, replacing one that is there; `durable`: it is on the disk then."""

    def write_once(self, name: str, data: bytes) -> None:
        """Write a whole file, durable, unless there is one of this name."""

    def append(self, name: str, data: bytes) -> None:
        """Add to a file; all of it is there after `close`, and in part before."""

    def create(self, name: str) -> NewFile:
        """Begin a file."""

    def read(self, name: str) -> bytes:
        """Return a file's content; raises FileNotFoundError where there is none."""

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; none where there is no such folder."""

    def path(self, name: str) -> str:
        """Return where a file is, for people."""

    def clean(self) -> None:
        """Remove what killed runs have left half done; no other run may be writing."""

    def flush(self) -> None:
        """Return when all whole files that were written are durable."""

    def close(self) -> None:
        """Write what was appended, and flush."""


def open_sink(destination: str | os.PathLike[str], *, alone: bool = False, rename: str | None = None) -> Sink:
    """Return the sink of a destination.

    Args:
        destination: a folder, which is made if it is not there, or a URL that fsspec knows.
        alone, rename: as `LocalSink` takes them; a URL has no use for them.

    Raises OSError, ValueError and ImportError as the sinks do.
    """
    path = strip_file_scheme(destination)
    return RemoteSink(path) if is_url(path) else LocalSink(Path(path), alone=alone, rename=rename)

"""Where the files of a run go: the interface of a sink."""

from typing import BinaryIO, Protocol


class NewFile(Protocol):
    """A file that gets its name when it is whole.

    Attributes:
        file: what to write to.
    """

    file: BinaryIO

    def commit(self) -> None:
        """Close the file, bring it to the disk and give it its name; raises OSError."""

    def abort(self) -> None:
        """Close the file and remove it."""


class Sink(Protocol):
    """Where shards put what they make. Names are relative, with "/" between folders; ValueError for one that leads out.

    An OSError is about one name where `fastblur.pipeline.storage.paths.is_about_the_name` says so, else about the sink.
    """

    def write(self, name: str, data: bytes) -> None:
        """Write a whole file in one step."""

    def create(self, name: str) -> NewFile:
        """Begin a file."""

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""

    def flush(self) -> None:
        """Bring all that was written to the disk."""

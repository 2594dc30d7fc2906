"""The output of a shard that is one file: written in order, batch by batch, and visible when it is whole."""

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any, BinaryIO, Generic, TypeVar

from fastblur.pipeline.shards.interfaces import Batch
from fastblur.pipeline.storage.paths import error_reason, is_name_error
from fastblur.pipeline.storage.sink import NewFile, Sink

Writer = TypeVar("Writer")


class FileOutput(ABC, Generic[Writer]):
    """A file of a sink that gets the batches of one shard; `Writer` is what writes files of its kind.

    Where the file cannot have its name, all images of the shard fail. A shard of which nothing could be read has no
    file, and leaves none of an earlier run.
    """

    ordered = True

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink, self._name = sink, name
        self._new: NewFile | None = None
        self._writer: Writer | None = None
        self._refused = ""

    @abstractmethod
    def open_writer(self, file: BinaryIO, info: Any) -> Writer:
        """Begin a file like the one read, of which `info` comes with the first batch."""

    @abstractmethod
    def write_batch(self, writer: Writer, batch: Batch, results: list[bytes | None]) -> dict[int, str]:
        """Write a batch, as `Output.write` does."""

    @abstractmethod
    def end(self, writer: Writer) -> None:
        """Write the end of the file."""

    @abstractmethod
    def abandon(self, writer: Writer) -> None:
        """Release what the writer holds; the file will not be whole."""

    def write(self, batch: Batch, results: list[bytes | None]) -> dict[int, str]:
        """Write the images of a batch; return why some could not be written, by their place in it."""
        if batch.info is None:
            return {}  # of a shard of which nothing could be read
        if self._writer is None and not self._refused:
            self._begin(batch.info)
        if self._writer is None:
            return {place: self._refused for place, result in enumerate(results) if result is not None}
        return self.write_batch(self._writer, batch, results)

    def commit(self) -> None:
        """Write the end of the file and give it its name; raises OSError."""
        if self._new is None or self._writer is None:
            self._remove()
            return
        self.end(self._writer)
        self._new.commit()

    def abort(self) -> None:
        """Remove what was written."""
        if self._writer is not None:
            with suppress(Exception):
                self.abandon(self._writer)
        if self._new is not None:
            self._new.abort()

    def _begin(self, info: Any) -> None:
        try:
            self._new = self._sink.create(self._name)
        except (ValueError, OSError) as error:
            if not is_name_error(error):
                raise
            self._refused = f"write: {error_reason(error)}"
            return
        self._writer = self.open_writer(self._new.file, info)

    def _remove(self) -> None:
        """Leave no older file of the name."""
        try:
            self._sink.remove(self._name)
        except (ValueError, OSError) as error:
            if not is_name_error(error):
                raise

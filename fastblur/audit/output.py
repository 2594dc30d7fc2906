"""The files of a run's output, and the images in its tars and tables."""

from collections.abc import Iterator

from fastblur.pipeline.execution.record import RunRecord
from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.shards.table.shard import is_table_name
from fastblur.pipeline.storage.paths import IMAGE_BYTES, check_regular, read_file


class Output:
    """The output of a run, without its record.

    Args:
        record: of the run.
    """

    def __init__(self, record: RunRecord) -> None:
        self._record, self._tree = record, record.tree

    def files(self) -> Iterator[tuple[str, str | None]]:
        """Yield every file's name, with what is wrong with it or None; raises OSError."""
        folders = [""]
        while folders:
            for name, is_folder, problem in self._tree.entries(folders.pop()):
                if is_folder:
                    folders.append(name)
                else:
                    yield name, None if problem is None else str(problem)

    def read(self, name: str) -> bytes:
        """Return the bytes of an image that is a file; raises OSError."""
        path = self._tree.path(name)
        check_regular(path)
        return read_file(path, IMAGE_BYTES)

    def items(self, container: str) -> Iterator[Item]:
        """Yield the images of a tar or table in its order; those of a table are called by their rows in the output.

        Raises FileNotFoundError where there is no such file, ValueError or OSError where it is broken.
        """
        for batch in self._record.container(container).batches(64):
            yield from batch.items

    def names(self, container: str) -> Iterator[str]:
        """Yield the names of the images of a tar or table; raises as `items`."""
        for item in self.items(container):
            yield item.name

    def has_own_names(self, container: str) -> bool:
        """Return whether images are called alike in source and output: rows of a table may have been left out."""
        return not is_table_name(container)

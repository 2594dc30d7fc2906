"""Where images come from: a folder tree, listed lazily, or one file."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fastblur.codecs import SUFFIXES
from fastblur.pipeline.shards import Item


class Source:
    """The images of a folder tree or of one file; iterating lists them anew, a folder at a time and in no order.

    A file is an image if its name ends in one of `SUFFIXES`, in any case. Links to folders are not followed and links
    that lead out of the tree are not read: both become items with a problem, as does a folder that cannot be listed.

    Attributes:
        root: the folder that names are relative to.
        is_file: True where the source is one file.
        others: how many files without an image's suffix the listing has passed so far.

    Raises ValueError where there is no such folder or file, or the file's name is not an image's.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise ValueError(f"SRC {str(path)!r} does not exist, expected a folder or an image file")
        self.is_file = not path.is_dir()
        if self.is_file and not is_image_name(path.name):
            raise ValueError(f"SRC {str(path)!r} is not an image file, expected a name ending in {', '.join(SUFFIXES)}")
        self.path = Path(os.path.abspath(path))
        self.root = self.path.parent if self.is_file else self.path
        self.others = 0
        self._real_root = os.path.realpath(self.root)

    def __iter__(self) -> Iterator[Item]:
        """Yield every image."""
        self.others = 0
        if self.is_file:
            yield self._regular(self.path.name, str(self.path))
            return
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(os.path.join(self.root, folder)) as entries:
                    for entry in entries:
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(name)
                        elif item := self._item(name, entry):
                            yield item
                        else:
                            self.others += 1
            except OSError as error:
                yield Item(folder or ".", str(self.root), f"the folder cannot be listed: {error.strerror}")

    def _item(self, name: str, entry: "os.DirEntry[str]") -> Item | None:
        """Return the image that `entry` is, or None where it is another file."""
        if entry.is_symlink():
            if os.path.isdir(entry.path):
                return Item(name, entry.path, "is a link to a folder; these are not followed")
            if not is_image_name(name):
                return None
            real = os.path.realpath(entry.path)
            if os.path.commonpath((real, self._real_root)) != self._real_root:
                return Item(name, entry.path, "is a link that leaves SRC")
            return self._regular(name, entry.path)
        if not is_image_name(name):
            return None
        if not entry.is_file(follow_symlinks=False):
            return Item(name, entry.path, "is not a regular file")
        return Item(name, entry.path)

    def _regular(self, name: str, path: str) -> Item:
        try:  # reading a pipe or a device would never end
            problem = None if stat.S_ISREG(os.stat(path).st_mode) else "is not a regular file"
        except OSError as error:
            problem = f"is a link that leads nowhere: {error.strerror}"
        return Item(name, path, problem)


def is_image_name(name: str) -> bool:
    """Return whether the name ends as an image's does."""
    return os.path.splitext(name)[1].lower() in SUFFIXES

"""Which image gets the boxes of which entry of a boxes file, and that no entry goes to two images."""

import posixpath
import threading
from pathlib import Path

from fastblur.boxes import Boxes, Size
from fastblur.pipeline.boxes.box_index import BoxIndex

BY_NAME, BY_KEY = 1, 2
Claim = tuple[int, int]
"""An entry that has been found, and how: BY_NAME or BY_KEY."""


class SharedBoxes(Exception):
    """The boxes of one entry would go to several images."""


class BoxAssignment:
    """Looks up boxes for the images below `root`, and keeps account of the entries that were found.

    The file's keys are paths relative to `root` or to one of its parents, the same one for all images: below the folder
    `train`, `n01440764/x.JPEG` is looked up as itself, as `train/n01440764/x.JPEG` and so on up.

    Args:
        index: the boxes.
        root: the folder that images' names are relative to.
        log: whether to keep a log of what is found, for `drain`; a process that is one of several needs it.
    """

    def __init__(self, index: BoxIndex, root: Path, *, log: bool = False) -> None:
        self.index = index
        parts = [part for part in root.parts if part != root.anchor]
        firsts = range(len(parts), -1, -1)
        self._prefixes = [
            "".join(f"{name}/" for name in parts[first:])
            for first in firsts
            if first == len(parts) or index.has_folder(parts[first])
        ]
        self._prefix: str | None = None  # of the images found so far
        self._seen = bytearray(len(index))
        self._log: list[Claim] | None = [] if log else None
        self._lock = threading.Lock()

    @property
    def unused(self) -> int:
        """How many of the file's images have not been looked up."""
        return self._seen.count(0)

    def lookup(self, *names: str, how: int = BY_NAME) -> tuple[Boxes, Size | None] | None:
        """Return the boxes of an image, (n, 4) float32, and its size if the file states it.

        None where the file does not name it.

        Args:
            names: of the image below the root; several where it may be called in several ways.
            how: BY_NAME for its path from the root on, BY_KEY for what it may be called within its tar or table.

        Raises ValueError where the file names it in two ways, or in another way than the images found before: then
        nobody knows whose boxes these are; and where the file says that the image could not be searched. Raises
        SharedBoxes where a key was found before, for another image.
        """
        prefix, entry = "", None
        for name in names:
            name = posixpath.normpath(name)  # as the keys: tar members may be called ./x.jpg
            for other_prefix in self._prefixes:
                other = self.index.find(other_prefix + name)
                if other is None and self.index.has_backslashes:
                    other = self.index.find((other_prefix + name).replace("/", "\\"))
                    how = how if other is None else BY_KEY  # a name with backslashes may be another file's
                if other is None or other == entry:
                    continue
                if entry is not None:
                    keys = f"{self.index.key(entry)!r} and {self.index.key(other)!r}"
                    raise ValueError(f"the boxes file names both {keys}, expected one of them")
                prefix, entry = other_prefix, other
        if entry is None:
            return None
        if self._prefix is None:
            with self._lock:
                if self._prefix is None:
                    self._prefix = prefix
        if prefix != self._prefix:
            self._take(
                entry, BY_NAME, unseen=True
            )  # if an image before this one had it, that one got the boxes of another
            raise ValueError(
                f"the boxes file names {self.index.key(entry)!r}, but earlier images begin with {self._prefix!r} "
                "there, expected all paths from the same folder"
            )
        self._take(entry, how)
        if self._log is not None:
            self._log.append((entry, how))
        boxes = self.index.boxes_of(entry)
        if boxes is None:
            raise ValueError("the boxes file says that this image could not be searched")
        return boxes, self.index.size_of(entry)

    def drain(self) -> list[Claim]:
        """Return what the log has, for `claim` in the process that all others report to, and empty it."""
        log, self._log = self._log or [], []
        return log

    def claim(self, found: list[Claim]) -> None:
        """Mark entries as found that another process has found; raises SharedBoxes."""
        for entry, how in found:
            self._take(entry, how)

    def _take(self, entry: int, how: int, *, unseen: bool = False) -> None:
        """Mark an entry as found; raises SharedBoxes where that may be for another image than before.

        By its key an entry may be found for any image, by its name only for one, which may be looked up again. With
        `unseen` it must not have been found before.
        """
        with self._lock:
            seen = self._seen[entry]
            shared = seen if unseen or how == BY_KEY else seen & BY_KEY
            self._seen[entry] |= how
        if shared:
            key = self.index.key(entry)
            raise SharedBoxes(
                f"the boxes file's entry {key!r} stands for more than one image, and nobody knows whose boxes these "
                f"are, expected names from SRC on, in tars and tables with the file's, 'x.tar/{key}'; then start over"
            )

"""Boxes of an annotation file, found by an image's place below the source."""

import posixpath
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from fastblur.annotations.readers import Boxes, Size, is_coco, read_coco, read_detections, read_ilsvrc

MANY = 10_000  # first folders of keys that are worth remembering
BY_NAME, BY_KEY = 1, 2


class SharedBoxes(Exception):
    """The boxes of one entry would go to several images."""


class BoxFile:
    """The boxes of a file, looked up for the images below `root`.

    The file's keys are paths relative to `root` or to one of its parents, the same one for all images: below the folder
    `train`, `n01440764/x.JPEG` is looked up as itself, as `train/n01440764/x.JPEG` and so on up.

    A name that ends in .jsonl is read as what `fastblur detect` writes, any other as ILSVRC face annotations or COCO.
    The file is read as a stream and kept as a few arrays: about 90 bytes an image.

    Raises OSError and ValueError as the readers do, and ValueError for a key that comes twice.
    """

    def __init__(self, path: Path, root: Path) -> None:
        names, ends, hashes, values, lasts = bytearray(), array("q"), array("Q"), array("f"), array("q")
        unsearched, sizes = array("b"), array("i")
        parts = [part for part in root.parts if part != root.anchor]
        firsts: set[str] = set()
        for key, boxes, size in _read(path):
            key = posixpath.normpath(key)
            first = key.partition("/")[0]
            if len(firsts) <= MANY or first in parts:
                firsts.add(first)
            name = _name(key)
            names += name
            ends.append(len(names))
            hashes.append(_hash(name))
            if boxes is not None and len(boxes):
                values.extend(boxes.ravel().tolist())
            lasts.append(len(values) // 4)
            unsearched.append(boxes is None)
            sizes.extend(size or (0, 0))
        self._names = np.frombuffer(bytes(names), np.uint8)
        self._ends = np.concatenate(([0], np.frombuffer(ends, np.int64) if ends else [])).astype(np.int64)
        given = np.frombuffer(hashes, np.uint64) if hashes else np.empty(0, np.uint64)
        self._order = np.argsort(given, kind="stable").astype(np.int32)
        self._hashes = given[self._order]
        self._boxes = np.array(values, np.float32).reshape(-1, 4)
        self._lasts = np.concatenate(([0], lasts)).astype(np.int64)  # an image's boxes end where the next one's begin
        self._unsearched = np.array(unsearched, bool)
        self._sizes = np.frombuffer(sizes, np.int32) if sizes else np.empty(0, np.int32)
        self._refuse_duplicates(path)
        prefixes = ["".join(f"{name}/" for name in parts[start:]) for start in range(len(parts), -1, -1)]
        self._prefixes = [prefix for prefix in prefixes if not prefix or prefix.partition("/")[0] in firsts]
        self._firsts = firsts if len(firsts) <= MANY else None
        self._used: str | None = None
        self._begin()

    def _begin(self) -> None:
        # Views give plain numbers, several times faster than arrays do; they cannot be sent to another process.
        arrays: tuple[Any, ...] = self._hashes, self._order, self._ends, self._lasts, self._unsearched, self._sizes
        self._view = tuple(memoryview(one) for one in arrays)
        self._text = self._names.data
        self._seen = bytearray(len(self._unsearched))
        self._lock = threading.Lock()
        self._log: list[tuple[int, int]] | None = None

    def __len__(self) -> int:
        """Return the number of images that the file names."""
        return len(self._unsearched)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is sent to another process: all but the lock, the views, and what was looked up here."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("_lock", "_seen", "_view", "_text", "_log")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what another process sent."""
        vars(self).update(state)
        self._begin()
        self._log = []

    @property
    def unused(self) -> int:
        """How many of the file's images have not been looked up."""
        return self._seen.count(0)

    def find(self, name: str, how: int = BY_NAME) -> Boxes | None:
        """Return the boxes alone that `lookup` returns."""
        found = self.lookup(name, how)
        return None if found is None else found[0]

    def lookup(self, name: str, how: int = BY_NAME) -> tuple[Boxes, Size | None] | None:
        """Return the boxes of the image `name` below the root, (n, 4) float32, and its size if the file tells it.

        None where the file does not name it. `how` is BY_KEY where `name` is only what the image is called within its
        tar or table.

        Raises ValueError where the file names it in two ways, or in another way than the images found before: then
        nobody knows whose boxes these are; and where the file says that the image could not be searched. Raises
        SharedBoxes where a key was found before, for another image.
        """
        name = posixpath.normpath(name)  # as the keys: tar members may be called ./x.jpg
        prefix, entry = "", None
        for begin in self._prefixes:
            other = self._entry(begin + name)
            if other is None:
                continue
            if entry is not None:
                raise ValueError(
                    f"the boxes file names both {prefix + name!r} and {begin + name!r}, expected one of them"
                )
            prefix, entry = begin, other
        if entry is None:
            return None
        if self._used is None:
            with self._lock:
                if self._used is None:
                    self._used = prefix
        if prefix != self._used:
            self._take(entry, BY_KEY)  # if an image before this one had it, that one got the boxes of another
            raise ValueError(
                f"the boxes file names {prefix + name!r}, but earlier images begin with {self._used!r} there, "
                "expected all paths from the same folder"
            )
        _, _, _, lasts, unsearched, sizes = self._view
        self._take(entry, how)
        if self._log is not None:
            self._log.append((entry, how))
        if unsearched[entry]:
            raise ValueError("the boxes file says that this image could not be searched")
        width, height = sizes[2 * entry], sizes[2 * entry + 1]
        return self._boxes[lasts[entry] : lasts[entry + 1]], (width, height) if width else None

    def drain(self) -> list[tuple[int, int]]:
        """Return what a copy of this file in another process has found since it was last asked, for `claim`."""
        log, self._log = self._log or [], []
        return log

    def claim(self, found: list[tuple[int, int]]) -> None:
        """Take for found what a copy has found; raises SharedBoxes."""
        for entry, how in found:
            self._take(entry, how)

    def _take(self, entry: int, how: int) -> None:
        with self._lock:
            shared = how == BY_KEY and self._seen[entry]
            self._seen[entry] |= how
        if shared:
            ends = self._view[2]
            key = bytes(self._text[ends[entry] : ends[entry + 1]]).decode("utf-8", "surrogatepass")
            raise SharedBoxes(
                f"the boxes file's entry {key!r} stands for more than one image, and nobody knows whose boxes these "
                f"are, expected names from SRC on, in tars and tables with the file's, 'x.tar/{key}'; then start over"
            )

    def _entry(self, key: str) -> int | None:
        if self._firsts is not None and key.partition("/")[0] not in self._firsts:
            return None
        name = _name(key)
        wanted = _hash(name)
        hashes, order, ends, *_ = self._view
        at = bisect_left(hashes, wanted)
        while at < len(hashes) and hashes[at] == wanted:
            entry: int = order[at]
            if self._text[ends[entry] : ends[entry + 1]] == name:
                return entry
            at += 1
        return None

    def _refuse_duplicates(self, path: Path) -> None:
        same = self._hashes[1:] == self._hashes[:-1]
        names: set[bytes] = set()
        for at in np.flatnonzero(np.append(same, False) | np.append(False, same)):  # hardly any
            entry = self._order[at]
            name = self._names[self._ends[entry] : self._ends[entry + 1]].tobytes()
            if name in names:
                key = name.decode("utf-8", "surrogatepass")
                raise ValueError(f"boxes file {path} names {key!r} twice, expected one entry an image")
            names.add(name)


def _read(path: Path) -> Iterator[tuple[str, Boxes | None, Size | None]]:
    if path.suffix.lower() == ".jsonl":
        return read_detections(path)
    if is_coco(path):
        return iter(read_coco(path))
    return ((key, boxes, None) for key, boxes in read_ilsvrc(path))


def _name(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _hash(name: bytes) -> int:
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")

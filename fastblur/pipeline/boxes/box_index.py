"""The boxes of an annotation file, found by an image's key; nothing in it changes, and it can be sent to others."""

import posixpath
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastblur.annotations.coco import is_coco, read_coco
from fastblur.annotations.judgements import is_judgements, read_judgements
from fastblur.annotations.readers import is_detections, read_detections, read_ilsvrc
from fastblur.boxes import Boxes, Size
from fastblur.errors import FileError, UsageError
from fastblur.files import regular_file, sha256
from fastblur.pipeline.storage.paths import error_reason

MANY = 10_000  # first folders of keys that are worth remembering


@dataclass(frozen=True, eq=False)
class BoxIndex:
    """The boxes of a file's images, as a few arrays: about 90 bytes an image.

    An image is known by its entry, a number from 0; keys are UTF-8, with escaped surrogates.

    Attributes:
        names: all keys, one after the other.
        name_ends: where the key of each entry ends in `names`.
        hashes: of the keys, sorted.
        entries: the entry of each hash.
        boxes: of all images, one image after the other, xyxy.
        box_ends: where the boxes of each entry end in `boxes`.
        unsearched: which images could not be searched.
        sizes: width and height of each image; 0 where the file does not state them.
        first_folders: the first folders of the keys, None where they are too many.
        has_backslashes: whether a key has backslashes between folders, as Windows does.
        sha256: of the file's bytes, in hexadecimal.
        coordinates: "stored" where the file is of a kind whose boxes are of the pictures as stored; None where that
            is not known.
    """

    names: npt.NDArray[np.uint8]  # (bytes,)
    name_ends: npt.NDArray[np.int64]  # (n + 1,), 0 first
    hashes: npt.NDArray[np.uint64]  # (n,)
    entries: npt.NDArray[np.int32]  # (n,)
    boxes: Boxes  # (m, 4) xyxy px
    box_ends: npt.NDArray[np.int64]  # (n + 1,), 0 first
    unsearched: npt.NDArray[np.bool_]  # (n,)
    sizes: npt.NDArray[np.int32]  # (n, 2)
    first_folders: frozenset[str] | None
    has_backslashes: bool
    sha256: str
    coordinates: str | None = None

    @classmethod
    def read(cls, path: Path, categories: tuple[str, ...] = ()) -> "BoxIndex":
        """Read a file as a stream; a pipe is copied to a temporary file first.

        It is read as what `fastblur detect` writes, what the page of `fastblur audit` saves, ILSVRC face annotations or
        COCO, by its name and how it begins; of COCO, the boxes of `categories` only, if any are given. Raises
        UsageError for content that does not fit or a key that comes twice, FileError where the system refuses to read
        it.
        """
        try:
            with regular_file(path) as file:
                return cls._read(file, categories)
        except OSError as error:
            raise FileError(f"boxes file {path} cannot be read: {error_reason(error)}") from error

    @classmethod
    def _read(cls, path: Path, categories: tuple[str, ...]) -> "BoxIndex":
        names, name_ends, hashes, values = bytearray(), array("q", [0]), array("Q"), array("f")
        box_ends, unsearched, sizes = array("q", [0]), array("b"), array("i")
        folders: set[str] = set()
        has_backslashes = False
        for key, boxes, size in _read(path, categories):
            key = posixpath.normpath(key)
            first, slash, _ = key.replace("\\", "/").partition("/")
            if slash and len(folders) <= MANY:
                folders.add(first)
            has_backslashes |= "\\" in key
            name = _encoded(key)
            names += name
            name_ends.append(len(names))
            hashes.append(_hash(name))
            if boxes is not None and len(boxes):
                values.extend(boxes.ravel().tolist())
            box_ends.append(len(values) // 4)
            unsearched.append(boxes is None)
            sizes.extend(size or (0, 0))
        given = np.array(hashes, np.uint64)
        order = np.argsort(given, kind="stable").astype(np.int32)
        index = cls(
            names=np.frombuffer(bytes(names), np.uint8),
            name_ends=np.array(name_ends, np.int64),
            hashes=given[order],
            entries=order,
            boxes=np.array(values, np.float32).reshape(-1, 4),
            box_ends=np.array(box_ends, np.int64),
            unsearched=np.array(unsearched, bool),
            sizes=np.array(sizes, np.int32).reshape(-1, 2),
            first_folders=frozenset(folders) if len(folders) <= MANY else None,
            has_backslashes=has_backslashes,
            sha256=sha256(path),
            coordinates="stored" if is_judgements(path) or is_detections(path) else None,
        )
        index._refuse_duplicates(path)
        return index

    def __len__(self) -> int:
        """Return the number of images that the file names."""
        return len(self.entries)

    def has_folder(self, first: str) -> bool:
        """Return whether a key may begin with this folder."""
        return self.first_folders is None or first in self.first_folders

    def find(self, key: str) -> int | None:
        """Return the entry of a key, None where there is none."""
        first, slash, _ = key.partition("/")
        if slash and not self.has_folder(first):
            return None
        name = _encoded(key)
        wanted = _hash(name)
        # Views give plain numbers, several times faster than arrays do.
        hashes, entries, ends, names = self.hashes.data, self.entries.data, self.name_ends.data, self.names.data
        at = bisect_left(hashes, wanted)
        while at < len(hashes) and hashes[at] == wanted:
            entry: int = entries[at]
            if names[ends[entry] : ends[entry + 1]] == name:
                return entry
            at += 1
        return None

    def key(self, entry: int) -> str:
        """Return an entry's key."""
        name: bytes = self.names[self.name_ends[entry] : self.name_ends[entry + 1]].tobytes()
        return name.decode("utf-8", "surrogatepass")

    def boxes_of(self, entry: int) -> Boxes | None:
        """Return an entry's boxes, (n, 4) float32 xyxy; None where the image could not be searched."""
        if self.unsearched[entry]:
            return None
        boxes: Boxes = self.boxes[self.box_ends[entry] : self.box_ends[entry + 1]]
        return boxes

    def size_of(self, entry: int) -> Size | None:
        """Return the size that the file states for an entry's image, if it does."""
        width, height = self.sizes[entry].tolist()
        return (width, height) if width else None

    def _refuse_duplicates(self, path: Path) -> None:
        same: Any = self.hashes[1:] == self.hashes[:-1]
        keys: set[str] = set()
        for at in np.flatnonzero(np.append(same, False) | np.append(False, same)):  # hardly any
            key = self.key(int(self.entries[at]))
            if key in keys:
                raise UsageError(f"boxes file {path} names {key!r} twice, expected one entry an image")
            keys.add(key)


def _read(path: Path, categories: tuple[str, ...]) -> Iterator[tuple[str, Boxes | None, Size | None]]:
    coco = not is_detections(path) and is_coco(path)
    if categories and not coco:
        raise UsageError(f"boxes file {path} is not COCO, expected --box-category left out: it has no categories")
    if coco:
        return read_coco(path, categories)
    if is_judgements(path):
        return ((one.image, one.boxes, one.size) for one in read_judgements(path))
    if is_detections(path):
        return read_detections(path)
    return ((key, boxes, None) for key, boxes in read_ilsvrc(path))


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _hash(name: bytes) -> int:
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")

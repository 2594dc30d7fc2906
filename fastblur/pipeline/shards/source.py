"""Where images come from: a folder tree, listed lazily, or one file; on this machine or at a URL."""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from fastblur.codecs import SUFFIXES
from fastblur.errors import FileError, UsageError
from fastblur.pipeline.shards.folder import IMAGES, FolderShard
from fastblur.pipeline.shards.interfaces import Item, Shard
from fastblur.pipeline.shards.table import shard as tables
from fastblur.pipeline.shards.tar import shard as tars
from fastblur.pipeline.storage.paths import error_reason, filesystem, is_url, open_file, strip_file_scheme

KINDS = {
    "images": SUFFIXES,
    "webdataset": tars.SUFFIXES,
    "table": tables.SUFFIXES,
}
"""The endings of names, in lower case, of each kind of file."""
KIND_NAMES = {
    None: "file of images",
    "images": "image file",
    "webdataset": "tar file",
    "table": "Parquet or Arrow file",
}
FEW = 400  # images that threads finish in the time that processes take to start
IMAGE_BYTES = 50_000  # what an image takes in a tar or table file, about


class Source:
    """The images of a folder tree or of one file: image, tar, Parquet and Arrow files, by their names.

    Each iteration lists the files again, a folder at a time, sorted by name within each. Links to folders are not
    followed and links that lead out of the tree are not read: both become items with a problem, as does a folder that
    cannot be listed.

    Args:
        path: the folder or file, or its URL.
        format: "images", "webdataset" or "table" to take files of one kind only, None for all kinds.
        column, boxes: as `TableShard` takes them.

    Attributes:
        path: the folder or file, absolute, or its URL.
        root: the folder that names are relative to.
        is_file: whether the source is one file.
        others: how many files of no kind that is taken the listing has passed so far.

    Raises ValueError where there is no such folder or file, or the file's name is of no kind that is taken.
    """

    def __init__(
        self, path: Path | str, format: str | None = None, column: str | None = None, boxes: str | None = None
    ) -> None:
        if format not in (None, *KINDS):
            raise UsageError(f"format is {format!r}, expected {', '.join(KINDS)} or none to tell it from the names")
        path = strip_file_scheme(path)
        self.format, self.others = format, 0
        self._column, self._boxes = column, boxes
        self.path = str(path) if is_url(path) else os.path.abspath(path)
        self._tree: _Local | _Remote = _Remote(str(path)) if is_url(path) else _Local(Path(path))
        self.is_file, self.root = self._tree.file is not None, self._tree.root
        if self._tree.file is not None and not self.takes(self._tree.file):
            raise UsageError(
                f"SRC {str(path)!r} is no {KIND_NAMES[format]}, expected a name ending in "
                + ", ".join(end for kind, ends in KINDS.items() if format in (None, kind) for end in ends)
            )

    @property
    def is_image(self) -> bool:
        """Whether the source is one image file."""
        return self._tree.file is not None and is_image_name(self._tree.file)

    def takes(self, name: str) -> bool:
        """Return whether a file of this name is worked on."""
        return any(name.lower().endswith(ends) for kind, ends in KINDS.items() if self.format in (None, kind))

    def __iter__(self) -> Iterator[Item]:
        """Yield every file that is worked on."""
        self.others = 0
        if self._tree.file is not None:
            yield self._tree.regular(self._tree.file)
            return
        folders = [""]
        while folders:
            below = []
            for name, is_folder, problem in self._tree.entries(folders.pop()):
                if is_folder:
                    below.append(name)
                elif problem is not None and (problem.always or self.takes(name)):
                    yield Item(name, self._tree.path(name), str(problem))
                elif self.takes(name):
                    yield Item(name, self._tree.path(name))
                else:
                    self.others += 1
            folders += reversed(below)

    def shards(self) -> Iterator[Shard]:
        """Yield the shards in the order of the listing: each tar and table file, and images in groups of about 200."""
        images: list[Item] = []
        folder = ""
        for item in self:
            if len(images) == IMAGES or (len(images) >= IMAGES // 2 and item.name.rpartition("/")[0] != folder):
                yield FolderShard(tuple(images))
                images = []
            folder = item.name.rpartition("/")[0]
            if item.problem is not None or is_image_name(item.name):
                images.append(item)
                continue
            if images:
                yield FolderShard(tuple(images))
                images = []
            opened, stamp = partial(open_file, item.path), self._tree.stamp(item.name)
            if item.name.lower().endswith(KINDS["webdataset"]):
                yield tars.TarShard(item.name, opened, stamp)
            else:
                yield tables.TableShard(item.name, opened, stamp, column=self._column, boxes=self._boxes)
        if images:
            yield FolderShard(tuple(images))

    def is_small(self) -> bool:
        """Return whether there are but a few images: not worth starting processes for."""
        room = FEW
        for item in self:
            room -= 1 if is_image_name(item.name) else self._tree.size(item.name) // IMAGE_BYTES
            if room < 0:
                return False
        return True

    def images(self) -> int | None:
        """Count the images, listing the files once more; None where some are in tar or table files."""
        count = 0
        for item in self:
            if item.problem is None and not is_image_name(item.name):
                return None
            count += 1
        return count


class _Problem(str):
    """Why a file must not be read; `always`: whatever its name."""

    always = False


class _FolderProblem(_Problem):
    always = True


Entries = Iterator[tuple[str, bool, _Problem | None]]  # name below the root, whether it is a folder, what is wrong


class _Local:
    """A folder or file of this machine."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UsageError(f"SRC {str(path)!r} does not exist, expected a folder or a file")
        absolute = Path(os.path.abspath(path))
        self.file = None if path.is_dir() else path.name
        self.root = absolute if path.is_dir() else absolute.parent
        self._real_root = os.path.realpath(self.root)

    def path(self, name: str) -> str:
        return os.path.join(self.root, name)

    def size(self, name: str) -> int:
        try:
            return os.stat(self.path(name)).st_size
        except OSError:
            return 0

    def stamp(self, name: str) -> str:
        try:
            status = os.stat(self.path(name))
        except OSError as error:
            return f"gone: {error.strerror}"  # reading it will fail with the same
        return f"{status.st_size} {status.st_mtime_ns}"

    def regular(self, name: str) -> Item:
        problem = self._problem(name)
        return Item(name, self.path(name), None if problem is None else str(problem))

    def entries(self, folder: str) -> Entries:
        try:
            with os.scandir(os.path.join(self.root, folder)) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            yield folder or ".", False, _FolderProblem(f"the folder cannot be listed: {error.strerror}")
            return
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if name != ".fastblur":
                    yield name, True, None
            elif entry.is_symlink():
                yield name, False, self._link_problem(name)
            elif not entry.is_file(follow_symlinks=False):
                yield name, False, _Problem("is not a regular file")
            else:
                yield name, False, None

    def _link_problem(self, name: str) -> _Problem | None:
        if os.path.isdir(self.path(name)):
            return _FolderProblem("is a link to a folder; these are not followed")
        real = os.path.realpath(self.path(name))
        if os.path.commonpath((real, self._real_root)) != self._real_root:
            return _Problem("is a link that leaves SRC")
        return self._problem(name)

    def _problem(self, name: str) -> _Problem | None:
        try:  # reading a pipe or a device would never end
            regular = stat.S_ISREG(os.stat(self.path(name)).st_mode)
        except OSError as error:
            return _Problem(f"is a link that leads nowhere: {error.strerror}")
        return None if regular else _Problem("is not a regular file")


class _Remote:
    """A folder or object at a URL."""

    def __init__(self, url: str) -> None:
        self._system, path = filesystem(url)
        self._scheme = url.partition("://")[0]
        try:
            kind = self._system.info(path)["type"]
        except FileNotFoundError:
            raise UsageError(f"SRC {url!r} does not exist, expected a folder or a file") from None
        except OSError as error:
            raise FileError(f"SRC {url!r} cannot be read: {error_reason(error)}") from error
        folder, _, name = path.rpartition("/")
        self.file = name if kind == "file" else None
        self._path = folder if kind == "file" else path
        self.root = Path("/" + self._path.lstrip("/"))  # whose parts box files' keys may begin with

    def path(self, name: str) -> str:
        return f"{self._scheme}://{self._path}/{name}"

    def size(self, name: str) -> int:
        try:
            return int(self._system.info(f"{self._path}/{name}").get("size") or 0)
        except OSError:
            return 0

    def stamp(self, name: str) -> str:
        try:
            info: dict[str, Any] = self._system.info(f"{self._path}/{name}")
        except OSError as error:
            return f"gone: {error}"  # reading it will fail with the same
        changed = next((info[key] for key in ("ETag", "etag", "md5Hash", "LastModified", "created") if key in info), "")
        return f"{info.get('size')} {changed}"

    def regular(self, name: str) -> Item:
        return Item(name, self.path(name))

    def entries(self, folder: str) -> Entries:
        path = f"{self._path}/{folder}" if folder else self._path
        try:
            found = self._system.ls(path, detail=True)
        except OSError as error:
            yield folder or ".", False, _FolderProblem(f"the folder cannot be listed: {error}")
            return
        for entry in sorted(found, key=lambda entry: entry["name"]):
            last = entry["name"].rstrip("/").rpartition("/")[2]
            name = f"{folder}/{last}" if folder else last
            itself = entry["name"].strip("/") == path.strip("/")  # as object stores keep an empty folder
            if name != ".fastblur" and not itself:
                yield name, entry["type"] == "directory", None


def is_image_name(name: str) -> bool:
    """Return whether the name ends as an image's does."""
    return os.path.splitext(name)[1].lower() in SUFFIXES

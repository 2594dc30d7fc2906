"""A source as a tree of files, listed a folder at a time: on this machine, at a URL, or several of them as one."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fastblur.errors import FileError, UsageError
from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.storage.paths import error_reason, filesystem, is_url, strip_file_scheme


class Problem(str):
    """Why a file must not be read; `always`: whatever its name."""

    always = False


class FolderProblem(Problem):
    """Why a folder must not be read."""

    always = True


Entries = Iterator[tuple[str, bool, Problem | None]]  # name below the root, whether it is a folder, what is wrong


class LocalTree:
    """A folder or file of this machine.

    Args:
        path: of it.
        called: what the user calls it, for sentences.
        links: whether links may be in it; those that leave it never may.

    Attributes:
        location: its absolute path.
        file: its name if it is a file, else None.
        root: the folder that names are relative to.
    """

    def __init__(self, path: Path, called: str = "SRC", *, links: bool = True) -> None:
        if not path.exists():
            raise UsageError(f"{called} {str(path)!r} does not exist, expected a folder or a file")
        self._called, self._links = called, links
        absolute = Path(os.path.abspath(path))
        self.location = str(absolute)
        self.file = None if path.is_dir() else path.name
        self.root = absolute if path.is_dir() else absolute.parent
        self._real_root = os.path.realpath(self.root)

    def path(self, name: str) -> str:
        """Return a file's path or URL."""
        return os.path.join(self.root, name)

    def size(self, name: str) -> int:
        """Return a file's size in bytes; 0 where it cannot be had."""
        try:
            return os.stat(self.path(name)).st_size
        except OSError:
            return 0

    def stamp(self, name: str) -> str:
        """Return a text that differs when the file may have changed."""
        try:
            status = os.stat(self.path(name))
        except OSError as error:
            return f"gone: {error.strerror}"  # reading it will fail with the same
        return f"{status.st_size} {status.st_mtime_ns}"

    def regular(self, name: str) -> Item:
        """Return the item of a file, with what is wrong with it."""
        problem = self._problem(name)
        return Item(name, self.path(name), None if problem is None else str(problem))

    def entries(self, folder: str) -> Entries:
        """Yield what is in a folder, sorted by name."""
        try:
            with os.scandir(os.path.join(self.root, folder)) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name)
        except OSError as error:
            yield folder or ".", False, FolderProblem(f"the folder cannot be listed: {error.strerror}")
            return
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                if name != ".fastblur":
                    yield name, True, None
            elif entry.is_symlink():
                yield name, False, self._link_problem(name)
            elif not entry.is_file(follow_symlinks=False):
                yield name, False, Problem("is not a regular file")
            else:
                yield name, False, None

    def _link_problem(self, name: str) -> Problem | None:
        if not self._links:
            return Problem("is a link")
        if os.path.isdir(self.path(name)):
            return FolderProblem("is a link to a folder; these are not followed")
        real = os.path.realpath(self.path(name))
        if os.path.commonpath((real, self._real_root)) != self._real_root:
            return Problem(f"is a link that leaves {self._called}")
        return self._problem(name)

    def _problem(self, name: str) -> Problem | None:
        try:  # reading a pipe or a device would never end
            regular = stat.S_ISREG(os.stat(self.path(name)).st_mode)
        except OSError as error:
            return Problem(f"is a link that leads nowhere: {error.strerror}")
        return None if regular else Problem("is not a regular file")


class RemoteTree:
    """A folder or object at a URL; attributes as `LocalTree`, its location the URL."""

    def __init__(self, url: str, called: str = "SRC") -> None:
        self._system, path = filesystem(url)
        self._scheme = url.partition("://")[0]
        try:
            kind = self._system.info(path)["type"]
        except FileNotFoundError:
            raise UsageError(f"{called} {url!r} does not exist, expected a folder or a file") from None
        except OSError as error:
            raise FileError(f"{called} {url!r} cannot be read: {error_reason(error)}") from error
        folder, _, name = path.rpartition("/")
        self.location = url
        self.file = name if kind == "file" else None
        self._path = folder if kind == "file" else path
        self.root = Path("/" + self._path.lstrip("/"))  # whose parts box files' keys may begin with

    def path(self, name: str) -> str:
        """Return a file's path or URL."""
        return f"{self._scheme}://{self._path}/{name}"

    def size(self, name: str) -> int:
        """Return a file's size in bytes; 0 where it cannot be had."""
        try:
            return int(self._system.info(f"{self._path}/{name}").get("size") or 0)
        except OSError:
            return 0

    def stamp(self, name: str) -> str:
        """Return a text that differs when the file may have changed."""
        try:
            info: dict[str, Any] = self._system.info(f"{self._path}/{name}")
        except OSError as error:
            return f"gone: {error}"  # reading it will fail with the same
        changed = next((info[key] for key in ("ETag", "etag", "md5Hash", "LastModified", "created") if key in info), "")
        return f"{info.get('size')} {changed}"

    def regular(self, name: str) -> Item:
        """Return the item of a file, with what is wrong with it."""
        return Item(name, self.path(name))

    def entries(self, folder: str) -> Entries:
        """Yield what is in a folder, sorted by name."""
        path = f"{self._path}/{folder}" if folder else self._path
        try:
            found = self._system.ls(path, detail=True)
        except OSError as error:
            yield folder or ".", False, FolderProblem(f"the folder cannot be listed: {error}")
            return
        for entry in sorted(found, key=lambda entry: entry["name"]):
            last = entry["name"].rstrip("/").rpartition("/")[2]
            name = f"{folder}/{last}" if folder else last
            itself = entry["name"].strip("/") == path.strip("/")  # as object stores keep an empty folder
            if name != ".fastblur" and not itself:
                yield name, entry["type"] == "directory", None


Tree = LocalTree | RemoteTree


class SeveralTrees:
    """Several folders and files as one tree, each under its own name, as if they were entries of one folder.

    Args:
        trees: at least two.

    Attributes:
        file: None, for it is no file.
        root: the folder in which all of them lie; where they do not lie in one, a path that says of no folder what it
            is called, so that names are looked up in boxes files as they are.

    Raises UsageError where two have the same name, or one has none.
    """

    file = None

    def __init__(self, trees: Sequence[Tree]) -> None:
        self._trees: dict[str, Tree] = {}
        for tree in trees:
            name = tree.location.rstrip("/").rpartition("/")[2] if tree.file is None else tree.file
            if name in ("", ".fastblur"):
                raise UsageError(f"SRC {tree.location!r} has no name of its own for DST, expected it as the only one")
            if name in self._trees:
                raise UsageError(
                    f"SRC {self._trees[name].location!r} and {tree.location!r} would both become {name!r} of DST, "
                    "expected different names"
                )
            self._trees[name] = tree
        folders = {tree.root if tree.file is not None else tree.root.parent for tree in trees}
        same_kind = len({is_url(tree.location) for tree in trees}) == 1
        self.root = folders.pop() if same_kind and len(folders) == 1 else Path()

    def path(self, name: str) -> str:
        """Return a file's path or URL."""
        tree, rest = self._inside(name)
        return tree.path(rest)

    def size(self, name: str) -> int:
        """Return a file's size in bytes; 0 where it cannot be had."""
        tree, rest = self._inside(name)
        return tree.size(rest)

    def stamp(self, name: str) -> str:
        """Return a text that differs when the file may have changed."""
        tree, rest = self._inside(name)
        return tree.stamp(rest)

    def entries(self, folder: str) -> Entries:
        """Yield what is in a folder, sorted by name."""
        if not folder:
            for name, tree in sorted(self._trees.items()):
                problem = None if tree.file is None else tree.regular(tree.file).problem
                yield name, tree.file is None, None if problem is None else Problem(problem)
            return
        first, _, rest = folder.partition("/")
        for name, is_folder, problem in self._trees[first].entries(rest):
            yield first if name == "." else f"{first}/{name}", is_folder, problem

    def _inside(self, name: str) -> tuple[Tree, str]:
        """Return the tree that a file is in, and its name there."""
        first, slash, rest = name.partition("/")
        return self._trees[first], rest if slash else first


def open_tree(path: Path | str) -> Tree:
    """Return the tree of a path or URL; raises UsageError and FileError where there is none."""
    path = strip_file_scheme(path)
    return RemoteTree(path) if is_url(path) else LocalTree(Path(path))

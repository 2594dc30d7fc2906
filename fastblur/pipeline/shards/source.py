"""Where images come from: folder trees, listed lazily, and files; on this machine or at a URL."""

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from fastblur.codecs import SUFFIXES
from fastblur.errors import UsageError
from fastblur.options import BoxFormat
from fastblur.pipeline.shards.content import (
    HEAD_BYTES,
    is_named_as_other_image,
    is_named_as_text,
    unsearched_kind,
    unsearched_problem,
)
from fastblur.pipeline.shards.few import FEW, IMAGE_BYTES
from fastblur.pipeline.shards.folder import IMAGES, FolderShard
from fastblur.pipeline.shards.interfaces import Item, Shard
from fastblur.pipeline.shards.table import shard as tables
from fastblur.pipeline.shards.tar import names as tar_names
from fastblur.pipeline.shards.tar.shard import TarShard
from fastblur.pipeline.shards.tree import SeveralTrees, open_tree
from fastblur.pipeline.storage.paths import error_reason, open_file

KINDS = {
    "images": SUFFIXES,
    "webdataset": tar_names.SUFFIXES,
    "table": tables.SUFFIXES,
}
"""The endings of names, in lower case, of each kind of file."""
KIND_NAMES = {
    None: "file of images",
    "images": "image file",
    "webdataset": "tar file",
    "table": "Parquet or Arrow file",
}


class Source:
    """The images of a folder tree or of one file: image, tar, Parquet and Arrow files, by their names.

    Several folders and files are taken as one folder that holds them all under their own names, as `cp -r` takes them.

    Each iteration lists the files again, a folder at a time, sorted by name within each. Links to folders are not
    followed and links that lead out of the tree are not read: both become items with a problem, as does a folder that
    cannot be listed.

    Args:
        path: the folder or file, or its URL; or several.
        format: "images", "webdataset" or "table" to take files of one kind only, None for all kinds.
        columns, boxes, box_format: as `TableShard` takes them.
        others: what happens to files that may hold images and are not searched: "fail", "copy" or "skip". Texts, hidden
            files, and files of a kind that `format` leaves out, are copied with "copy" and else passed.
        members: as `MemberRules` has them.

    Attributes:
        inputs: the folders and files, a tree each.
        root: the folder that names are relative to.
        passed: how many files that are not taken the listing has passed so far.

    Raises UsageError where there is no such folder or file, one file's name is of no kind that is taken, or
    several would have the same name.
    """

    def __init__(
        self,
        path: Path | str | Sequence[Path | str],
        format: str | None = None,
        columns: tuple[str, ...] = (),
        boxes: str | None = None,
        box_format: BoxFormat | None = None,
        *,
        others: str = "fail",
        members: tuple[str, ...] = (),
    ) -> None:
        if format not in (None, *KINDS):
            raise UsageError(f"format is {format!r}, expected {', '.join(KINDS)} or none to tell it from the names")
        self.format, self.passed = format, 0
        self._columns, self._boxes, self._others, self._members = columns, boxes, others, members
        self._box_format = box_format
        paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
        if not paths:
            raise UsageError("SRC is an empty list, expected at least one folder or file")
        self.inputs = [open_tree(one) for one in paths]
        self._tree = self.inputs[0] if len(paths) == 1 else SeveralTrees(self.inputs)
        self.root = self._tree.root
        if self._tree.file is not None and not self.takes(self._tree.file):
            raise UsageError(
                f"SRC {str(paths[0])!r} is no {KIND_NAMES[format]}, expected a name ending in "
                + ", ".join(end for kind, ends in KINDS.items() if format in (None, kind) for end in ends)
            )

    @property
    def parameter(self) -> str | list[str]:
        """The source as the journal records it: where it is, or, of several, where they are, in one order."""
        locations = sorted(tree.location for tree in self.inputs)
        return locations if len(locations) > 1 else locations[0]

    @property
    def is_image(self) -> bool:
        """Whether the source is one image file."""
        return self._tree.file is not None and is_image_name(self._tree.file)

    def takes(self, name: str) -> bool:
        """Return whether a file of this name is worked on."""
        return any(name.lower().endswith(ends) for kind, ends in KINDS.items() if self.format in (None, kind))

    def __iter__(self) -> Iterator[Item]:
        """Yield every file that is worked on, and those that fail or are copied because they are not."""
        self.passed = 0
        for item in self._listed():
            if item is None:
                self.passed += 1
            else:
                yield item

    def _listed(self) -> Iterator[Item | None]:
        """Yield as iterating does, and None for a file that is passed."""
        if not isinstance(self._tree, SeveralTrees) and self._tree.file is not None:
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
                    yield self._other(name, problem)
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
            if item.problem is not None or item.unsearched is not None or is_image_name(item.name):
                images.append(item)
                continue
            if images:
                yield FolderShard(tuple(images))
                images = []
            opened, stamp = partial(open_file, item.path), self._tree.stamp(item.name)
            if item.name.lower().endswith(KINDS["webdataset"]):
                yield TarShard(item.name, opened, stamp, self._others, self._members)
            else:
                yield tables.TableShard(
                    item.name,
                    opened,
                    stamp,
                    columns=self._columns,
                    boxes=self._boxes,
                    box_format=self._box_format,
                    others=self._others,
                )
        if images:
            yield FolderShard(tuple(images))

    def is_small(self) -> bool:
        """Return whether there are but a few images: not worth starting processes for."""
        room = FEW
        for item in self:
            container = item.problem is None and item.unsearched is None and not is_image_name(item.name)
            room -= self._tree.size(item.name) // IMAGE_BYTES if container else 1
            if room < 0:
                return False
        return True

    def images(self) -> int | None:
        """Count the images, listing the files once more; None where some are in tar or table files."""
        count = 0
        for item in self._listed():  # which leaves the count of those passed alone: others may be iterating
            if item is None or item.unsearched is not None:
                continue
            if item.problem is None and not is_image_name(item.name):
                return None
            count += 1
        return count

    def _other(self, name: str, problem: str | None) -> Item | None:
        """Return what becomes of a file that is not taken; None where it is passed."""
        path = self._tree.path(name)
        if self._others == "copy":
            return Item(name, path, None if problem is None else str(problem), unsearched="copy")
        if self._is_state(name) and problem is None and self._kind(name, path) is None:
            return Item(name, path, unsearched="copy")
        hidden = any(part.startswith(".") for part in name.split("/"))
        if self._others == "skip" or self.format is not None or hidden or is_named_as_text(name):
            return None
        if problem is not None:
            return Item(name, path, str(problem))
        kind = self._kind(name, path)
        return None if kind is None else Item(name, path, unsearched_problem(kind))

    def _is_state(self, name: str) -> bool:
        """Return whether a file says what the Arrow files next to it are: without it they cannot be loaded."""
        if self.format not in (None, "table") or os.path.basename(name) not in tables.STATE_FILES:
            return False
        return self._tree.size(name) <= HEAD_BYTES  # all of it is looked at

    def _kind(self, name: str, path: str) -> str | None:
        """Return what a file is that may hold images; None for a text."""
        if is_named_as_other_image(name):
            return "an image of a format that is not worked on"
        try:
            with open_file(path) as file:
                return unsearched_kind(file.read(HEAD_BYTES), whole=False)
        except OSError as error:
            return f"a file that cannot be read ({error_reason(error)})"


def is_image_name(name: str) -> bool:
    """Return whether the name ends as an image's does."""
    return os.path.splitext(name)[1].lower() in SUFFIXES

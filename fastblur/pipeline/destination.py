"""Whether an output may be made where the user wants it."""

import os
from dataclasses import dataclass
from pathlib import Path

from fastblur.errors import FileError, UsageError
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.execution.journal import FOLDER, RUN
from fastblur.pipeline.shards.source import Source, is_image_name
from fastblur.pipeline.storage.paths import error_reason, filesystem, is_url
from fastblur.pipeline.storage.remote import RemoteSink
from fastblur.pipeline.storage.sink import Sink


@dataclass(frozen=True)
class Destination:
    """Where the output of a run is made.

    Attributes:
        root: the folder, or the URL.
        rename: the name that one image file gets there; None for its own.
    """

    root: str
    rename: str | None = None


def check_destination(config: RunConfig, source: Source) -> Destination:
    """Return where a run's output goes; nothing is made or changed here.

    Raises UsageError where the output would lie in the source, or hold it, or replace files without `overwrite`, or
    where the summary cannot be written. Of a URL `check_remote_destination` says more, once its sink is open.
    """
    if is_url(config.destination):
        destination, root = Destination(config.destination), None
    else:
        destination = _check_local(Path(config.destination), source, config.overwrite)
        root = Path(destination.root)
    if config.report is not None:
        _check_report(Path(config.report), root, source, config.boxes)
    return destination


def check_remote_destination(sink: Sink, source: Source, *, overwrite: bool) -> None:
    """Raise UsageError where an output at a URL would lie in the source, or hold it, or be made among other objects.

    The last is allowed with `overwrite`.
    """
    if not isinstance(sink, RemoteSink):
        return
    for tree in source.inputs:
        if not is_url(tree.location):
            continue
        (ours, here), (theirs, there) = filesystem(sink.path("")), filesystem(tree.location)
        folder, _, name = there.rpartition("/")
        if ours == theirs and source.is_image and f"{here}/{name}" == there:
            raise UsageError(f"DST {sink.path('')!r} would replace SRC itself, expected another place")
        if ours == theirs and not source.is_image:
            is_file = tree.file is not None
            _check_apart(sink.path(""), here, folder if is_file else there, is_file)
    if not overwrite:
        try:
            names = sink.names("")
        except OSError as error:
            raise FileError(f"DST {sink.path('')} cannot be read: {error_reason(error)}") from error
        if names and FOLDER not in names:
            raise UsageError(
                f"DST {sink.path('')} is not empty and holds no run to go on with, expected an empty or new one, or "
                "--overwrite"
            )


def _check_local(path: Path, source: Source, overwrite: bool) -> Destination:
    if source.is_image:
        return _for_image(path, source.inputs[0].location, overwrite)
    if path.exists() and not path.is_dir():
        raise UsageError(f"DST {str(path)!r} is a file, expected a folder")
    if len(source.inputs) > 1 and is_image_name(path.name) and not path.exists():
        raise UsageError(f"DST {str(path)!r} is named as an image, expected a folder for {len(source.inputs)} inputs")
    for tree in source.inputs:
        if not is_url(tree.location):
            _check_apart(str(path), os.path.realpath(path), os.path.realpath(tree.root), tree.file is not None)
    return _for_folder(path, overwrite)


def _check_report(path: Path, root: Path | None, source: Source, boxes: str | None) -> None:
    """Raise UsageError where the summary cannot be written, or would replace an image or the boxes file.

    It may lie in the output, which is made by then.
    """
    if source.takes(path.name) or (boxes is not None and os.path.realpath(path) == os.path.realpath(boxes)):
        raise UsageError(f"the summary would be written to {str(path)!r}, expected a name of its own, as summary.json")
    if path.is_dir() or path == root or not (path.parent.is_dir() or path.parent == root):
        raise UsageError(
            f"the summary cannot be written to {str(path)!r}, expected a file's name in a folder that exists"
        )


def _for_image(path: Path, source: str, overwrite: bool) -> Destination:
    name, suffix = os.path.basename(source), os.path.splitext(source)[1]
    rename = path.name if is_image_name(path.name) and not path.is_dir() else None
    if rename and path.suffix.lower() != suffix.lower():
        raise UsageError(f"DST {str(path)!r} has another suffix than SRC, expected {suffix}: the format is kept")
    root = path.parent if rename else path
    if root.exists() and not root.is_dir():
        raise UsageError(f"DST {str(path)!r} is a file or lies in one, expected a folder or an image file's name")
    target = root / (rename or name)
    if not is_url(source) and target.exists() and target.samefile(source):
        raise UsageError(f"DST {str(path)!r} would replace SRC itself, expected another place")
    if os.path.lexists(target) and not overwrite:
        raise UsageError(f"{str(target)!r} is already there, expected a new name or --overwrite")
    return Destination(str(root), rename)


def _for_folder(path: Path, overwrite: bool) -> Destination:
    if path.is_dir() and not overwrite and not (path / RUN).exists():
        with os.scandir(path) as entries:
            if any(entry.name != FOLDER for entry in entries):
                raise UsageError(
                    f"DST {str(path)!r} is not empty and holds no run to go on with, expected an empty or new folder, "
                    "or --overwrite"
                )
    return Destination(str(path))


def _check_apart(shown: str, here: str, there: str, is_file: bool) -> None:
    """Raise UsageError where one of the output `here` and the source `there`, real paths, lies in the other.

    Of a source that is one file, `there` is its folder, in which the output may well get a folder of its own.
    """
    if is_file:
        if here == there:
            raise UsageError(f"DST {shown!r} is the folder of SRC, which would be replaced, expected another folder")
        return
    if _is_within(here, there) or _is_within(there, here):
        relation = "is SRC" if here == there else "lies in SRC" if _is_within(here, there) else "holds SRC"
        raise UsageError(f"DST {shown!r} {relation}, expected a folder of its own")


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith((root.rstrip(os.sep) + os.sep, root.rstrip("/") + "/"))

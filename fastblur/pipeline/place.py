"""Whether an output may be made where the user wants it."""

import os
from pathlib import Path

from fastblur.pipeline.journal import FOLDER, RUN
from fastblur.pipeline.sink import LocalSink, RemoteSink
from fastblur.pipeline.source import Source, is_image_name


def place(path: Path, source: Source, *, overwrite: bool) -> tuple[Path, str | None]:
    """Return the root of the output on this machine and, for one image file that gets a name of its own, that name.

    Raises ValueError where the output would lie in the source, or hold it, or replace files without `overwrite`.
    Nothing is made or changed here.
    """
    if source.is_image:
        return _for_image(path, Path(source.path), overwrite)
    if path.exists() and not path.is_dir():
        raise ValueError(f"DST {str(path)!r} is a file, expected a folder")
    return _for_folder(path, source.root, overwrite), None


def place_remote(sink: LocalSink | RemoteSink, *, overwrite: bool) -> None:
    """Raise ValueError where an output at a URL would be made among other objects without `overwrite`."""
    if isinstance(sink, RemoteSink) and not overwrite:
        names = sink.names("")
        if names and FOLDER not in names:
            raise ValueError(
                f"DST {sink.path('')} is not empty and holds no run to go on with, expected an empty or new one, or "
                "--overwrite"
            )


def check_report(report: str | Path | None, root: Path | None) -> None:
    """Raise ValueError where the summary cannot be written; it may lie in the output, which is made by then."""
    if report is None:
        return
    path = Path(report)
    if path.is_dir() or not (path.parent.is_dir() or path.parent == root):
        raise ValueError(
            f"the summary cannot be written to {str(path)!r}, expected a file's name in a folder that exists"
        )


def _for_image(path: Path, source: Path, overwrite: bool) -> tuple[Path, str | None]:
    rename = path.name if is_image_name(path.name) and not path.is_dir() else None
    if rename and path.suffix.lower() != source.suffix.lower():
        raise ValueError(f"DST {str(path)!r} has another suffix than SRC, expected {source.suffix}: the format is kept")
    root = path.parent if rename else path
    if root.exists() and not root.is_dir():
        raise ValueError(f"DST {str(path)!r} is a file or lies in one, expected a folder or an image file's name")
    target = root / (rename or source.name)
    if target.exists() and target.samefile(source):
        raise ValueError(f"DST {str(path)!r} would replace SRC itself, expected another place")
    if os.path.lexists(target) and not overwrite:
        raise ValueError(f"{str(target)!r} is already there, expected a new name or --overwrite")
    return root, rename


def _for_folder(path: Path, source: Path, overwrite: bool) -> Path:
    here, there = os.path.realpath(path), os.path.realpath(source)
    if is_within(here, there) or is_within(there, here):
        relation = "is SRC" if here == there else "lies in SRC" if is_within(here, there) else "holds SRC"
        raise ValueError(f"DST {str(path)!r} {relation}, expected a folder of its own")
    if path.is_dir() and not overwrite and not (path / RUN).exists():
        with os.scandir(path) as entries:
            if any(entry.name != FOLDER for entry in entries):
                raise ValueError(
                    f"DST {str(path)!r} is not empty and holds no run to go on with, expected an empty or new folder, "
                    "or --overwrite"
                )
    return path


def is_within(path: str, root: str) -> bool:
    """Return whether the real path `path` is `root` or lies below it."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)

"""Files by path or URL: reading them, and what an error of reading or writing means."""

import errno
import os
import stat
from typing import Any, BinaryIO, cast

from fastblur.errors import UsageError
from fastblur.need import MissingPackage, need

IMAGE_BYTES = 1 << 34  # of an image's file that is read again, at most

# Errors about one name. Any other error of the system is about the folder or disk, and every file would meet it.
_NAME_ERRORS = {
    errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ELOOP
}  # fmt: skip


def is_name_error(error: Exception) -> bool:
    """Return whether an error of a sink is about one file's name, so that others may still be written."""
    return not isinstance(error, OSError) or error.errno in _NAME_ERRORS


def error_reason(error: Exception) -> str:
    """Return what went wrong, for people: of an error of the system its text alone, without number and path."""
    return str(getattr(error, "strerror", None) or error)


def is_url(path: str | os.PathLike[str]) -> bool:
    """Return whether the path is a URL as s3://bucket/folder, which fsspec opens."""
    return "://" in os.fspath(path)


def strip_file_scheme(path: str | os.PathLike[str]) -> str:
    """Return the path of a file:// URL, which is of this machine; any other path or URL as it is."""
    text = os.fspath(path)
    return text.removeprefix("file://") if text.startswith("file:///") else text


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises MissingPackage where fsspec, or what it needs for this kind of URL, is not installed.
    """
    fsspec = need("fsspec.core", "remote")
    try:
        system, path = fsspec.url_to_fs(url)
    except ImportError as error:
        raise MissingPackage(f"{url} needs a package that is missing ({error}), expected it installed") from None
    except ValueError as error:
        raise UsageError(f"{url!r} cannot be opened ({error}), expected a path or a URL that fsspec knows") from None
    return system, path.rstrip("/")


def read_file(path: str, most: int) -> bytes:
    """Return the whole content of a file; raises OSError, and ValueError for one of more than `most` bytes."""
    if is_url(path):
        system, inside = filesystem(path)
        content = cast(bytes, system.cat_file(inside))
        if len(content) > most:
            raise ValueError(f"the file has {len(content)} bytes, expected at most {most}")
        return content
    # With as few system calls as possible: each releases the GIL, and threads lose time getting it back.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(descriptor).st_size
        if size > most:
            raise ValueError(f"the file has {size} bytes, expected at most {most}")
        data = os.read(descriptor, size + 1)
        if len(data) == size:
            return data
        parts = [data]  # a system that reads in pieces, or a file that has changed since
        while parts[-1]:
            parts.append(os.read(descriptor, 1 << 20))
        return b"".join(parts)
    finally:
        os.close(descriptor)


def check_regular(path: str) -> None:
    """Raise OSError where a path of this machine is no regular file: reading a pipe or a device would never end."""
    if not is_url(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def open_file(path: str) -> BinaryIO:
    """Open a file to read bytes from, able to seek; raises OSError."""
    if is_url(path):
        system, inside = filesystem(path)
        return cast(BinaryIO, system.open(inside, "rb"))
    return open(path, "rb")


def lies_in(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Return whether a local path is a folder or lies in it, links followed; False where either is a URL."""
    if is_url(path) or is_url(folder):
        return False
    real, outer = os.path.realpath(path), os.path.realpath(folder)
    try:
        return os.path.commonpath((real, outer)) == outer
    except ValueError:  # on different drives
        return False

"""Files by path or URL: what a run reads, and how it tells what can be wrong with what it writes."""

import errno
import hashlib
import os
from typing import Any, BinaryIO, cast

# What is wrong with one name. Any other error of the system is about the place, and would meet every file.
_ABOUT_THE_NAME = {
    errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ELOOP
}  # fmt: skip


def is_about_the_name(error: OSError) -> bool:
    """Return whether an error of writing is about one file's name, so that others may still be written."""
    return error.errno in _ABOUT_THE_NAME


def is_url(path: str | os.PathLike[str]) -> bool:
    """Return whether the path is an address as s3://bucket/folder, which fsspec opens."""
    return "://" in os.fspath(path)


def plain(path: str | os.PathLike[str]) -> str:
    """Return the path of a file:// address, which is of this machine; any other path or address as it is."""
    text = os.fspath(path)
    return text.removeprefix("file://") if text.startswith("file:///") else text


def filesystem(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises ImportError where fsspec, or what it needs for this kind of URL, is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise ImportError(f"{url} needs the package fsspec, expected it installed (fastblur[remote])") from None
    try:
        system, path = url_to_fs(url)
    except ValueError as error:
        raise ValueError(f"{url!r} cannot be opened ({error}), expected a path or a URL that fsspec knows") from None
    return system, path.rstrip("/")


def read_file(path: str, most: int) -> bytes:
    """Return the whole content of a file; raises OSError, and ValueError for one of more than `most` bytes."""
    if is_url(path):
        system, inside = filesystem(path)
        content = cast(bytes, system.cat_file(inside))
        if len(content) > most:
            raise ValueError(f"the file has {len(content)} bytes, expected at most {most}")
        return content
    # By as few calls of the system as can be: each gives up Python's lock, and threads lose time over getting it back.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(descriptor).st_size
        if size > most:
            raise ValueError(f"the file has {size} bytes, expected at most {most}")
        data = os.read(descriptor, size + 1)
        if len(data) == size:
            return data
        parts = [data]  # a system that reads in pieces, or a file that has just changed
        while parts[-1]:
            parts.append(os.read(descriptor, 1 << 20))
        return b"".join(parts)
    finally:
        os.close(descriptor)


def sha256(path: str) -> str:
    """Return the sha256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open_file(path) as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def open_file(path: str) -> BinaryIO:
    """Open a file to read bytes from, wherever it is in it; raises OSError."""
    if is_url(path):
        system, inside = filesystem(path)
        return cast(BinaryIO, system.open(inside, "rb"))
    return open(path, "rb")

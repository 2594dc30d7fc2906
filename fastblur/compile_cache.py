"""Numba's machine code kept on disk, in containers too, where package and home folder often cannot be written."""

import os
import stat
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys


def compile_cached(function: Callable[..., Any], sources: object = None, **options: Any) -> Any:
    """Return the function compiled by Numba without the GIL, its code kept next to its source or in the user's cache.

    Where neither folder can be written it is kept in one for temporary files, and where that cannot be done either each
    process compiles it; one warning says so.

    Args:
        function: to compile.
        sources: what is equal as long as the kept code is up to date; None: Numba's own, of the function's file alone.
        options: of `numba.njit`.
    """
    with suppress(RuntimeError):  # "cannot cache function": Numba found no folder
        return _compile(function, sources, options)
    folder = _temporary_folder()
    if folder is not None:
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
        try:
            with suppress(RuntimeError):
                return _compile(function, sources, options)
        finally:
            numba.config.CACHE_DIR = before
    return numba.njit(nogil=True, **options)(function)


def _compile(function: Callable[..., Any], sources: object, options: dict[str, Any]) -> Any:
    dispatcher = numba.njit(nogil=True, cache=True, **options)(function)
    cache_ = getattr(dispatcher, "_cache", None)
    if isinstance(cache_, FunctionCache):
        cache_.__class__ = _LightCache
        if sources is not None:
            cache_._cache_file._source_stamp = sources
    return dispatcher


class _LightCache(FunctionCache):  # type: ignore[misc]  # Numba has no types
    """Numba's cache, which loads code from the disk without all that Numba needs to compile: that takes 0.3 s."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        rtsys.initialize(target_context)  # what the code itself needs
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


@cache
def _temporary_folder() -> Path | None:
    """Return this user's folder for machine code among temporary files; None where there is none. Warns."""
    folder = None
    with suppress(OSError):
        parent = Path(tempfile.gettempdir())
        if parent != Path.cwd():  # the last resort of gettempdir, which may be a data set
            folder = parent / f"fastblur-numba-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
            folder.mkdir(mode=0o700, exist_ok=True)
            if not _is_private(folder):
                folder = None
    where = "is compiled by each process, for several seconds" if folder is None else f"is kept in {str(folder)!r}"
    warnings.warn(
        f"compiled code cannot be kept in fastblur's own folders or in the user's cache folder, and {where}; expected "
        "the environment variable NUMBA_CACHE_DIR to name a folder that can be written",
        stacklevel=2,
    )
    return folder


def _is_private(folder: Path) -> bool:
    """Return whether nobody else can put code there, which would be run."""
    found = folder.lstat()
    if not hasattr(os, "getuid"):
        return stat.S_ISDIR(found.st_mode)  # Windows' folder for temporary files is the user's own
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077

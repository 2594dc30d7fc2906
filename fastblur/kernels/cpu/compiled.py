"""What the compiled loops share: how they are compiled, and rows of images as arrays made from addresses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic, overload

from fastblur.compile_cache import compile_cached

HERE = Path(__file__).parent
FILES = [*sorted(HERE.glob("*.py")), *(HERE.parent / name for name in ("constants.py", "parameters.py", "../boxes.py"))]
SOURCES = tuple((stat.st_mtime, stat.st_size) for stat in map(Path.stat, FILES))


def compiled(function: Callable[..., Any], inline: str = "never") -> Any:
    """Compile a function without the GIL, and keep the machine code on disk."""
    # No fast-math: it would let the same loop give other bits where it is compiled into another function.
    # Numba's disk cache looks at the function's own file alone; what it calls may stand in another that has changed.
    return compile_cached(function, SOURCES, error_model="numpy", inline=inline)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a function into those that call it, where a call costs more than what it does."""
    return compiled(function, inline="always")


@intrinsic
def _pointer(_context: Any, address: Any, dtype_like: Any) -> Any:
    """Turn an address into a pointer to elements of `dtype_like`'s dtype."""

    def generate(_context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], _context.get_value_type(signature.return_type))

    return types.CPointer(dtype_like.dtype)(address, dtype_like), generate


@compiled
def row_at(address, start, length, dtype_like):
    """Return `length` elements of `dtype_like`'s dtype, `start` elements after `address`, as an array."""
    return carray(_pointer(address + start * dtype_like.itemsize, dtype_like), (length,))


@compiled
def copy_row(source, target):
    """Copy as many elements as `target` has."""
    # A slice assignment would first look for overlap and then go element by element.
    for i in range(len(target)):
        target[i] = source[i]


def stored(value, row):
    """Round a value half up to uint8, or leave it float32, as the row's dtype asks (compiled code only)."""
    raise NotImplementedError


@overload(stored, inline="always")
def _stored_overload(value, row):
    if row.dtype is types.uint8:
        return lambda value, row: np.uint8(np.int32(min(max(value + np.float32(0.5), np.float32(0)), np.float32(255))))
    return lambda value, row: np.float32(value)

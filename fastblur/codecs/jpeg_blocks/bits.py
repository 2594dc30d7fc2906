"""What the compiled loops share: how they are compiled, and loads and stores at any address, big-endian.

Addresses are int64. The loops work on addresses and not on slices of arrays: Numba makes an object of every slice.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fastblur.compile_cache import compile_cached
from fastblur.kernels.cpu.compiled import SOURCES as KERNEL_SOURCES

FILES = sorted(Path(__file__).parent.glob("*.py"))
SOURCES = KERNEL_SOURCES + tuple((stat.st_mtime, stat.st_size) for stat in map(Path.stat, FILES))


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function without the GIL, and keep the machine code on disk while no file of this package changes."""
    return compile_cached(function, SOURCES, error_model="numpy")


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    return builder.inttoptr(address, kind.as_pointer())


@intrinsic
def load64(_context: Any, address: Any) -> Any:
    """Return the 8 bytes at an address as a big-endian uint64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bswap(builder.load(_pointer(builder, arguments[0], ir.IntType(64)), align=1))

    return types.uint64(types.int64), generate


@intrinsic
def store64(_context: Any, address: Any, word: Any) -> Any:
    """Store a uint64 as 8 bytes, big-endian."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(builder.bswap(arguments[1]), _pointer(builder, arguments[0], ir.IntType(64)), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.uint64), generate


def _loader(bits: int, signed: bool) -> Any:
    @intrinsic
    def load(_context: Any, address: Any) -> Any:
        """Return the number at an aligned address as int64, in the machine's own order of bytes."""

        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            value = builder.load(_pointer(builder, arguments[0], ir.IntType(bits)), align=bits // 8)
            return (builder.sext if signed else builder.zext)(value, ir.IntType(64))

        return types.int64(types.int64), generate

    return load


load_u8, load_u16, load_u32, load_i16 = _loader(8, False), _loader(16, False), _loader(32, False), _loader(16, True)


@intrinsic
def store_i16(_context: Any, address: Any, value: Any) -> Any:
    """Store the low 16 bits of an int64 at an aligned address."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        value = builder.trunc(arguments[1], ir.IntType(16))
        builder.store(value, _pointer(builder, arguments[0], ir.IntType(16)), align=2)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def store_f32(_context: Any, address: Any, value: Any) -> Any:
    """Store a float32 at an aligned address."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], _pointer(builder, arguments[0], ir.FloatType()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), generate


@intrinsic
def load_f32(_context: Any, address: Any) -> Any:
    """Return the float32 at an aligned address."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, arguments[0], ir.FloatType()), align=4)

    return types.float32(types.int64), generate


def _clearer(size: int) -> Any:
    @intrinsic
    def clear(_context: Any, address: Any) -> Any:
        """Set 64 aligned numbers at an address to 0."""

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            kind = ir.VectorType(ir.IntType(64), 8 * size)
            builder.store(ir.Constant(kind, None), _pointer(builder, arguments[0], kind), align=size)
            return context.get_dummy_value()

        return types.void(types.int64), generate

    return clear


clear_i16, clear_f32 = _clearer(2), _clearer(4)


@intrinsic
def leading_zeros(_context: Any, word: Any) -> Any:
    """Return how many zero bits a uint64 begins with."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, False))

    return types.int64(types.uint64), generate


@intrinsic
def nonzero(_context: Any, address: Any) -> Any:
    """Return a uint64 whose bit k says whether the k-th of 64 int16 at an address is not 0."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.VectorType(ir.IntType(16), 64)
        values = builder.load(_pointer(builder, arguments[0], kind), align=2)
        return builder.bitcast(builder.icmp_signed("!=", values, ir.Constant(kind, None)), ir.IntType(64))

    return types.uint64(types.int64), generate


@intrinsic
def trailing_zeros(_context: Any, word: Any) -> Any:
    """Return how many zero bits a uint64 ends with."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, False))

    return types.int64(types.uint64), generate

"""8 x 8 blocks to samples and back in float32 (ITU-T T.81, A.3.3), eight columns at a time in vector registers.

Each way is two passes down the columns with a transposition between them, so coefficients lie transposed in memory:
the one of horizontal frequency u and vertical frequency v at 8 u + v.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

BASIS = np.array(
    [[np.cos((2 * x + 1) * u * np.pi / 16) * (0.5 if u else 0.125**0.5) for x in range(8)] for u in range(8)]
)
MIDDLE = 1024.0  # the DC coefficient of a block whose samples are all 128
LARGEST = 1023.0  # the largest coefficient that baseline coding has a symbol for

_FLOAT, _ROW = ir.FloatType(), ir.VectorType(ir.FloatType(), 8)
_FAST = ("contract",)


def _all(value: float) -> Any:
    return ir.Constant(_ROW, [ir.Constant(_FLOAT, float(np.float32(value)))] * 8)


def _weighted(builder: Any, rows: Any, weights: Any) -> Any:
    """Return the sum of rows times constants."""
    total = None
    for row, weight in zip(rows, weights, strict=True):
        term = builder.fmul(row, _all(weight), flags=_FAST)
        total = term if total is None else builder.fadd(total, term, flags=_FAST)
    return total


def _samples_of(builder: Any, rows: Any) -> Any:
    """Return the inverse transform down the columns; the basis is even or odd about the middle."""
    out: list[Any] = [None] * 8
    for i in range(4):
        even = _weighted(builder, rows[0::2], BASIS[0::2, i])
        odd = _weighted(builder, rows[1::2], BASIS[1::2, i])
        out[i], out[7 - i] = builder.fadd(even, odd), builder.fsub(even, odd)
    return out


def _coefficients_of(builder: Any, rows: Any) -> Any:
    """Return the forward transform down the columns."""
    sums = [builder.fadd(rows[i], rows[7 - i]) for i in range(4)]
    differences = [builder.fsub(rows[i], rows[7 - i]) for i in range(4)]
    return [_weighted(builder, differences if u % 2 else sums, BASIS[u, :4]) for u in range(8)]


def _transposed(builder: Any, rows: Any) -> Any:
    def shuffled(a: Any, b: Any, lanes: list[int]) -> Any:
        return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), 8), lanes))

    pairs = []
    for i in range(0, 8, 2):
        pairs.append(shuffled(rows[i], rows[i + 1], [0, 8, 1, 9, 4, 12, 5, 13]))
        pairs.append(shuffled(rows[i], rows[i + 1], [2, 10, 3, 11, 6, 14, 7, 15]))
    fours = []
    for i in (0, 1, 4, 5):
        fours.append(shuffled(pairs[i], pairs[i + 2], [0, 1, 8, 9, 4, 5, 12, 13]))
        fours.append(shuffled(pairs[i], pairs[i + 2], [2, 3, 10, 11, 6, 7, 14, 15]))
    low = [shuffled(fours[i], fours[i + 4], [0, 1, 2, 3, 8, 9, 10, 11]) for i in range(4)]
    high = [shuffled(fours[i], fours[i + 4], [4, 5, 6, 7, 12, 13, 14, 15]) for i in range(4)]
    return low + high


def _row(builder: Any, base: Any, distance: Any, i: int, kind: Any) -> Any:
    offset = builder.mul(distance, ir.Constant(ir.IntType(64), i))
    return builder.inttoptr(builder.add(base, offset), kind.as_pointer())


@intrinsic
def to_samples(_context: Any, coefficients: Any, plane: Any, row: Any) -> Any:
    """Transform the 64 float32 coefficients (transposed, dequantised) at one address to 8 rows of 8 at another.

    row: bytes between rows of `plane`. The coefficient at 0 should have MIDDLE added.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, target, distance = arguments
        step = ir.Constant(ir.IntType(64), 32)
        rows = [builder.load(_row(builder, source, step, i, _ROW), align=4) for i in range(8)]
        rows = _samples_of(builder, _transposed(builder, _samples_of(builder, rows)))
        for i, samples in enumerate(rows):
            builder.store(samples, _row(builder, target, distance, i, _ROW), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def to_coefficients(_context: Any, plane: Any, row: Any, inverse: Any, coefficients: Any) -> Any:
    """Transform 8 rows of 8 float32 samples and quantise them into 64 int16 (transposed).

    row: bytes between rows of `plane`; inverse: address of one over the table, float32 (transposed). Values are
    rounded to the nearest and cut to what has a symbol, LARGEST; NaN becomes that too.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, distance, inverse, target = arguments
        step32, step16 = ir.Constant(ir.IntType(64), 32), ir.Constant(ir.IntType(64), 16)
        rows = [builder.load(_row(builder, source, distance, i, _ROW), align=4) for i in range(8)]
        rows = _coefficients_of(builder, _transposed(builder, _coefficients_of(builder, rows)))
        first = [ir.Constant(_FLOAT, MIDDLE)] + [ir.Constant(_FLOAT, 0.0)] * 7
        rows[0] = builder.fsub(rows[0], ir.Constant(_ROW, first))
        high, low, half = _all(LARGEST), _all(-LARGEST), _all(1.5 * 2**23)
        for i, values in enumerate(rows):
            scaled = builder.fmul(values, builder.load(_row(builder, inverse, step32, i, _ROW), align=4))
            scaled = builder.select(builder.fcmp_ordered("<", scaled, high), scaled, high)
            scaled = builder.select(builder.fcmp_ordered(">", scaled, low), scaled, low)
            rounded = builder.fsub(builder.fadd(scaled, half), half)  # float32 has no bits for fractions up there
            whole = builder.fptosi(rounded, ir.VectorType(ir.IntType(32), 8))
            kind = ir.VectorType(ir.IntType(16), 8)
            builder.store(builder.trunc(whole, kind), _row(builder, target, step16, i, kind), align=2)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate

"""Broken, cut and hostile JPEG files: libjpeg must find nothing wrong with what is rewritten block by block.

    python -m benchmarks.fuzz_jpeg [--cases N] [--seed N] [--processes N]

Files of every kind (tests/codecs/jpeg_blocks/files.py) are mutated: bits and bytes of the scan and of the header
changed, cut out, doubled, put in; restart markers moved; ends cut off. Every file that is rewritten is also decoded by
simplejpeg, which takes each warning of libjpeg-turbo for an error, before and after. All arrays that the loops get lie
against a page of memory that may not be touched, at their end or their beginning in turns, so that a load or store
beyond them kills the process. Prints how many files were rewritten and refused, by mutation; exits 1 where libjpeg
found a fault in a file that was accepted, another error was raised, or a process died.
"""

import argparse
import collections
import ctypes
import mmap
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastblur.codecs import CodecError
from fastblur.codecs.jpeg_blocks import Refused, rewrite
from tests.codecs.jpeg_blocks import files

CHUNK = 1000
PAGE = mmap.PAGESIZE


class GuardedNumpy:
    """NumPy, whose new arrays end or begin where memory ends."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = float) -> np.ndarray:
        """Return an array filled with 0xFF bytes (NaN, where they are floats)."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pages = -(-size // PAGE)
        memory = mmap.mmap(-1, (pages + 2) * PAGE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for guard in (0, pages + 1):
            if self._libc.mprotect(ctypes.c_void_p(address + guard * PAGE), PAGE, 0) != 0:
                raise OSError(ctypes.get_errno(), "mprotect")
        self._count += 1
        start = PAGE if self._count % 2 else (pages + 1) * PAGE - size
        array = np.frombuffer(memory, np.uint8, size, start).view(dtype).reshape(shape)
        array.view(np.uint8)[...] = 0xFF
        return array

    def zeros(self, shape: Any, dtype: Any = float) -> np.ndarray:
        """Return an array of zeros."""
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def empty_like(self, like: np.ndarray) -> np.ndarray:
        """Return an array of the same shape and dtype."""
        return self.empty(like.shape, like.dtype)

    def frombuffer(self, data: bytes, dtype: Any) -> np.ndarray:
        """Return a copy of the bytes."""
        array = self.empty(len(data), np.uint8)
        array[...] = np.frombuffer(data, np.uint8)
        return array.view(dtype)


def guard() -> Callable[[], None]:
    """Put guarded arrays in place of the loops' own; return what undoes it."""
    plain = rewrite.np
    rewrite.np = GuardedNumpy()  # type: ignore[assignment]

    def undo() -> None:
        rewrite.np = plain  # type: ignore[assignment]

    return undo


def cases(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (mutation, file)."""
    rng = np.random.default_rng(seed)
    kinds = [arguments for _, arguments in files.kinds()]
    names = list(MUTATIONS)
    source, kind = b"", 0
    for i in range(count):
        if i % 20 == 0:
            kind = int(rng.integers(len(kinds)))
            height, width = (int(n) for n in rng.integers(8, 90, 2))
            source = files.jpeg(**kinds[kind], height=height, width=width, seed=int(rng.integers(100)))
        name = names[int(rng.integers(len(names)))]
        start = source.rindex(b"\xff\xda") + 6 + 2 * source[source.rindex(b"\xff\xda") + 4] + 2
        yield name, bytes(MUTATIONS[name](bytearray(source), min(start, len(source) - 3), rng))


def _flip(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(start, len(data) - 2)] ^= 1 << rng.integers(8)
    return data


def _noise(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    at, n = rng.integers(start, len(data) - 2), rng.integers(1, 30)
    data[at : at + n] = rng.bytes(n)
    return data


def _cut(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    at = rng.integers(start, len(data) - 2)
    del data[at : at + rng.integers(1, 20)]
    return data


def _double(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    at, n = rng.integers(start, len(data) - 2), rng.integers(1, 60)
    return data[: at + n] + data[at:]


def _put_in(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    at = rng.integers(start, len(data) - 1)
    what = (b"\xff", b"\xff\x00", b"\xff\xff", b"\x00", bytes((0xFF, 0xD0 + rng.integers(16))))
    return data[:at] + what[rng.integers(len(what))] + data[at:]


def _truncate(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(start, len(data))]


def _truncate_and_end(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(start, len(data) - 2)] + b"\xff\xd9"


def _header(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 4)):
        data[rng.integers(2, start)] = rng.integers(256)
    return data


def _tables(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    at = [i for i in range(2, start - 20) if data[i] == 0xFF and data[i + 1] in (0xC4, 0xDB, 0xC0, 0xDD, 0xDA)]
    place = at[rng.integers(len(at))]
    for _ in range(rng.integers(1, 5)):
        data[place + rng.integers(2, 25)] = rng.integers(256) if rng.integers(2) else rng.integers(4)
    return data


def _swap(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    marks = [i for i in range(start, len(data) - 2) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
    if len(marks) < 2:
        return _flip(data, start, rng)
    a, b = rng.choice(len(marks), 2, replace=False)
    data[marks[a] + 1], data[marks[b] + 1] = data[marks[b] + 1], data[marks[a] + 1]
    return data


def _random(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    return data[:start] + rng.bytes(rng.integers(0, 4000)) + b"\xff\xd9"


def _nothing(data: bytearray, start: int, rng: np.random.Generator) -> bytearray:
    return data


MUTATIONS = {
    "bits of the scan": _flip,
    "bytes of the scan": _noise,
    "cut out": _cut,
    "doubled": _double,
    "put in": _put_in,
    "truncated": _truncate,
    "truncated, with an end": _truncate_and_end,
    "header": _header,
    "tables": _tables,
    "restart markers": _swap,
    "random scan": _random,
    "nothing": _nothing,
}


def check(seed: int, count: int) -> tuple[collections.Counter[tuple[str, str]], list[str]]:
    """Return how many cases of each mutation were rewritten or refused, and what went wrong."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    faults = []
    rng = np.random.default_rng(seed + 1)
    methods = list(files.METHODS)
    for i, (name, data) in enumerate(cases(seed, count)):
        low = rng.uniform(-20, 70, 2)
        box = [[*low, *(low + rng.uniform(1, 60, 2))]]
        try:
            out = files.rewritten(data, box, methods[int(rng.integers(len(methods)))]).data
        except (Refused, CodecError):
            counts[name, "refused"] += 1
            continue
        except Exception as error:
            faults.append(f"seed {seed}, case {i}, {name}: {type(error).__name__}: {error}")
            continue
        counts[name, "rewritten"] += 1
        for which, one in (("input", data), ("output", out)):
            try:
                files.strictly_decoded(one)
            except Exception as error:
                faults.append(f"seed {seed}, case {i}, {name}: libjpeg refuses the {which}: {error}")
                break
    return counts, faults


def _work(seed: int, count: int, results: Any) -> None:
    guard()
    results.put(check(seed, count))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    context = multiprocessing.get_context("fork")
    total: collections.Counter[tuple[str, str]] = collections.Counter()
    faults: list[str] = []
    for seed in range(arguments.seed, arguments.seed + -(-arguments.cases // CHUNK)):
        results = context.SimpleQueue()
        child = context.Process(target=_work, args=(seed, CHUNK, results))
        child.start()
        child.join()
        if child.exitcode != 0:
            faults.append(f"seed {seed}: the process ended with {child.exitcode}")
            continue
        counts, wrong = results.get()
        total += counts
        faults += wrong
    for name in MUTATIONS:
        print(f"{name:24} rewritten {total[name, 'rewritten']:7}  refused {total[name, 'refused']:7}")
    print(f"{total.total()} cases, {len(faults)} faults")
    print("\n".join(faults[:50]))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

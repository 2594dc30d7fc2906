"""The CPU kernel called from many threads, with many threads, and from a forked process."""

import importlib
import multiprocessing
import pkgutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numba.core.dispatcher import Dispatcher

import fastblur
import fastblur.kernels
from tests.kernels.cases import noise

OPERATORS = {
    "blur": fastblur.blur,
    "pixelate": fastblur.pixelate,
    "fill": partial(fastblur.fill, color=1, feather=0.1),
}
over_operators = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())


def large_batch(count, dtype=torch.uint8):
    """Images large enough to be shared among threads, each with its own regions."""
    images = torch.stack([noise(180, 220, dtype=dtype, seed=i) for i in range(count)])
    rows = [[[5.0 + 7 * i, 8, 90 + 9 * i, 120 - i], [60, 50 + 5 * i, 200, 170]][: i % 3] for i in range(count)]
    return images, rows


@over_operators
def test_many_callers_at_once(operator):
    images, rows = large_batch(8)
    expected = [operator(images[i % 8], rows[i % 8], backend="cpu") for i in range(8)]
    whole = operator(images, rows, backend="cpu")
    with ThreadPoolExecutor(8) as pool:
        singles = [pool.submit(operator, images[i % 8], rows[i % 8], backend="cpu") for i in range(64)]
        batches = [pool.submit(operator, images, rows, backend="cpu") for _ in range(8)]
        in_place = [pool.submit(run_in_place, operator, images[i].clone(), rows[i]) for i in range(8)]
        assert all(torch.equal(f.result(), expected[i % 8]) for i, f in enumerate(singles))
        assert all(torch.equal(f.result(), whole) for f in batches)
        assert all(torch.equal(f.result(), expected[i]) for i, f in enumerate(in_place))


def run_in_place(operator, image, rows):
    return operator(image, rows, out=image, backend="cpu")


@over_operators
@pytest.mark.parametrize("count", [1, 3, 16])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_number_of_threads_changes_nothing(operator, dtype, count):
    """Not by a bit, though few images are shared out by regions and many by images."""
    images, rows = large_batch(count, dtype)
    images = images.repeat_interleave(3, 2).repeat_interleave(3, 3) if count == 1 else images
    rows = [[[3, 4, 500, 410.0], [100, 80, 640, 530]]] if count == 1 else rows
    results = []
    for threads in (1, 2, 4, 7):
        torch.set_num_threads(threads)
        results.append(operator(images, rows, backend="cpu"))
        here = images.clone()
        results.append(operator(here, rows, out=here, backend="cpu"))
    assert all(torch.equal(result, results[0]) for result in results[1:])
    assert not torch.equal(results[0], images)


@over_operators
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_order_of_regions_changes_no_bit(operator, dtype):
    """Sums of floats depend on their order, so the kernel sorts what overlaps."""
    image = noise(60, 70, dtype=dtype)
    rows = [[5 + 4.3 * i, 3 + 2.1 * i, 40 + 3.7 * i, 30 + 4 * i] for i in range(7)]
    expected = operator(image, rows, backend="cpu")
    for seed in range(10):
        shuffled = np.random.default_rng(seed).permutation(rows)
        assert torch.equal(operator(image, shuffled, backend="cpu"), expected)


def test_masked_blur2d_with_threads():
    images = torch.stack([noise(180, 220, seed=i) for i in range(6)])
    masks = noise(180, 220, 6, torch.float32)[:, None]
    expected = fastblur.masked_blur2d(images, masks, [1.0, 2, 3, 5, 8, 13], backend="cpu")
    torch.set_num_threads(4)
    assert torch.equal(fastblur.masked_blur2d(images, masks, [1.0, 2, 3, 5, 8, 13], backend="cpu"), expected)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(fastblur.masked_blur2d, images, masks, [1.0, 2, 3, 5, 8, 13]) for _ in range(8)]
        assert all(torch.equal(f.result(), expected) for f in calls)


def test_a_forked_process_has_its_own_threads():
    """A data loader forks after its parent has blurred: the parent's threads do not exist in the child."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system has no fork")
    images, rows = large_batch(8)
    torch.set_num_threads(4)
    expected = fastblur.blur(images, rows, backend="cpu").numpy()

    def work(queue):  # the child must not use PyTorch's own threads: those do hang after a fork
        queue.put(np.array_equal(fastblur.blur(images, rows, backend="cpu").numpy(), expected))

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=work, args=(queue,))
    child.start()
    try:
        assert queue.get(timeout=60)
    finally:
        child.join(timeout=10)
        child.kill()


def test_the_compiled_loops_hold_no_lock():
    """Every function that Numba compiles for the kernel releases the interpreter's lock and is cached on disk."""
    found = {}
    for module in pkgutil.iter_modules(fastblur.kernels.cpu.__path__):
        loaded = importlib.import_module(f"fastblur.kernels.cpu.{module.name}")
        found |= {f.py_func.__qualname__: f for f in vars(loaded).values() if isinstance(f, Dispatcher)}
    assert len(found) >= 5
    for name, function in found.items():
        assert function.targetoptions.get("nogil"), name
        assert function._cache.cache_path is not None, name


def test_compiled_code_on_disk_is_dropped_when_any_of_its_files_changes():
    from fastblur.kernels.cpu import compiled, plan, schedule

    names = {path.name for path in Path(compiled.__file__).parent.glob("*.py")}
    assert len(names) >= 5
    assert {path.name for path in compiled.FILES} == names | {"boxes.py", "constants.py", "parameters.py"}
    for dispatcher in (schedule.hide_in_images, plan.plan):
        assert dispatcher._cache._cache_file._source_stamp == compiled.SOURCES

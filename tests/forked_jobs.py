"""What `test_forked` lets a child process do, and a parent that starts one: python -m tests.forked_jobs WAY WHEN."""

import multiprocessing
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

import fastblur
from fastblur.transforms import HideFaces

THREADS = 4  # of torch in the parent, on any machine
BOXES = [[[40, 30, 500, 480]], [[10, 10, 90, 120], [300, 200, 420, 390]]]


def images() -> np.ndarray:  # (2, 3, 600, 640) float32 in 0..1
    """Two images large enough that torch shares its work out among threads."""
    return np.random.default_rng(0).random((2, 3, 600, 640), np.float32)


def operators() -> list[Tensor]:
    batch = torch.from_numpy(images())
    levels = torch.from_numpy((images() * 255).astype(np.uint8))
    halves = torch.from_numpy(images().astype(np.float16))
    return [
        fastblur.blur(batch, BOXES),
        fastblur.pixelate(levels, BOXES),
        fastblur.fill(halves, BOXES),
        fastblur.masked_blur2d(batch, torch.ones(2, 1, 600, 640), 5.0),
    ]


def reference() -> list[Tensor]:
    return [fastblur.blur(torch.from_numpy(images()), BOXES, backend="reference")]


def detectors() -> list[Tensor]:
    ragged = [torch.from_numpy(images()[0]), torch.from_numpy(images()[1])[:, :320]]  # two groups
    return [regions.boxes for detect in made() for regions in (detect(ragged), detect(ragged[0]))]


def module() -> list[Tensor]:
    hide = fastblur.FaceBlur(made()[0])
    (result,) = HideFaces(made()[1])([torch.from_numpy(images()[0])])
    return [hide(torch.from_numpy(images())), result]


def loading() -> list[Tensor]:
    """A detector that the process loads itself: its weights are copied by all threads."""
    return [fastblur.load_detector(engine="torch", threshold=0.05)(torch.from_numpy(images())).boxes]


_made: list[Callable] = []


def made() -> list[Callable]:
    """The detectors, loaded by the first process that asks: a forked one takes its parent's."""
    if not _made:
        _made.extend(fastblur.load_detector(engine=engine, threshold=0.05) for engine in ("onnx", "torch"))
    return _made


JOBS: dict[str, Callable[[], list[Tensor]]] = {  # what loads comes first: what runs before lets torch use one thread
    "loading": loading, "operators": operators, "reference": reference, "detectors": detectors, "module": module,
}  # fmt: skip


def child(results) -> None:
    results.put({name: [one.float().numpy().copy() for one in job()] for name, job in JOBS.items()})
    results.put(torch.get_num_threads())


def main(way: str, when: str) -> None:
    torch.set_num_threads(THREADS)
    if when == "after":
        expected = {name: job() for name, job in JOBS.items()}
    context = multiprocessing.get_context(way)
    results = context.SimpleQueue()
    process = context.Process(target=child, args=(results,), daemon=True)
    process.start()
    found, threads = results.get(), results.get()
    process.join()
    if when == "before":
        expected = {name: job() for name, job in JOBS.items()}
    for name, values in expected.items():
        for mine, theirs in zip(values, found[name], strict=True):
            # Sums of the networks are rounded in an order that goes with the number of threads.
            assert np.allclose(mine.float().numpy(), theirs, atol=1e-2 if name in ("detectors", "loading") else 1e-5), (
                name
            )
    print("threads", threads, "exit", process.exitcode)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Count what varied calls make the CUDA kernel compile, launch and allocate; on any machine.

    python -m tests.kernels.cuda.calls

prints one JSON object: for each call the programs that no call before it had compiled, its launches, and the bytes of
scratch that it took. Programs that are compiled late stop a user for seconds, and fail while a CUDA graph is captured.
"""

import json

import torch

import fastblur
from tests.kernels.cuda.fake_gpu import activate

BOX = torch.tensor([10.0, 10, 80, 80])


def regions(images, rows=1):
    return fastblur.Regions(BOX.repeat(images, rows, 1), torch.ones(images, dtype=torch.int64))


def hide(images, found=None, **options):
    fastblur.blur(images, regions(len(images)) if found is None else found, out=images, backend="cuda", **options)


def calls():
    """The calls: a title, and what is called. All after the first are variations of it."""
    images = torch.empty(64, 3, 375, 500, dtype=torch.uint8)
    spare = torch.empty(64 * 3 * 375 * 500 + 64, dtype=torch.uint8)
    yield "the first", lambda: hide(images)
    yield "other batches", lambda: [hide(images[:n]) for n in (1, 2, 63)]
    yield "more rows", lambda: hide(images[:4], regions(4, 16))
    yield "channels divisible by 16", lambda: hide(torch.empty(4, 3, 384, 512, dtype=torch.uint8))
    yield "odd sizes", lambda: [hide(torch.empty(2, 3, 301, n, dtype=torch.uint8)) for n in (399, 401, 1)]
    yield "addresses", lambda: [hide(spare[n : n + images.numel()].view(images.shape)) for n in range(17)]
    yield "slices of regions", lambda: [hide(images[n : n + 8], regions(64)[n : n + 8]) for n in range(9)]
    yield "views", lambda: [hide(images[:, :, ::2]), hide(images[:, :, :, 1:]), hide(images.transpose(2, 3))]
    yield "no feather", lambda: hide(images, feather=0.0)
    yield "no margin", lambda: hide(images, margin=0.0)
    yield "strengths", lambda: [hide(images, strength=0.05 * n) for n in range(1, 5)]
    yield "out of place", lambda: fastblur.blur(images, regions(64), backend="cuda")
    yield "a detector's", lambda: hide(torch.empty(512, 3, 375, 500, dtype=torch.uint8), regions(512, 512))
    yield "a list", lambda: hide([images[0], images[1, :, 3:, 4:]], regions(2))
    yield "other lists", lambda: [hide([one[:, n:, n:] for one in images[: n + 1]], regions(n + 1)) for n in range(9)]


def main() -> None:
    gpu = activate(90)
    empty, taken = torch.empty, []

    def watched(*shape, **options):
        made = empty(*shape, **options)
        taken.append(made.nbytes)
        return made

    from fastblur.kernels.cuda import launch

    results = {}
    for title, call in calls():
        programs, launches = len(gpu.programs), gpu.launches
        taken.clear()
        real, launch.torch.empty = launch.torch.empty, watched
        try:
            call()
        finally:
            launch.torch.empty = real
        names = [program.name for program in gpu.programs[programs:]]
        results[title] = {"programs": names, "launches": gpu.launches - launches, "bytes": sum(taken)}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

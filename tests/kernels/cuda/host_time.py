"""Time what the host does for a call of the CUDA kernel, on any machine: programs are compiled, and not launched.

    python -m tests.kernels.cuda.host_time

prints microseconds of processor time a call for batches, and an image for ragged lists. CPU tensors stand for those on
a GPU; what `torch.empty` costs differs a little.
"""

import argparse
import time

import numpy as np
import torch

import fastblur
from tests.kernels.cuda.fake_gpu import activate


def microseconds(call, calls):
    """The least of several rounds: whatever else the machine does only adds."""
    for _ in range(3):
        call()
    rounds = []
    for _ in range(9):
        start = time.thread_time()
        for _ in range(calls):
            call()
        rounds.append((time.thread_time() - start) / calls)
    return 1e6 * min(rounds), 1e6 * float(np.median(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    activate(90)
    torch.set_num_threads(1)
    from fastblur.kernels.cuda import operators

    for size in (1, 32, 256, 1024):
        images = torch.empty(size, 3, 375, 500, dtype=torch.uint8)
        found = fastblur.Regions(torch.tensor([10.0, 10, 80, 80]).repeat(size, 1, 1), torch.ones(size).long())
        for title, call in (
            ("fastblur.blur in place", lambda i=images, f=found: fastblur.blur(i, f, out=i, backend="cuda")),
            ("the kernel alone", lambda i=images, f=found: operators.KERNEL.blur(i, f, fastblur.RECIPES["default"], i)),
        ):
            least, median = microseconds(call, 100)
            print(f"{title:24} batch {size:5}: {least:7.1f} us a call (median {median:.1f})", flush=True)
    images = list(torch.empty(256, 3, 375, 500, dtype=torch.uint8))
    found = fastblur.Regions(torch.tensor([10.0, 10, 80, 80]).repeat(256, 1, 1), torch.ones(256).long())
    for title, call in (
        ("fastblur.blur in place", lambda: fastblur.blur(images, found, out=images, backend="cuda")),
        ("the kernel alone", lambda: operators.KERNEL.blur(images, found, fastblur.RECIPES["default"], images)),
    ):
        least, median = microseconds(call, 5)
        print(f"{title:24} list of 256: {least / 256:7.2f} us an image (median {median / 256:.2f})", flush=True)


if __name__ == "__main__":
    main()

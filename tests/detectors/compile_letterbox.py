"""Compile the letterbox for a GPU that need not be there, and say what it takes of it.

    python -m tests.detectors.compile_letterbox [90]

calls it with batches and lists of several sizes, with a driver that launches nothing, and prints a JSON list with
registers a thread, bytes spilled and warps of each program that was compiled. Triton must not be in its interpreter, so
a test runs this in a process of its own.
"""

import json
import sys

import torch

from fastblur.detectors.letterbox_triton import letterbox_triton
from tests.kernels.cuda.fake_gpu import activate
from tests.kernels.cuda.machine_code import usage


def main() -> None:
    gpu = activate(int(sys.argv[1]) if len(sys.argv) > 1 else 90)
    mean, std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    for dtype in (torch.uint8, torch.float32):
        for height, width in ((384, 512), (375, 500), (33, 17), (1, 1)):
            canvas = (height + 31) // 32 * 32, (width + 31) // 32 * 32
            images = [torch.zeros(1, 3, height + n, width + 3 * n, dtype=dtype) for n in range(3)]
            for stacks in (images[:1], [torch.zeros(16, 3, height, width, dtype=dtype)], images):
                sizes = torch.tensor([[[width, height]]] * sum(map(len, stacks)), dtype=torch.float32)
                letterbox_triton(stacks, sizes, canvas, mean, std, False, torch.channels_last, torch.float16)
    print(json.dumps([usage(one.code) | {"warps": 4} for one in gpu.programs]))


if __name__ == "__main__":
    main()

"""Count the operations of a detector that would be a launch on a GPU, and the bytes that they read and write.

    FASTBLUR_WEIGHTS=FOLDER python -m tests.detectors.count_launches [--detector NAME] [--batch N] [--ragged] [--plain]

counts what PyTorch's dispatcher is asked for on the CPU, float16 network included, on images of 384 x 512: views and
allocations are no launches, every other operation is one, and reads its tensors and writes its results once. A bias is
a launch of its own after a convolution, as PyTorch adds it on CUDA. As on CUDA ReLUs are fused into the convolutions,
where cuDNN takes them all, and the letterbox is one launch, which is counted and not run; `--plain` counts PyTorch's
several in place of both. What cuDNN does within a convolution, what kernels keep in the cache, and copies from the host
are not seen.
"""

import argparse
from collections import Counter
from typing import Any
from unittest import mock

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from fastblur.detectors import detector as module
from fastblur.detectors import letterbox_triton, load_detector
from fastblur.detectors.runtimes import torch as runtime

NO_LAUNCH = (
    "view", "reshape", "expand", "slice", "select", "permute", "transpose", "unsqueeze", "squeeze", "empty", "detach",
    "alias", "t", "unbind", "split", "_unsafe_view", "lift_fresh", "as_strided", "new_empty", "_local_scalar_dense",
    "flatten",
)  # fmt: skip


class Counted(TorchDispatchMode):
    """Counts launches and bytes, by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = function(*arguments, **(options or {}))
        name = function.overloadpacket.__name__
        if name not in NO_LAUNCH:
            tensors = [one for one in tree_leaves((arguments, options or {}, result)) if isinstance(one, torch.Tensor)]
            self.launches[name] += 1
            self.bytes[name] += sum(one.nbytes for one in tensors)
            if name == "convolution" and arguments[2] is not None:
                self.launches["bias of a convolution"] += 1
                self.bytes["bias of a convolution"] += 2 * result.nbytes + arguments[2].nbytes
        return result


def count(detector: Any, images: Any) -> Counted:
    """Return what one call of the detector launches, where the host may not look at values, as on CUDA."""

    def at_once(stacks: Any, sizes: Any, canvas: Any, mean: Any, *more: Any) -> torch.Tensor:
        with _disable_current_modes():
            result = torch.zeros((len(sizes), 3, *canvas), dtype=more[-1]).to(memory_format=more[-2])
        counted.launches["letterbox"] += 1
        counted.bytes["letterbox"] += sum(one.nbytes for one in (*stacks, result))
        return result

    counted = Counted()
    with (
        mock.patch.object(module, "can_sync_host", return_value=False),
        mock.patch.object(letterbox_triton, "letterbox_triton", at_once),
    ):
        detector(images)  # what is made once
        counted.launches.clear()
        counted.bytes.clear()
        with counted:
            detector(images)
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", default="centerface")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--ragged", action="store_true")
    parser.add_argument("--plain", action="store_true", help="without what is fused on CUDA")
    arguments = parser.parse_args()
    with mock.patch.object(runtime, "helps_on", return_value=not arguments.plain):
        detector = load_detector(arguments.detector, device="cpu", engine="torch", half=True)
    images = torch.randint(0, 255, (arguments.batch, 3, 384, 512), dtype=torch.uint8)
    with mock.patch.object(module, "fits_one_launch", return_value=not arguments.plain):
        counted = count(detector, list(images) if arguments.ragged else images)
    for name, launches in counted.launches.most_common():
        print(f"{name:32} {launches:5} launches {counted.bytes[name] / arguments.batch / 1e6:9.2f} MB an image")
    total = sum(counted.bytes.values()) / arguments.batch / 1e6
    print(f"{'together':32} {sum(counted.launches.values()):5} launches {total:9.2f} MB an image")


if __name__ == "__main__":
    main()

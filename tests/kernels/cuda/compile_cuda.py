"""Compile the CUDA kernel's programs for a GPU that need not be there, and say what each takes of it.

    python -m tests.kernels.cuda.compile_cuda [--few] [--only TITLE] [--architecture 90] [--loops]

calls the operators as a user does, with a driver that launches nothing, and prints one JSON object: for each variant
and program registers a thread, bytes spilled, bytes of shared memory and instructions. Triton must not be in its
interpreter, so tests run this in a process of its own.
"""

import argparse
import json

import torch
import triton

import fastblur
from tests.kernels.cuda.fake_gpu import FakeDriver, activate
from tests.kernels.cuda.machine_code import counts, loops, usage

DTYPES = {"u8": torch.uint8, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
FEW = (
    "blur u8, in place",
    "blur u8, channels_last",
    "blur u8, a detector's rows",
    "blur fp32, ragged, ellipse",
    "pixelate bf16",
    "fill fp16",
    "masked_blur2d u8, reflect",
)


def variants():
    """Every operator, with every dtype, layout of batch, shape and border once: title, operator, options."""
    for operator in ("blur", "pixelate", "fill", "masked_blur2d"):
        for dtype in DTYPES:
            yield f"{operator} {dtype}", operator, {"dtype": dtype}
    for operator in ("blur", "masked_blur2d"):
        yield f"{operator} u8, in place", operator, {"in_place": True}
        yield f"{operator} u8, channels_last", operator, {"layout": "channels_last"}
        yield f"{operator} u8, ragged", operator, {"layout": "ragged"}
        yield f"{operator} u8, one channel", operator, {"channels": 1}
    yield "blur u8, a detector's rows", "blur", {"images": 8, "rows": 512}
    yield "blur fp32, ragged, ellipse", "blur", {"dtype": "fp32", "layout": "ragged", "shape": "ellipse"}
    yield "blur u8, ilsvrc, ellipse", "blur", {"recipe": "ilsvrc", "shape": "ellipse"}
    for border in ("reflect", "constant", "circular"):
        yield f"masked_blur2d u8, {border}", "masked_blur2d", {"border_type": border}


def call(operator, *, dtype="u8", layout="contiguous", channels=3, in_place=False, images=2, rows=1, **options):
    """Call an operator on images of 375 x 500, with one region each in `rows` rows."""
    count = images
    images = torch.zeros(count, channels, 375, 500, dtype=DTYPES[dtype])
    if layout == "channels_last":
        images = images.contiguous(memory_format=torch.channels_last)
    boxes = torch.tensor([10.0, 10, 80, 80]).repeat(count, rows, 1)
    others = fastblur.Regions(boxes, torch.ones(count, dtype=torch.int64))
    if operator == "masked_blur2d":
        others = torch.ones(count, 1, 375, 500)
    given = list(images) if layout == "ragged" else images
    if layout == "ragged" and operator == "masked_blur2d":
        others = list(others)
    if operator == "masked_blur2d":
        options["sigma"] = 5.0
    getattr(fastblur, operator)(given, others, out=given if in_place else None, backend="cuda", **options)


def compiled(gpu: FakeDriver, operator, options):
    """Return the programs that a call has loaded which no call before it had."""
    known = len(gpu.programs)
    call(operator, **options)
    return gpu.programs[known:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", action="store_true", help="one variant of each operator")
    parser.add_argument("--only", help="the variant with this title")
    parser.add_argument("--architecture", type=int, default=90)
    parser.add_argument("--loops", action="store_true", help="with the instructions of every loop")
    arguments = parser.parse_args()
    gpu = activate(arguments.architecture)
    results = {}
    for title, operator, options in variants():
        if (arguments.few and title not in FEW) or (arguments.only and title != arguments.only):
            continue
        for program in compiled(gpu, operator, options):
            name = f"{program.name} {title}"
            name += ", the other alignment" * (name in results)
            row = {**usage(program.code), "shared": program.shared, **counts(program.code)}
            results[name] = row | ({"loops": loops(program.code)} if arguments.loops else {})
    print(json.dumps({"triton": triton.__version__, "architecture": arguments.architecture, "programs": results}))


if __name__ == "__main__":
    main()

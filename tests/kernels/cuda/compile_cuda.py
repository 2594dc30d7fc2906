"""Compile the CUDA kernel's programs for a GPU that need not be there, and say what each takes of it.

    python -m tests.kernels.cuda.compile_cuda [--few] [--architecture 90]

prints one JSON object: for each variant registers a thread, bytes spilled, bytes of shared memory. Triton must not be
in its interpreter, so tests run this in a process of its own.
"""

import argparse
import json
import re
import subprocess
import tempfile
from itertools import product
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fastblur.kernels.cuda.average import average
from fastblur.kernels.cuda.blend import blend
from fastblur.kernels.cuda.launch import OPTIONS
from fastblur.kernels.cuda.plan import BLUR, COLOR, INSIDE, MASK, MOSAIC, REFLECT, REPLICATE

MODES = {"blur": BLUR, "pixelate": MOSAIC, "fill": COLOR, "masked_blur2d": MASK}
POINTERS = {
    "table": "*i64", "boxes": "*fp32", "counts": "*i64", "sigmas": "*fp32", "ints": "*i32", "floats": "*fp32",
    "cells": "*fp32", "color": "*fp32", "mask": "*fp32",
}  # fmt: skip


FEW = (
    "blur u8",
    "blur u8, channels_last",
    "blur fp32, ragged, not in place",
    "pixelate bf16",
    "fill fp16",
    "masked_blur2d u8, reflect",
)


def variants():
    """Every mode, with every dtype, layout of batch and group of channels once."""
    yield "blur fp32, ragged, not in place", "blur", "fp32", {"RAGGED": True, "IN_PLACE": False, "ELLIPSE": True}
    for mode, dtype in product(MODES, ("u8", "fp32", "fp16", "bf16")):
        yield f"{mode} {dtype}", mode, dtype, {}
    for mode in ("blur", "masked_blur2d"):
        yield f"{mode} u8, channels_last", mode, "u8", {"channels_last": True}
        yield f"{mode} u8, ragged", mode, "u8", {"RAGGED": True}
        yield f"{mode} u8, one channel", mode, "u8", {"GROUP": 1}
        yield f"{mode} u8, not in place", mode, "u8", {"IN_PLACE": False}
        yield f"{mode} u8, 64-bit strides", mode, "u8", {"wide": True}
    yield "blur u8, ellipse", "blur", "u8", {"ELLIPSE": True, "WHOLE": True}
    yield "masked_blur2d u8, reflect", "masked_blur2d", "u8", {"BORDER": REFLECT.value}
    yield "blur u8, ieee", "blur", "u8", {"PRECISION": "ieee"}


def compiled(function, mode, dtype, options, target):
    border = INSIDE.value if mode == "pixelate" else REPLICATE.value
    constants = {
        "RAGGED": False, "MODE": MODES[mode].value, "ELLIPSE": False, "WHOLE": False, "BORDER": border, "GROUP": 3,
        "IN_PLACE": True, "PRECISION": "tf32x3", **options,
    }  # fmt: skip
    # Triton makes a constant of a stride of 1.
    if "wide" not in options:
        axis = "channel" if constants.pop("channels_last", False) else "column"
        constants |= {f"source_{axis}": 1, f"target_{axis}": 1}
    wide = constants.pop("wide", False)
    signature, given = {}, {}
    for i, name in enumerate(function.arg_names):
        if name in constants:
            signature[name], given[(i,)] = "constexpr", constants[name]
        elif name in ("source", "target"):
            signature[name] = f"*{dtype}"
        elif name in POINTERS:
            signature[name] = POINTERS[name]
        else:
            bits = wide and name.startswith(("source", "target", "cells"))
            signature[name] = "i64" if bits or name in ("strength", "margin", "feather") else "i32"
    source = ASTSource(function, signature, given)
    return triton.compile(source, target=target, options=OPTIONS)


def usage(binary, tool):
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        text = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = {name: int(value) for name, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", text)}
    return {"registers": found["REG"], "spilled": found["STACK"] + found["LOCAL"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", action="store_true", help="one variant of each mode")
    parser.add_argument("--architecture", type=int, default=90)
    arguments = parser.parse_args()
    target = GPUTarget("cuda", arguments.architecture, 32)
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    results = {}
    for title, mode, dtype, options in variants():
        if arguments.few and title not in FEW:
            continue
        for function in (average, blend):
            done = compiled(function, mode, dtype, options, target)
            results[f"{function.__name__} {title}"] = {
                **usage(done.asm["cubin"], tool), "shared": done.metadata.shared, "warps": done.metadata.num_warps,
            }  # fmt: skip
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

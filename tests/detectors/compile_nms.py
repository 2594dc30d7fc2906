"""Compile NMS for a GPU that need not be there, and say what it takes of it.

    python -m tests.detectors.compile_nms

prints one JSON object: for each number of rows registers a thread, bytes spilled, warps, and whether products are fused
with sums. Triton must not be in its interpreter, so a test runs this in a process of its own.
"""

import json

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fastblur.detectors.nms_triton import keep_best, options
from tests.kernels.cuda.machine_code import usage

SIGNATURE = {
    "boxes": "*fp32", "scores": "*fp32", "valid": "*u8", "keep": "*u8", "count": "i32", "threshold": "fp32",
    "ROWS": "constexpr",
}  # fmt: skip


def main() -> None:
    results = {}
    for rows in (32, 1024, 4096, 8192):
        source = ASTSource(keep_best, SIGNATURE, {(list(SIGNATURE).index("ROWS"),): rows})
        done = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options(rows))
        taken = usage(done.asm["cubin"])
        results[rows] = {**taken, "warps": done.metadata.num_warps, "fused": "fma" in done.asm["ptx"]}
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()

"""`torch.compile(fullgraph=True)` of blur on the CPU, over the same call without it.

    python -m benchmarks.compiled [--repeat N] [--json FILE]

A batch of 4 x 3 x 384 x 384 with five regions, uint8 and float32, on one thread. All sides run in turns; the figures
are medians. The bits of both are compared first; last it counts the graphs that 20 sizes take.

- eager: `fastblur.blur(images, regions)`.
- compiled: the same function, compiled.
- nothing: an operator of the same signature that does nothing, alone in a compiled graph: torch's own share of a call.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import fastblur
from benchmarks.common.command import parser, write_json
from benchmarks.common.measure import in_turns, medians

BOXES = [
    [[60, 50, 160, 180]],
    [[200, 100, 300, 240]],
    [[20, 30, 90, 120], [150, 150, 260, 300]],
    [[100, 100, 180, 200]],
]
SIZE = (4, 3, 384, 384)
SIZES = 20
LIBRARY = torch.library.Library("benchmark", "DEF")


def main() -> None:
    arguments = parser(__doc__, repeat=400).parse_args()
    torch.set_num_threads(1)
    regions = fastblur.Regions.from_boxes(BOXES)
    nothing, results = torch.compile(operator_that_does_nothing(), fullgraph=True), {}
    for dtype in (torch.uint8, torch.float32):
        name = str(dtype).removeprefix("torch.")
        results[name] = measured(images(SIZE, dtype), regions, nothing, arguments.repeat)
        shown = ", ".join(f"{side} {1e6 * taken:.0f} us" for side, taken in results[name]["median"].items())
        print(f"{name:8} {shown}; compiled over eager {results[name]['ratio']:.3f}")
    graphs = graphs_of_sizes(regions)
    print(f"{SIZES} sizes: {graphs} graphs")
    write_json(arguments.json, "benchmarks.compiled", {"size": SIZE, "graphs": graphs, **results})


def images(size: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return noise."""
    values = torch.randint(0, 256, size, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return values if dtype == torch.uint8 else values.to(dtype) / 255


def measured(
    batch: Tensor,  # (B, C, H, W)
    regions: fastblur.Regions,
    nothing: Callable[[Tensor, fastblur.Regions], Tensor],
    repeat: int,
) -> dict[str, Any]:
    """Time the sides on a batch; SystemExit where a compiled graph gives other bits."""
    torch._dynamo.reset()
    compiled = torch.compile(fastblur.blur, fullgraph=True)
    if not torch.equal(compiled(batch, regions), fastblur.blur(batch, regions)):
        raise SystemExit("the compiled graph gives other bits")
    seconds = in_turns(
        {
            "eager": lambda: fastblur.blur(batch, regions),
            "compiled": lambda: compiled(batch, regions),
            "nothing": lambda: nothing(batch, regions),
        },
        repeat,
    )
    median = medians(seconds)
    return {"median": median, "ratio": median["compiled"] / median["eager"]}


def operator_that_does_nothing() -> Callable[[Tensor, fastblur.Regions], Tensor]:
    """Return a function whose graph holds one operator, with the arguments of a blur."""
    LIBRARY.define("nothing(Tensor(a!)[] out, Tensor[] images, Tensor boxes, Tensor counts) -> ()")
    LIBRARY.impl("nothing", lambda *_: None, "CompositeExplicitAutograd")
    torch.library.register_fake("benchmark::nothing", lambda *_: None, lib=LIBRARY)
    operator = torch.ops.benchmark.nothing.default

    def function(batch: Tensor, regions: fastblur.Regions) -> Tensor:
        result = torch.empty_like(batch)
        operator([result], [batch], regions.boxes, regions.counts)
        return result

    return function


def graphs_of_sizes(regions: fastblur.Regions) -> int:
    """Return how many graphs further sizes take."""
    from torch._dynamo.testing import CompileCounterWithBackend

    torch._dynamo.reset()
    counter = CompileCounterWithBackend("inductor")
    compiled = torch.compile(fastblur.blur, fullgraph=True, backend=counter)
    for step in range(SIZES):
        compiled(images((4, 3, 320 + 7 * step, 330 + 5 * step), torch.uint8), regions)
    return int(counter.frame_count)


if __name__ == "__main__":
    main()

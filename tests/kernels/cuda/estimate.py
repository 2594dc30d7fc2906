"""Estimate how long blurring takes on an H100 from machine code and workload: nothing is run.

    python -m tests.kernels.cuda.estimate [--warps blend=2] [--programs blend=8] [--set HIGH=8] [--rate 2.5]

Each piece of work of a launch costs the instructions that its program has, loops as often as the region asks for. A
launch takes as long as all its instructions at `--rate` of them a cycle and multiprocessor (4 is the most, 1.6 usual),
or as its longest program at 5 cycles an instruction where that is longer; launches follow each other. Memory, caches
and what lies between launches are left out. It tells variants apart, and the hopeless from the rest; a measurement it
is not.
"""

import argparse
import heapq
import json
from math import ceil
from unittest import mock

import numpy as np
import torch
import triton

import fastblur
from benchmarks.common.workloads import SIZE, draw_count, draw_faces, draw_profile
from tests.kernels.cuda.fake_gpu import activate
from tests.kernels.cuda.machine_code import BYTE_WIDE, instructions, loops, usage

MULTIPROCESSORS, HERTZ, CYCLES, IMAGES = 132, 1.75e9, 5, 1_500_000
RECIPE = fastblur.RECIPES["default"]


@triton.jit
def _unchanged(value, *arguments):
    return value


@triton.jit
def _nothing(*arguments):
    pass


class Compiler:
    """Compiles what blurring uint8 images in place launches, without the parts that are not counted."""

    def __init__(self, layout: str) -> None:
        from fastblur.kernels.cuda import average, blend, launch, planner, smooth

        self.gpu, self.launch, self.layout = activate(90), launch, layout
        self.modules = {"average": average, "blend": blend, "smooth": smooth, "planner": planner}

    def programs(self, **without):
        known = len(self.gpu.programs)
        with mock.patch.dict(self.launch._kept, clear=True):
            for name, (module, stub) in without.items():
                self.modules[module].__dict__[name], without[name] = stub, (module, self.modules[module].__dict__[name])
            self._forget()
            images = torch.zeros(2, 3, *SIZE, dtype=torch.uint8)
            if self.layout == "channels_last":
                images = images.contiguous(memory_format=torch.channels_last)
            if self.layout == "odd":
                images = torch.zeros(2, 3, SIZE[0], SIZE[1] + 1, dtype=torch.uint8)[..., 1:]
            fastblur.blur(images, [[[10, 10, 80, 80]]] * 2, out=images, backend="cuda")
            for name, (module, original) in without.items():
                self.modules[module].__dict__[name] = original
            self._forget()
        return {program.name: program for program in reversed(self.gpu.programs[known:])}  # not their unaligned twins

    def _forget(self):
        """Let Triton look again at what the programs call."""
        for module in self.modules.values():
            for function in vars(module).values():
                if isinstance(function, triton.runtime.JITFunction):
                    function.hash = None
                    function.device_caches.clear()


def split(program, deep):
    """The instructions of a program outside the `deep` innermost loops that lie in one another, and in each of them."""
    found = loops(program.code)
    chain = [max(found, key=lambda one: (one["depth"], one["first"]))]
    while len(chain) < deep:
        inner = chain[-1]
        around = [one for one in found if one["first"] <= inner["first"] and inner["last"] <= one["last"]]
        chain.append(min((one for one in around if one["all"] > inner["all"]), key=lambda one: one["all"]))
    sizes = [len(instructions(program.code)), *(one["all"] for one in reversed(chain))]
    return [a - b for a, b in zip(sizes, [*sizes[1:], 0], strict=True)]


def costs(compiler):
    """The instructions a warp executes for each kind of work, and what the whole programs take."""
    whole = compiler.programs()
    border = {"_border_shares": ("average", _unchanged), "_border_rows": ("average", _unchanged)}
    taken = {
        name: {
            **usage(program.code), "shared": program.shared, "instructions": len(instructions(program.code)),
            "byte_wide": sum(bool(BYTE_WIDE.search(words)) for _, words in instructions(program.code)),
        }
        for name, program in whole.items()
    }  # fmt: skip
    several = split(whole["blend"], 1)
    counted = {
        "plan": [taken["plan_regions"]["instructions"]],
        "average": split(compiler.programs(**border)["average"], 2),
        "lines": split(compiler.programs(edge_block=("smooth", _nothing))["smooth"], 1),
        "edges": [len(instructions(compiler.programs(smooth_block=("smooth", _nothing))["smooth"].code))],
        "blend": split(compiler.programs(_several=("blend", _nothing))["blend"], 1),
        "another region": several,
    }
    return taken, counted


def work(rows, counted, plan, channels_together):
    """The instructions of each piece of work of each launch, one warp's, for the boxes of each image of a batch."""
    height, width = SIZE
    c = channels_together
    pieces = {"average": [], "smooth": [], "blend": []}
    high, wide = plan.HIGH.value, plan.WIDE.value
    tiles = []
    for boxes in rows:
        supports = []
        for box in boxes:
            d = max(box[2] - box[0], box[3] - box[1])
            sigma = max(0.5, RECIPE.strength * d)
            step = max(1, int(sigma / 2.25))
            reach, halo = max(2, ceil(3.5 * sigma / step)), int(step > 1)
            grow = RECIPE.margin * d + 3 * RECIPE.feather * d
            x0, y0 = max(0, ceil(box[0] - grow - 0.5)), max(0, ceil(box[1] - grow - 0.5))
            x1, y1 = min(width, int(box[2] + grow + 0.5)), min(height, int(box[3] + grow + 0.5))
            first = x0 // 4 * 4
            columns = -(-(ceil((x1 - first) / step) + 2 * reach) // 8) * 8
            lines = ceil((y1 - y0) / step) + 2 * halo
            cells = max(1, min(plan.POSITIONS.value // (c * step), plan.CELLS.value // c))
            blocks = ceil(columns / cells) * ceil((lines + 2 * reach) / plan.CELL_ROWS.value) * (1 if c > 1 else 3)
            setup, x_loop, y_loop = counted["average"]
            one = setup + ceil(c * cells * step / plan.POSITIONS.value) * (x_loop + min(step, height) * y_loop)
            pieces["average"] += [one] * blocks
            across = plan.ACROSS.value // (2 if step == 1 else 1)
            blocks = ceil((x1 - first) / across) * ceil(lines / plan.LINES.value)
            pieces["smooth"] += [counted["lines"][0] + 3 * counted["lines"][1]] * blocks
            pieces["smooth"] += counted["edges"] * ceil((c * (x1 - first) + y1 - y0) / plan.EDGES.value)
            supports.append((c * x0 // wide, y0 // high, ceil(c * x1 / wide), ceil(y1 / high)))
        touched = {}
        for tile_x, tile_y, end_x, end_y in supports:
            for y in range(tile_y, end_y):
                for x in range(tile_x, end_x):
                    touched[x, y] = touched.get((x, y), 0) + 1
                    tiles.append(0)
        planes = 1 if c > 1 else 3
        setup, channel = counted["blend"]
        for regions in touched.values():
            extra = (regions > 1) * regions * (planes * (sum(counted["another region"][1:]) + 100) + 200)
            pieces["blend"].append(setup + planes * channel + extra)
        pieces["blend"] += [setup // 2] * (sum((c - a) * (d - b) for a, b, c, d in supports) - len(touched))
    return pieces


def seconds(rows, counted, taken, launch, plan, together, rate):
    """The seconds of each launch: those that its instructions take, and those of its longest program."""
    regions = sum(len(boxes) for boxes in rows)
    result = {}
    rounds = ceil(regions / plan.REGIONS_AT_ONCE.value)
    result["plan"] = {"issued": 0.0, "longest": counted["plan"][0] * max(1, rounds) * CYCLES / HERTZ}
    for name, pieces in work(rows, counted, plan, together).items():
        warps = launch.OPTIONS[name]["num_warps"]
        registers = -(-taken[name]["registers"] // 8) * 8 * 32 * warps
        resident = min(65536 // registers, 64 // warps, 32, 232448 // (taken[name]["shared"] + 1024))
        programs = MULTIPROCESSORS * launch.PROGRAMS[name]
        issued = (sum(pieces) + 50 * programs) * warps / (MULTIPROCESSORS * HERTZ * rate)
        # Programs start in order, each where one has ended.
        free = [0] * min(programs, MULTIPROCESSORS * resident)
        for i in range(programs):
            heapq.heapreplace(free, free[0] + 50 + sum(pieces[i::programs]))
        result[name] = {"issued": issued, "longest": max(free) * CYCLES / HERTZ}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("warps", "registers", "stages", "programs", "set"):
        parser.add_argument(f"--{option}", action="append", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--rate", type=float, default=2.5, help="instructions a cycle and multiprocessor")
    parser.add_argument(
        "--layout",
        choices=("contiguous", "channels_last", "odd"),
        default="contiguous",
        help="odd: widths that are no multiple of 4",
    )
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    changes = {
        option: {name: int(number) for name, number in (pair.split("=") for pair in getattr(arguments, option))}
        for option in ("warps", "registers", "stages", "programs", "set")
    }
    from fastblur.kernels.cuda import plan

    for name, number in changes["set"].items():
        setattr(plan, name, triton.language.constexpr(number))  # before the programs' files import it
    compiler = Compiler(arguments.layout)
    launch = compiler.launch
    for name, number in changes["warps"].items():
        launch.OPTIONS[name]["num_warps"] = number
    for name, number in changes["registers"].items():
        launch.OPTIONS[name]["maxnreg"] = number
    for name, number in changes["stages"].items():
        launch.OPTIONS[name]["num_stages"] = number
    launch.PROGRAMS |= changes["programs"]
    taken, counted = costs(compiler)
    rng = np.random.default_rng(0)
    batches = {
        f"profile {size}": draw_profile(np.random.default_rng(0), [SIZE] * size) for size in (32, 256, 512, 1024)
    }
    batches["512, all with faces"] = [draw_faces(rng, *SIZE, draw_count(rng)) for _ in range(512)]
    together = 3 if arguments.layout == "channels_last" else 1
    results = {"triton": triton.__version__, "taken": taken, "instructions": counted, "batches": {}}
    for title, rows in batches.items():
        took = seconds(rows, counted, taken, launch, plan, together, arguments.rate)
        total = sum(max(one.values()) for one in took.values())
        results["batches"][title] = {"launches": took, "seconds": total, "million": IMAGES / len(rows) * total}
    if arguments.json:
        print(json.dumps(results))
        return
    for name, row in {**taken, **counted}.items():
        print(f"{name:14} {row}")
    for title, row in results["batches"].items():
        parts = ", ".join(
            f"{name} {1e6 * one['issued']:.1f} or {1e6 * one['longest']:.1f}" for name, one in row["launches"].items()
        )
        print(f"{title:20} {1e6 * row['seconds']:7.1f} us ({parts}); 1.5 million images {row['million']:.3f} s")


if __name__ == "__main__":
    main()

"""docs/benchmarks.md and the figures of README.md from the newest result files.

    python -m benchmarks.report [--results DIR] [--docs DIR]

Of each kind of result (the command's module, and its mode) the file with the newest date counts. A kind without a file
has no section. Nothing on the page is written by hand; how it was measured stands in docs/how-we-measure.md.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.common.measure import ROOT

Result = dict[str, Any]
MARKS = "<!-- made by python -m benchmarks.report -->", "<!-- end -->"
HEAD = """# Benchmarks

Every table and figure on this page is made by `python -m benchmarks.report` from the result files in
`benchmarks/results`; beside each stands the command that measured it, with machine and date.
[How we measure](how-we-measure.md) says what the figures mean and what would make them wrong. `x` is how many times as
long the peer takes, or how many times as many images a second.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    arguments = parser.parse_args()
    results = newest(arguments.results)
    (arguments.docs / "benchmarks.md").write_text(page(results), encoding="utf-8")
    readme = arguments.docs.parent / "README.md"
    if readme.exists():
        readme.write_text(with_figures(readme.read_text("utf-8"), results), encoding="utf-8")
    draw(results, arguments.docs / "figures")


def newest(folder: Path) -> dict[str, Result]:
    """Return the newest result of each kind, by kind: the module, and the mode or device where there is one."""
    found: dict[str, Result] = {}
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text())
        kind = kind_of(result)
        if kind not in found or date_of(result) > date_of(found[kind]):
            found[kind] = result
    return found


def kind_of(result: Result) -> str:
    """Return what is measured: "operators", "imagenet_scale boxes", "suites", "gpu"."""
    if "benchmarks" in result:
        return "suites"
    module = next(part for part in result["command"].split() if part.startswith("benchmarks."))
    return " ".join([module.removeprefix("benchmarks."), *([result["mode"]] if "mode" in result else [])])


def date_of(result: Result) -> str:
    return str(result.get("date") or result["datetime"])


def page(results: dict[str, Result]) -> str:
    """Return the page's text."""
    parts = [HEAD]
    scale = {mode: results[kind] for mode in MODES if (kind := f"imagenet_scale {mode}") in results}
    if scale:
        parts.append(at_scale(scale))
    sections: dict[str, Callable[[Result], str]] = {
        "operators": operators, "scaling": scaling, "run_folder": run_folder, "run_dataset": run_dataset,
        "suites": suites, "gpu": gpu,
    }  # fmt: skip
    parts += [section(results[kind]) for kind, section in sections.items() if kind in results]
    return "\n".join(parts)


def with_figures(readme: str, results: dict[str, Result]) -> str:
    """Return README's text with what stands between its marks made anew."""
    before, _, rest = readme.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n{in_short(results)}{MARKS[1]}{after}" if after else readme


def in_short(results: dict[str, Result]) -> str:
    """Return the few figures that README shows."""
    said = {
        "operator": "blur, decoded images in memory",
        "boxes": "`fastblur run --boxes`, JPEG files to JPEG files",
        "detect": "`fastblur run`, faces found by CenterFace",
    }
    rows, machine = [], ""
    for mode, what in said.items():
        if (result := results.get(f"imagenet_scale {mode}")) is None:
            continue
        whole = result["measured_images"] == result["images"]
        time = clock(result["seconds"]) if whole else f"{clock(result['extrapolated_seconds'])}, extrapolated"
        ratios = [
            f"{result['images_per_second'] / result[f'{side}_images_per_second']:.2g} x {result[side]['what']}"
            for side in ("peer", "floor")
        ]
        rows.append([what, time, f"{result['images_per_second']:,.0f}", *ratios])
        machine = f"{result['machine']['cpus']} CPUs ({result['machine']['processor']}), {result['date'][:10]}"
    parts = ["![Milliseconds an image, beside others](docs/figures/peers.svg)\n"] if "operators" in results else []
    if rows:
        head = ["1.5 million images, 17 % with faces", "time", "images a second", "peer", "floor"]
        parts.append(f"`python -m benchmarks.imagenet_scale --mode operator|boxes|detect`, {machine}:\n")
        parts.append(table(head, rows))
    if "operators" in results:
        result = results["operators"]
        worst = max(values["max"] for values in result["error"].values())
        mean = max(values["mean"] for values in result["error"].values())
        parts.append(
            f"Against the formula in float64 a pixel is off by {worst:.2f} levels of 255 at most, {mean:.2f} on "
            f"average (`{result['command'].split(' --json')[0]}`, {result['date'][:10]}). "
            "[All figures](docs/benchmarks.md), [how we measure](docs/how-we-measure.md).\n"
        )
    return "\n".join(parts)


def draw(results: dict[str, Result], folder: Path) -> None:
    """Draw the figures that the page shows."""
    from benchmarks.report import figures

    if "operators" in results:
        figures.peers(results["operators"]["peers"], folder / "peers.svg")
    if "scaling" in results:
        figures.workers(results["scaling"]["workers"], folder / "workers.svg")
        for axis in figures.LABELS:
            figures.series(axis, results["scaling"][axis], folder / f"{axis}.svg")
    scale = {mode: results[kind] for mode in MODES if (kind := f"imagenet_scale {mode}") in results}
    if scale:
        figures.over_time(scale, folder / "over_time.svg")


MODES = ("operator", "boxes", "detect")


def origin(result: Result) -> str:
    """Return command, machine, versions and date."""
    machine, versions = result["machine"], result["versions"]
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"`{result['command']}`, {result['date'][:10]}, {machine['processor']}, {machine['cpus']} CPUs, "
        f"{machine['system']}; {told}." + (f" Workload: {result['workload']}." if "workload" in result else "")
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def at_scale(results: dict[str, Result]) -> str:
    """Return the section on 1.5 million images."""
    parts = ["## 1.5 million images\n"]
    rows = []
    for mode, result in results.items():
        measured, images = result["measured_images"], result["images"]
        time = (
            clock(result["seconds"])
            if measured == images
            else f"extrapolated: {clock(result['extrapolated_seconds'])} "
            f"({clock(result['extrapolated_interval'][0])} to {clock(result['extrapolated_interval'][1])})"
        )
        cells = [f"`{mode}`", f"{measured:,} of {images:,}", time, f"{result['images_per_second']:,.0f}"]
        for side in ("floor", "peer"):
            ratio = result["images_per_second"] / result[f"{side}_images_per_second"]
            cells.append(f"{result[side]['what']}: {ratio:.2f} x")
        p50, p99 = (1000 * result["batch_seconds"][name] for name in ("p50", "p99"))
        cells.append(f"{p50:,.1f}, {p99:,.1f} ms for {result['batch_images']}")
        cells.append(f"{result['peak_memory_bytes'] / 2**20:,.0f} MiB")
        cells.append(f"{result['bytes_read'] / 1e9:,.0f}, {result['bytes_written'] / 1e9:,.0f} GB")
        rows.append(cells)
    head = ["mode", "measured", "time for all", "images a second", "over the floor", "over the peer"]
    parts.append(table([*head, "batch, p50 and p99", "peak memory", "read, written"], rows))
    if "boxes" in results:
        result = results["boxes"]
        more = [
            f"{result[side]['what']}: {result['images_per_second'] / result[f'{side}_images_per_second']:.2f} x"
            for side in ("peer_divided", "every")
        ]
        parts.append(f"`boxes` beside others, measured in the same run: {'; '.join(more)}.\n")
    parts.append("![Images a second over the course of each run](figures/over_time.svg)\n")
    parts += [origin(result) + "\n" for result in results.values()]
    return "\n".join(parts)


def clock(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def operators(result: Result) -> str:
    """Return the section on blur beside its peers."""
    parts = ["## blur beside its peers\n"]
    if "peers" in result:
        peers = result["peers"]
        rows = []
        for name, milliseconds in sorted(peers["milliseconds"].items(), key=lambda pair: pair[1]):
            known = peers["peers"].get(name, {"package": "", "version": "", "lacks": ""})
            ratio = peers["ratio"][name]
            version = f"{known['package']} {known['version']}".strip()
            rows.append([name, version, f"{milliseconds:.3f}", f"{ratio:.2f} x", known["lacks"]])
        parts.append("![Milliseconds an image](figures/peers.svg)\n")
        head = ["peer", "package", "ms an image, one thread", "over fastblur", "what it does not do"]
        parts.append(table(head, rows))
        for name, reason in peers["absent"].items():
            parts.append(f"`{name}` is absent: it does not run beside these packages ({reason}).\n")
    if "error" in result:
        rows = [
            [f"`{recipe}`", f"{values['max']:.2f}", f"{values['mean']:.3f}", str(values["changed_outside_the_support"])]
            for recipe, values in result["error"].items()
        ]
        parts.append("Error against the formula in float64, in levels of 255, over the support:\n")
        parts.append(table(["recipe", "largest", "mean", "changed outside"], rows))
    if "threads" in result:
        rows = [
            [title, *(f"{speed:.2f} x" for speed in values["speedup"].values())]
            for title, values in result["threads"].items()
        ]
        counts = list(next(iter(result["threads"].values()))["speedup"])
        parts.append(table(["batch of 64, speed over one thread", *counts], rows))
    if "start" in result:
        start = result["start"]
        calls = start["first_call_seconds"]
        parts.append(
            f"`import fastblur` and its operator take {start['ratio']:.2f} x as long as `import torch, kornia`. The "
            f"first call ever takes {calls['compiled']:.1f} s (the loops are compiled), that of later processes "
            f"{calls['cached']:.2f} s.\n"
        )
    return "\n".join([*parts, origin(result) + "\n"])


def scaling(result: Result) -> str:
    """Return the section with the figures over workers, batch, sigma, faces and image."""
    titles = {
        "workers": "workers", "batch": "batch", "sigma": "sigma", "face": "size of the face",
        "faces": "number of faces", "image": "size of the image",
    }  # fmt: skip
    parts = ["## What speed hangs on\n"]
    for axis, title in titles.items():
        if axis not in result:
            continue
        values = result[axis]["milliseconds"]
        points = list(dict.fromkeys(point for side in values.values() for point in side))
        rows = [[name, *(f"{side[p]:.3f}" if p in side else "" for p in points)] for name, side in values.items()]
        parts.append(f"### {title[0].upper()}{title[1:]}\n\n![By {title}](figures/{axis}.svg)\n")
        parts.append(table(["ms an image", *points], rows))
        if "run" in result[axis]:
            rates = result[axis]["run"]["images_a_second"]
            parts.append(
                table(["`fastblur run`, images a second", *rates], [["", *(f"{r:,.0f}" for r in rates.values())]])
            )
    return "\n".join([*parts, origin(result) + "\n"])


def run_folder(result: Result) -> str:
    """Return the section on the command within one process."""
    rows = []
    for title, values in result["tables"].items():
        rates = [f"{values['images_a_second'][side]:,.0f}" for side in ("run", "floor", "floor with files")]
        rows.append([title, *rates, *(f"{ratio:.2f}" for ratio in values["ratio"].values())])
    head = ["250 files", "run, images a second", "floor", "floor with files", "run over floor", "over floor with files"]
    text = "Threads of one process, boxes given, as many threads on each side; see the command's help for the floors.\n"
    return "\n".join(["## A small folder\n", text, table(head, rows), origin(result) + "\n"])


def run_dataset(result: Result) -> str:
    """Return the section on the command as people call it."""
    parts = ["## The command\n"]
    if "boxes" in result:
        whole, within = result["boxes"]["seconds_whole_process"], result["boxes"]["seconds_without_start"]
        rows = [[name, *rate_and_ratio(whole, name), *rate_and_ratio(within, name)] for name in whole]
        head = ["2,000 files, boxes given", "images a second, whole process", "", "without the start", ""]
        parts.append(table(head, rows))
    if "detect" in result:
        seconds = result["detect"]["seconds"]
        rates = ", ".join(f"{name} {result['detect']['images'] / value:,.1f}" for name, value in seconds.items())
        parts.append(f"With detection, whole processes, images a second: {rates}; {result['detect']['ratio']:.2f} x.\n")
    if "memory" in result:
        values = result["memory"]["mebibytes"]
        told = ", ".join(f"{value:,.0f} MiB at {int(count):,} images" for count, value in values.items())
        parts.append(f"Memory of all its processes: {told}; {result['memory']['ratio']:.2f} x.\n")
    if "start" in result:
        start = result["start"]
        parts.append(
            f"In a tree of 100,000 files the first image is written after {start['first_image_seconds']:.1f} s, and "
            f"the same command again, with all of it done, takes {start['resume_seconds']:.1f} s.\n"
        )
    if "ray" in result:
        parts.append(f"Two Ray workers over one local worker: {result['ray']['ratio']:.2f} x.\n")
    return "\n".join([*parts, origin(result) + "\n"])


def rate_and_ratio(seconds: dict[str, float], name: str) -> tuple[str, str]:
    """Return images a second of a side, and how many times as long as fastblur it takes."""
    return f"{2000 / seconds[name]:,.0f}", f"{seconds[name] / seconds['fastblur run']:.2f} x"


def suites(result: Result) -> str:
    """Return the section on the pytest-benchmark suites."""
    groups: dict[str, list[Result]] = {}
    for one in result["benchmarks"]:
        groups.setdefault(one["group"], []).append(one)
    rows = []
    for group, members in groups.items():
        best = min(one["median"] for one in members)
        for one in sorted(members, key=lambda one: one["median"]):
            rows.append([group, f"`{one['name']}`", f"{1000 * one['median']:.3f}", f"{one['median'] / best:.2f} x"])
    head = ["group", "test", "median, ms", "over the fastest"]
    return "\n".join(["## All suites\n", table(head, rows), origin(result) + "\n"])


def gpu(result: Result) -> str:
    """Return where the GPU's figures are."""
    return "\n".join(["## On a GPU\n", "See [the GPU kernel](gpu.md).\n", origin(result) + "\n"])

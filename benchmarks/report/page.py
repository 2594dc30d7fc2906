"""The text of docs/benchmarks.md: a section for each kind of result, and at its end where they come from."""

from collections.abc import Callable

from benchmarks.report.results import Result, at_scale, clock, over, table

HEAD = """# Benchmarks

`python -m benchmarks.report` makes every table and figure on this page from the result files in `benchmarks/results`;
[the end of the page](#provenance) says which command measured them, when, and on which machine.
[How we measure](how-we-measure.md) says what the figures mean and what would make them wrong. `x` is how many times as
long the peer takes, or how many times as many images a second.
"""
AXES = {
    "workers": "workers", "batch": "batch", "sigma": "sigma", "face": "size of the face",
    "faces": "number of faces", "image": "size of the image", "dtype": "dtype", "layout": "layout",
}  # fmt: skip


def page(results: dict[str, Result]) -> str:
    """Return the page's text."""
    sections: dict[str, Callable[[Result], list[str]]] = {
        "operators": operators, "scaling": scaling, "run_folder": run_folder, "run_dataset": run_dataset,
        "suites": suites, "gpu": gpu,
    }  # fmt: skip
    parts = [HEAD]
    if scale := at_scale(results):
        parts += million(scale)
    for kind, section in sections.items():
        if kind in results:
            parts += section(results[kind])
    order = [*(f"imagenet_scale {mode}" for mode in scale), *(kind for kind in sections if kind in results)]
    return "\n".join([*parts, *provenance([results[kind] for kind in order])])


def provenance(results: list[Result]) -> list[str]:
    """Return the section with each result's command, date, workload and machine."""
    machines: dict[str, str] = {}
    rows = []
    for result in results:
        machine = result["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
        text = f"{machine['processor']}, {machine['cpus']} CPUs, {machine['system']}; {versions}."
        letter = machines.setdefault(text, chr(ord("A") + len(machines)))
        rows.append([f"`{result['command']}`", result["date"][:10], result.get("workload", ""), letter])
    parts = ["## Provenance\n", table(["command", "date", "workload", "machine"], rows)]
    return [*parts, *(f"Machine {letter}: {text}\n" for text, letter in machines.items())]


def million(results: dict[str, Result]) -> list[str]:
    """Return the section on 1.5 million images."""
    rows = []
    for mode, result in results.items():
        measured, images = result["measured_images"], result["images"]
        time = clock(result["seconds"])
        if measured < images:
            low, high = map(clock, result["extrapolated_interval"])
            time = f"extrapolated: {clock(result['extrapolated_seconds'])} ({low} to {high})"
        p50, p99 = (1000 * result["batch_seconds"][name] for name in ("p50", "p99"))
        rows.append([
            f"`{mode}`", f"{measured:,} of {images:,}", time, f"{result['images_per_second']:,.0f}",
            *(f"{result[side]['what']}: {over(result, side):.2f} x" for side in ("floor", "peer")),
            f"{p50:,.1f}, {p99:,.1f} ms for {result['batch_images']}",
            f"{result['peak_memory_bytes'] / 2**20:,.0f} MiB",
            f"{result['bytes_read'] / 1e9:,.0f}, {result['bytes_written'] / 1e9:,.0f} GB",
        ])  # fmt: skip
    head = ["mode", "measured", "time for all", "images a second", "over the floor", "over the peer"]
    parts = ["## 1.5 million images\n", table([*head, "batch, p50 and p99", "peak memory", "read, written"], rows)]
    if (result := results.get("boxes")) is not None:
        more = [f"{result[side]['what']}: {over(result, side):.2f} x" for side in ("peer_divided", "every")]
        parts.append(f"`boxes` next to others, measured in the same run: {'; '.join(more)}.\n")
    return [*parts, "![Images a second over the course of each run](figures/over_time.svg)\n"]


def operators(result: Result) -> list[str]:
    """Return the section on blur next to its peers."""
    parts = ["## blur next to its peers\n"]
    if (peers := result.get("peers")) is not None:
        rows = []
        for name, milliseconds in sorted(peers["milliseconds"].items(), key=lambda pair: pair[1]):
            known = peers["peers"].get(name, {"package": "", "version": "", "lacks": ""})
            version = f"{known['package']} {known['version']}".strip()
            rows.append([name, version, f"{milliseconds:.3f}", f"{peers['ratio'][name]:.2f} x", known["lacks"]])
        head = ["peer", "package", "ms an image, one thread", "over fastblur", "what it does not do"]
        parts += ["![Milliseconds per image](figures/peers.svg)\n", table(head, rows)]
        for name, reason in peers["absent"].items():
            parts.append(f"`{name}` is absent: it does not run together with these packages ({reason}).\n")
    if "error" in result:
        rows = [
            [f"`{recipe}`", f"{values['max']:.2f}", f"{values['mean']:.3f}", str(values["changed_outside_the_support"])]
            for recipe, values in result["error"].items()
        ]
        parts.append("Error against the formula in float64, in levels of 255, over the support:\n")
        parts.append(table(["recipe", "largest", "mean", "changed outside"], rows))
    if (start := result.get("start")) is not None:
        calls = start["first_call_seconds"]
        parts.append(
            f"`import fastblur` and its operator take {start['ratio']:.2f} x as long as `import torch, kornia`. The "
            f"first call ever takes {calls['compiled']:.1f} s (the loops are compiled), that of later processes "
            f"{calls['cached']:.2f} s.\n"
        )
    return parts


def scaling(result: Result) -> list[str]:
    """Return the section on what the speed depends on."""
    parts = ["## What the speed depends on\n"]
    for axis, title in AXES.items():
        if axis not in result:
            continue
        parts.append(f"### {title[0].upper()}{title[1:]}\n")
        if axis not in ("dtype", "layout"):
            parts.append(f"![By {title}](figures/{axis}.svg)\n")
        parts.append(by_point("ms an image", result[axis]["milliseconds"], 3))
        if (cost := result[axis].get("nanoseconds_a_support_pixel")) is not None:
            parts.append(by_point("ns a pixel of the support", cost, 2))
        if (run := result[axis].get("run")) is not None:
            parts.append(by_point("images a second", {"`fastblur run`": run["images_a_second"]}, 0))
    return parts


def by_point(title: str, values: dict[str, dict[str, float]], digits: int) -> str:
    """Return a table of values by side and point."""
    points = list(dict.fromkeys(point for side in values.values() for point in side))
    cells = ([name, *(f"{side[p]:,.{digits}f}" if p in side else "" for p in points)] for name, side in values.items())
    return table([title, *points], cells)


def run_folder(result: Result) -> list[str]:
    """Return the section on the command within one process."""
    rows = []
    for title, values in result["tables"].items():
        rates = [f"{values['images_a_second'][side]:,.0f}" for side in ("run", "floor", "floor with files")]
        rows.append([title, *rates, *(f"{ratio:.2f}" for ratio in values["ratio"].values())])
    head = ["250 files", "run, images a second", "floor", "floor with files", "run over floor", "over floor with files"]
    text = "Threads of one process, boxes given, as many threads on each side; see the command's help for the floors.\n"
    return ["## A small folder\n", text, table(head, rows)]


def run_dataset(result: Result) -> list[str]:
    """Return the section on the command as people call it."""
    parts = ["## The command\n"]
    if (boxes := result.get("boxes")) is not None:
        rows = []
        for name in boxes["seconds_whole_process"]:
            cells = [name]
            for seconds in (boxes["seconds_whole_process"], boxes["seconds_without_start"]):
                cells += [f"{2000 / seconds[name]:,.0f}", f"{seconds[name] / seconds['fastblur run']:.2f} x"]
            rows.append(cells)
        head = ["2,000 files, boxes given", "images a second, whole process", "", "without the start", ""]
        parts.append(table(head, rows))
    if (detect := result.get("detect")) is not None:
        rates = ", ".join(f"{name} {detect['images'] / value:,.1f}" for name, value in detect["seconds"].items())
        parts.append(f"With detection, whole processes, images a second: {rates}; {detect['ratio']:.2f} x.\n")
    if (memory := result.get("memory")) is not None:
        peaks = ", ".join(f"{mib:,.0f} MiB at {int(count):,} images" for count, mib in memory["mebibytes"].items())
        parts.append(f"Memory of all its processes: {peaks}; {memory['ratio']:.2f} x.\n")
    if (start := result.get("start")) is not None:
        parts.append(
            f"In a tree of 100,000 files the first image is written after {start['first_image_seconds']:.1f} s, and "
            f"the same command again, with all of it done, takes {start['resume_seconds']:.1f} s.\n"
        )
    if "ray" in result:
        parts.append(f"Two Ray workers over one local worker: {result['ray']['ratio']:.2f} x.\n")
    return parts


def suites(result: Result) -> list[str]:
    """Return the section on the pytest-benchmark suites, folded away."""
    groups: dict[str, list[Result]] = {}
    for one in result["benchmarks"]:
        groups.setdefault(one["group"], []).append(one)
    rows = []
    for group, members in groups.items():
        best = min(one["median"] for one in members)
        for one in sorted(members, key=lambda one: one["median"]):
            rows.append([group, f"`{one['name']}`", f"{1000 * one['median']:.3f}", f"{one['median'] / best:.2f} x"])
    opening = f'<details markdown="1">\n<summary>{len(rows)} measurements in {len(groups)} groups</summary>\n'
    return [
        "## All suites\n",
        opening,
        table(["group", "test", "median, ms", "over the fastest"], rows),
        "</details>\n",
    ]


def gpu(result: Result) -> list[str]:
    """Return where the GPU's figures are."""
    return ["## On a GPU\n", "See [the GPU kernel](gpu.md).\n"]

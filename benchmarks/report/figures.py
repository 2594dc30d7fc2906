"""The figures of docs/benchmarks.md, drawn from result files."""

from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.ticker import NullLocator

from benchmarks.report.results import Result, at_scale

mpl.rcParams.update({"svg.hashsalt": "fastblur", "svg.fonttype": "none", "axes.spines.top": False})
mpl.rcParams.update({"axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3, "font.size": 9})

OURS, THEIRS = "#0b6e99", "#9a9a9a"
MARKERS = ("s", "^", "v", "D", "P", "X")
LABELS = {
    "batch": "images a call",
    "sigma": "sigma, pixels",
    "face": "longer side of the face, pixels",
    "faces": "faces of 40 px in the image",
    "image": "pixels of the image (face of 80 px)",
}


def draw(results: dict[str, Result], folder: Path) -> None:
    """Draw the figures that the page shows."""
    if "peers" in results.get("operators", {}):
        peers(results["operators"]["peers"], folder / "peers.svg")
    scaling = results.get("scaling", {})
    known = scaling.get("peers", {})
    for axis in ("workers", *LABELS):
        if axis in scaling:
            same = {name: line for name, line in scaling[axis]["milliseconds"].items()
                    if known.get(name, {}).get("same", True)}  # fmt: skip
            if axis == "workers":
                workers(same, scaling[axis]["run"]["images_a_second"], folder / "workers.svg")
            else:
                series(axis, same, folder / f"{axis}.svg")
    if scale := at_scale(results):
        over_time(scale, folder / "over_time.svg")


def save(figure: Any, path: Path, legend: bool = False) -> None:
    if legend:
        figure.axes[0].legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def lines(axes: Any, values: dict[str, dict[str, float]]) -> None:
    """Plot a line for each side over its points; a side with one point is a level over the whole figure."""
    markers, dashes = cycle(MARKERS), cycle(("-", "--"))
    every = sorted({float(point) for line in values.values() for point in line})
    for name, line in values.items():
        if name.startswith("fastblur"):
            style = {"color": OURS, "marker": "o", "linewidth": 2.5, "linestyle": next(dashes)}
        else:
            style = {"color": THEIRS, "marker": next(markers)}
        x, y = [float(point) for point in line], list(line.values())
        if len(x) == 1:
            x, y, style["linestyle"] = every, y * len(every), ":"
        axes.plot(x, y, label=name, **style)


def peers(result: Result, path: Path) -> None:
    """Bars of milliseconds an image; those that do less than the ilsvrc recipe in another pattern."""
    rows = sorted(result["milliseconds"].items(), key=lambda pair: -pair[1])
    rows = [row for row in rows if row[0] in result["peers"]]
    figure, axes = plt.subplots(figsize=(8, 0.35 * len(rows) + 1))
    for i, (name, value) in enumerate(rows):
        same = result["peers"][name].get("same", True)
        color = OURS if name.startswith("fastblur") else THEIRS
        axes.barh(i, value, color=color, hatch="" if same else "///", edgecolor="white")
        axes.text(value * 1.08, i, f"{value:.3g}", va="center")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set(xscale="log", xlabel="milliseconds an image, one thread (less is better; hatched: hides less)")
    axes.set_xlim(right=max(value for _, value in rows) * 2.5)
    axes.grid(visible=False, axis="y")
    save(figure, path)


def series(axis: str, values: dict[str, dict[str, float]], path: Path) -> None:
    """Lines of milliseconds an image over what is varied."""
    figure, axes = plt.subplots(figsize=(7, 3.4))
    lines(axes, values)
    points = list(dict.fromkeys(point for line in values.values() for point in line))
    axes.set(xscale="log", yscale="log", xlabel=LABELS[axis], ylabel="milliseconds an image, one thread")
    axes.set_xticks([float(point) for point in points], [f"{int(point):,}" for point in points])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=0.5 * min(min(line.values()) for line in values.values()))
    save(figure, path, legend=True)


def workers(values: dict[str, dict[str, float]], rates: dict[str, float], path: Path) -> None:
    """Speed over one worker, of the operator and its peers, and of the command."""
    figure, axes = plt.subplots(figsize=(7, 3.4))
    lines(axes, {name: {n: line["1"] / value for n, value in line.items()} for name, line in values.items()})
    counts = [int(n) for n in rates]
    speed = [rate / rates["1"] for rate in rates.values()]
    axes.plot(counts, speed, color=OURS, linestyle="--", marker="o", label="fastblur run")
    axes.plot([1, max(counts)], [1, max(counts)], color="black", linewidth=0.6, label="as many times as workers")
    axes.set(xlabel="workers: threads of the operator, processes of the command", ylabel="speed over one worker")
    axes.set_xticks(counts)
    save(figure, path, legend=True)


def over_time(results: dict[str, Result], path: Path) -> None:
    """Images a second over the course of each run, relative to its mean: throttling would be a slope."""
    figure, axes = plt.subplots(figsize=(7, 2.6))
    for (mode, result), marker in zip(results.items(), ("o", *MARKERS), strict=False):
        rates = result["images_per_second_over_time"]
        mean = sum(rates) / len(rates)
        parts = [(i + 0.5) / len(rates) for i in range(len(rates))]
        axes.plot(parts, [rate / mean for rate in rates], marker=marker, label=mode)
    axes.set_ylim(0, 1.1 * axes.get_ylim()[1])  # the markers of the highest rates stay whole
    axes.set(xlabel="part of the run", ylabel="images a second\nover their mean")
    save(figure, path, legend=True)

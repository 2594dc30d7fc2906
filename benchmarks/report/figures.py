"""The figures of docs/benchmarks.md, drawn from result files; `benchmarks.report` calls this."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

mpl.rcParams.update({"svg.hashsalt": "fastblur", "svg.fonttype": "none", "axes.spines.top": False})
mpl.rcParams.update({"axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3, "font.size": 9})

OURS, THEIRS = "#0b6e99", "#9a9a9a"
SHAPES = ("s", "^", "v", "D", "P", "X")
LABELS = {
    "batch": ("images a call", "milliseconds an image, one thread"),
    "sigma": ("sigma, pixels (face of 200 px)", "milliseconds an image, one thread"),
    "face": ("longer side of the face, pixels", "milliseconds an image, one thread"),
    "faces": ("faces of 40 px in the image", "milliseconds an image, one thread"),
    "image": ("pixels of the image (face of 80 px)", "milliseconds an image, one thread"),
}


def save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def peers(result: dict[str, Any], path: Path) -> None:
    """Bars of milliseconds an image; those that do less than the ilsvrc recipe in another pattern."""
    rows = sorted(result["milliseconds"].items(), key=lambda pair: -pair[1])
    rows = [row for row in rows if row[0] in result["peers"]]
    figure, axes = plt.subplots(figsize=(8, 0.35 * len(rows) + 1))
    for i, (name, value) in enumerate(rows):
        ours = name.startswith("fastblur")
        same = result["peers"][name].get("same", True)
        axes.barh(i, value, color=OURS if ours else THEIRS, hatch="" if same else "///", edgecolor="white")
        axes.text(value * 1.08, i, f"{value:.3g}", va="center")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_xscale("log")
    axes.set_xlim(right=max(value for _, value in rows) * 2.5)
    axes.set_xlabel("milliseconds an image, one thread (less is better; hatched: hides less)")
    axes.grid(visible=False, axis="y")
    save(figure, path)


def series(axis: str, result: dict[str, Any], path: Path) -> None:
    """Lines of milliseconds an image over what is varied."""
    figure, axes = plt.subplots(figsize=(7, 3.4))
    shapes = iter(SHAPES)
    for name, values in result["milliseconds"].items():
        points = [float(point) for point in values]
        ours = name.startswith("fastblur")
        style = {"color": OURS, "linewidth": 2.5, "marker": "o"} if ours else {"color": THEIRS, "marker": next(shapes)}
        if len(points) == 1:
            axes.axhline(next(iter(values.values())), linestyle=":", label=name, color=THEIRS)
        else:
            axes.plot(points, list(values.values()), label=name, **style)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel(LABELS[axis][0])
    axes.set_ylabel(LABELS[axis][1])
    axes.set_ylim(bottom=0.5 * min(min(values.values()) for values in result["milliseconds"].values()))
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    save(figure, path)


def workers(result: dict[str, Any], path: Path) -> None:
    """Speed over one worker, of the operator beside its peers, and of the command."""
    figure, axes = plt.subplots(figsize=(7, 3.4))
    shapes = iter(SHAPES)
    for name, values in result["milliseconds"].items():
        one = values["1"]
        ours = name.startswith("fastblur")
        style = {"color": OURS, "linewidth": 2.5, "marker": "o"} if ours else {"color": THEIRS, "marker": next(shapes)}
        axes.plot([int(n) for n in values], [one / value for value in values.values()], label=name, **style)
    rates = result["run"]["images_a_second"]
    speed = [rate / rates["1"] for rate in rates.values()]
    axes.plot([int(n) for n in rates], speed, color=OURS, linestyle="--", marker="o", label="fastblur run")
    most = max(int(n) for n in rates)
    axes.plot([1, most], [1, most], color="black", linewidth=0.6, label="as many times as workers")
    axes.set_xticks(range(1, most + 1))
    axes.set_xlabel("workers: threads of the operator, processes of the command")
    axes.set_ylabel("speed over one worker")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    save(figure, path)


def over_time(results: dict[str, dict[str, Any]], path: Path) -> None:
    """Images a second over the course of each run, relative to its mean: throttling would be a slope."""
    figure, axes = plt.subplots(figsize=(7, 2.6))
    for (mode, result), shape in zip(results.items(), ("o", *SHAPES), strict=False):
        rates = result["images_per_second_over_time"]
        mean = sum(rates) / len(rates)
        axes.plot(
            [(i + 0.5) / len(rates) for i in range(len(rates))], [r / mean for r in rates], marker=shape, label=mode
        )
    axes.set_ylim(bottom=0)
    axes.set_xlabel("part of the run")
    axes.set_ylabel("images a second\nover their mean")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    save(figure, path)

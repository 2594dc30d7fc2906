"""The charts of the page: SVG that takes its colors from the page, so that it is right in light and dark."""

import html
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from fastblur.need import need

Axes = Any  # matplotlib.axes.Axes

# Colors that no chart uses otherwise; in the SVG they become the page's own.
INK, LINES, HIDDEN, COPIED, FAILED = "#010203", "#020304", "#030405", "#040506", "#050607"
OF_THE_PAGE = {
    INK: "var(--ink)",
    LINES: "var(--line)",
    HIDDEN: "var(--region)",
    COPIED: "var(--line)",
    FAILED: "var(--bad)",
}
WIDTH, HEIGHT = 4.2, 2.4  # inches of 72 px
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "fastblur",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINES,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}


def charts(
    account: dict[str, Any],  # the content of audit.json
) -> dict[str, str]:
    """Return the charts by name, as SVG elements: "images", "sizes" and "scores"; those without data are left out.

    Raises MissingPackage without Matplotlib.
    """
    made = {"images": _images(account["account"])}
    counted = account.get("charts") or {}
    if sum(counted.get("sizes", {"counts": []})["counts"]):
        made["sizes"] = _histogram("sizes", counted["sizes"], "longer side of a hidden region, px", logarithmic=True)
    if sum(counted.get("scores", {"counts": []})["counts"]):
        made["scores"] = _histogram(
            "scores", counted["scores"], "score of a hidden region", threshold=account.get("threshold")
        )
    return made


def _images(
    counts: dict[str, Any],  # account["account"]
) -> str:
    """Draw how many images were hidden, copied and failed."""
    names = ["hidden", "copied", "failed"]
    values = [int(counts[name]) for name in names]

    def draw(axes: Axes) -> None:
        bars = axes.barh(names, values, color=[HIDDEN, COPIED, FAILED], height=0.6)
        axes.bar_label(bars, labels=[f"{value:,}" for value in values], padding=4)
        axes.invert_yaxis()
        axes.set_xlim(0, max(1, *values) * 1.25)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params(axis="x", nbins=4, integer=True)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("images")

    said = ", ".join(f"{value:,} {name}" for name, value in zip(names, values, strict=True))
    return _svg("images", f"Images: {said}.", draw)


def _histogram(
    name: str,
    counted: dict[str, Any],  # "edges" (M + 1,) and "counts" (M,)
    of: str,  # the quantity, with its unit
    *,
    logarithmic: bool = False,
    threshold: float | None = None,
) -> str:
    edges, counts = np.asarray(counted["edges"], float), np.asarray(counted["counts"], float)
    if logarithmic:  # the bins from the first to the last that is not empty
        filled = np.flatnonzero(counts)
        edges, counts = edges[filled[0] : filled[-1] + 2], counts[filled[0] : filled[-1] + 1]

    def draw(axes: Axes) -> None:
        axes.stairs(counts, edges, fill=True, color=HIDDEN)
        if logarithmic and edges[0] > 0:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_formatter("{x:,.0f}")
            axes.minorticks_off()
        if threshold is not None:
            axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)
            axes.annotate(
                f"threshold {threshold:g}", (threshold, 1.02), xycoords=("data", "axes fraction"), ha="center"
            )
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, None)
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params(axis="y", nbins=4, integer=True)
        axes.set_xlabel(of)
        axes.set_ylabel("regions")

    most = int(np.argmax(counts))
    said = (
        f"Histogram of {counts.sum():,.0f} hidden regions by {of}: from {edges[0]:.3g} to "
        f"{edges[-1]:.3g}, most ({counts[most]:,.0f}) between {edges[most]:.3g} and {edges[most + 1]:.3g}."
    )
    return _svg(name, said, draw)


def _svg(
    name: str,
    said: str,  # what the chart says, for those who do not see it
    draw: Callable[[Axes], None],
) -> str:
    """Draw a chart and return it as an SVG element that may stand in a page next to others."""
    matplotlib = need("matplotlib", "audit")
    figure_class = need("matplotlib.figure", "audit").Figure
    with matplotlib.rc_context(STYLE):
        figure = figure_class(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        written = io.StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Identifiers are unique in the page, and the sizes are the page's to set.
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg).replace('href="#', f'href="#{name}-')
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    for color, variable in OF_THE_PAGE.items():
        svg = svg.replace(color, variable)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(said)}" ', 1)

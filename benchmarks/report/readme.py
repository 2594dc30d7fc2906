"""The few figures that README.md shows."""

from benchmarks.report.results import Result, at_scale, clock, over, table

MARKS = "<!-- made by python -m benchmarks.report -->", "<!-- end -->"
TITLES = {
    "operator": "blur, decoded images in memory",
    "boxes": "`fastblur run --boxes`, JPEG files to JPEG files",
    "detect": "`fastblur run`, faces found by CenterFace",
}


def with_figures(readme: str, results: dict[str, Result]) -> str:
    """Return README's text with the part between its marks replaced."""
    before, _, rest = readme.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n{in_short(results)}{MARKS[1]}{after}" if after else readme


def in_short(results: dict[str, Result]) -> str:
    """Return the part between the marks."""
    parts = ["![Milliseconds per image, next to others](docs/figures/peers.svg)\n"] if "operators" in results else []
    rows, machine = [], ""
    for mode, result in at_scale(results).items():
        whole = result["measured_images"] == result["images"]
        time = clock(result["seconds"]) if whole else f"{clock(result['extrapolated_seconds'])}, extrapolated"
        peer = "peer_divided" if "peer_divided" in result else "peer"  # as many processes as the run had
        ratios = [
            f"{over(result, peer):.2g} times {result[peer]['what']}",
            f"{over(result, 'floor'):.2g} of {result['floor']['what']}",
        ]
        rows.append([TITLES[mode], time, f"{result['images_per_second']:,.0f}", *ratios])
        machine = f"{result['machine']['cpus']} CPUs ({result['machine']['processor']}), {result['date'][:10]}"
    if rows:
        head = [
            "1.5 million images, 17 % with faces",
            "time",
            "images a second",
            "rate over a peer's",
            "share of the limit",
        ]
        parts.append(f"`python -m benchmarks.imagenet_scale --mode operator|boxes|detect`, {machine}:\n")
        parts.append(table(head, rows))
    if "operators" in results:
        result = results["operators"]
        worst, mean = (max(values[key] for values in result["error"].values()) for key in ("max", "mean"))
        parts.append(
            f"Against the formula in float64 a pixel is off by {worst:.2f} levels of 255 at most, {mean:.2f} on "
            f"average (`{result['command'].split(' --json')[0]}`, {result['date'][:10]}). "
            "The limit is the least work that any program would have. "
            "[All figures](docs/benchmarks.md), [how we measure](docs/how-we-measure.md).\n"
        )
    return "\n".join(parts)

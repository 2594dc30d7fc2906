"""`fastblur audit` and `fastblur correct`: declarations of their options."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from fastblur.exits import exits, stopping_at_sigterm
from fastblur.options import Device

DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")]
WorkersOption = Annotated[int | None, typer.Option(help="Threads; default: one for each CPU.")]


def print_next(
    dst: str, sources: list[str], *options: str, why: str = "to check it and look for faces that were missed"
) -> None:
    """Say after a run what to do next, where its output can be audited: that of a single image has no journal."""
    if "://" in dst or Path(dst, ".fastblur", "run.json").is_file():
        given = (word for path in sources for word in ("--source", path))
        text = f"next          {shlex.join(['fastblur', 'audit', dst, 'REPORT', *given, *options])}  {why}"
        typer.echo(text.encode("utf-8", "surrogateescape"))  # names that are not UTF-8 as they are


def audit_command(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of fastblur run, a folder or a URL.")],
    report: Annotated[
        Path | None,
        typer.Argument(metavar="REPORT", help="A new folder for the report, outside of OUT; it is made for you only."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SRC",
            help="Where the images came from: every image is compared with the one it was made from. Of a run with "
            "several, all of them in their order.",
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(help="Images drawn at random that are searched for faces, and shown; 0 for none.")
    ] = 500,
    seed: Annotated[int, typer.Option(help="Of the sample: the same seed draws the same images.")] = 0,
    gallery: Annotated[
        int, typer.Option(help="Images with near misses, and with regions of the lowest scores, that are shown.")
    ] = 250,
    megabytes: Annotated[
        float, typer.Option(help="Size of the report, about; more shows large photographs in larger pictures.")
    ] = 40,
    contact_sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the images in a grid, with boxes and scores: a .jpg or .png."),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where the detector of the search runs.")] = "auto",
    workers: WorkersOption = None,
    debug: DebugOption = False,
) -> None:
    """Check the output of a run, look for faces that it still shows, and make a page to judge and correct them.

    Every image that the journal names has to be in OUT, and nothing else. With --source, copies have to be the source's
    bytes, and hidden images may differ from it in their regions only, where they have to be what the formula gives.

    A random sample is searched with more effort than the run took: from a lower score on, enlarged, mirrored and
    turned, and with a second detector where its weights are here. REPORT/index.html shows what was found, near misses,
    the regions with the lowest scores and the sample, to be judged with the keyboard; it saves judgements.jsonl for
    fastblur correct. It may show faces: keep it to yourself, OUT is what gets published.

    Exit status: 0, 1 when something is wrong with OUT, 2 for wrong usage, 70 for a bug, 130 after Ctrl-C.
    """
    with exits(debug=debug), stopping_at_sigterm():
        from fastblur.audit import audit

        summary = audit(
            out,
            report,
            source=source or None,
            sample=sample,
            seed=seed,
            gallery=gallery,
            megabytes=megabytes,
            contact_sheet=contact_sheet,
            device=device,
            workers=workers,
        )
    typer.echo(summary.text())
    raise typer.Exit(summary.exit_status)


def correct_command(
    src: Annotated[
        list[str], typer.Argument(metavar="SRC", help="The source of the run, or several, as the run had them.")
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of the run, a folder or a URL.")],
    judgements: Annotated[
        Path, typer.Argument(metavar="JUDGEMENTS.jsonl", help="What the page of fastblur audit has saved.")
    ],
    workers: WorkersOption = None,
    debug: DebugOption = False,
) -> None:
    """Apply judgements to the output of a run: hide the faces that were added, restore what is none.

    Only the images whose boxes have changed are done again, from SRC; in tars and tables the whole file. Each shard is
    one durable step, after which the journal names the file's sha256: a command that was stopped or killed goes on
    when it is given again, and a second one with the same file does nothing. The result is that of a fresh run with
    these boxes (fastblur run --boxes JUDGEMENTS.jsonl --unlisted detect), byte for byte.

    Exit status: 0, 1 when an image could not be done again (it left OUT), 2 for wrong usage, 70 for a bug, 130 after
    Ctrl-C.
    """
    with exits(debug=debug), stopping_at_sigterm():
        from fastblur.pipeline.correct_files import correct

        summary = correct(src, out, judgements, workers=workers)
    typer.echo(summary.text())
    if summary.changed:
        print_next(out, src, "--seed", "1", why="to draw another sample: the one judged is better than the rest now")
    raise typer.Exit(summary.exit_status)

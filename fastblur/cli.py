"""The command line: declarations of its options, which it hands on."""

import sys
from pathlib import Path
from typing import Annotated

from fastblur.need import MissingPackage, need

try:
    need("typer", "run")
except MissingPackage as error:
    print(f"fastblur: {error}", file=sys.stderr)
    raise SystemExit(2) from None

import typer

from fastblur._version import __version__
from fastblur.cli_audit import audit_command, correct_command
from fastblur.cli_detect import detect_command
from fastblur.cli_options import Debug
from fastblur.cli_run import run_command
from fastblur.cli_weights import weights_app
from fastblur.exits import exits, stopping_at_sigterm

app = typer.Typer(
    help="Hide faces in image files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(weights_app, name="weights")
app.command("run")(run_command)
app.command("detect")(detect_command)
app.command("audit")(audit_command)
app.command("correct")(correct_command)


def main() -> None:
    """Run the command line."""
    app(prog_name="fastblur")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fastblur {__version__}")
        raise typer.Exit


@app.callback()
def _fastblur(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for the photographs, before and after.")],
    debug: Debug = False,
) -> None:
    """Hide the faces in two photographs that installed packages carry.

    OUT/photos gets scikit-image's astronaut and matplotlib's portrait of Grace Hopper, OUT/blurred the output of
    `fastblur run` for them, and OUT/before_after.png shows both next to each other.
    """
    with exits(debug=debug), stopping_at_sigterm():
        from fastblur.demo import demo
        from fastblur.pipeline.progress import shown

        with shown() as progress:
            summary = demo(out, progress=progress)
    typer.echo(summary.text())
    if not summary.exit_status:
        typer.echo(f"look at      {out / 'before_after.png'}")
    raise typer.Exit(summary.exit_status)

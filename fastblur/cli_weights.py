"""`fastblur weights`: the detectors' weights, where they are, and fetching them."""

from typing import Annotated

import typer

from fastblur.detectors import DetectorName
from fastblur.exits import STOPPED, exits

weights_app = typer.Typer(help="The detectors' weights: where they are, and fetching them.", no_args_is_help=True)


@weights_app.command("list")
def weights_list() -> None:
    """List the detectors, whether their weights are here, and where these come from."""
    with exits():
        from fastblur.detectors.weights import WEIGHTS, places

        for name, known in WEIGHTS.items():
            here = next((path for path in places(name) if path.is_file()), None)
            typer.echo(f"{name}\n  here    {here or 'no'}\n  file    {known.file}, sha256 {known.sha256}")
            typer.echo(f"  origin  {known.origin}")


@weights_app.command("pull")
def weights_pull(
    name: Annotated[DetectorName, typer.Argument(help="The detector.")],
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")] = False,
) -> None:
    """Download the weights of a detector, check them, and print where they are."""
    with exits(debug=debug, status=STOPPED):
        from fastblur.detectors.weights import find

        typer.echo(find(name))


@weights_app.command("verify")
def weights_verify() -> None:
    """Check every weights' file that is here against its published sha256; exit status 1 if one is wrong."""
    wrong = 0
    with exits():
        from fastblur.detectors.weights import WEIGHTS, WrongWeights, places, verified

        for name in WEIGHTS:
            for path in places(name):
                if not path.is_file():
                    continue
                try:
                    typer.echo(f"{name}: {verified(name, path)} is right")
                except WrongWeights as error:
                    wrong = 1
                    typer.echo(f"fastblur: {error}", err=True)
    raise typer.Exit(wrong)


@weights_app.command("path")
def weights_path() -> None:
    """Print the folders where weights are looked for, the first one first: put files into any of them."""
    with exits():
        from fastblur.detectors.weights import folders

        for folder in folders():
            typer.echo(folder)

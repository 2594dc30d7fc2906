"""The command line; it only hands its arguments on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

try:
    import typer
except ImportError:
    raise SystemExit("fastblur: the command line needs further packages: pip install 'fastblur[run]'") from None

from fastblur._version import __version__
from fastblur.pipeline.execution.forkserver import begin
from fastblur.recipes import RECIPES

app = typer.Typer(
    help="Hide faces in image files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

WHAT, HOW, WORK = "What is hidden", "How it is hidden", "The run"


class Method(str, Enum):
    """Values of --method."""

    blur = "blur"
    pixelate = "pixelate"
    fill = "fill"


class Shape(str, Enum):
    """Values of --shape."""

    box = "box"
    ellipse = "ellipse"


class Unlisted(str, Enum):
    """Values of --unlisted."""

    fail = "fail"
    copy = "copy"
    detect = "detect"


class Format(str, Enum):
    """Values of --format."""

    images = "images"
    webdataset = "webdataset"
    table = "table"


class OnError(str, Enum):
    """Values of --on-error."""

    go_on = "continue"
    stop = "stop"


class Engine(str, Enum):
    """Values of --engine."""

    auto = "auto"
    processes = "processes"
    threads = "threads"
    ray = "ray"


class Device(str, Enum):
    """Values of --device."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


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


@app.command("run")
def run_command(
    src: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A folder with its subfolders, or one file: images, WebDataset tars, Parquet or Arrow files. Or "
            "the URL of one, as s3://bucket/folder.",
        ),
    ],
    dst: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="A new or empty folder, or that of a run to go on with; for one image file also a file's name. "
            "Or a URL.",
        ),
    ],
    detector: Annotated[
        str | None,
        typer.Option(
            help="Finds the faces: centerface (default), retinaface-resnet50, retinaface-mobilenet0.25 or yunet.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Least score of a face, 0..1; lower finds more, also what is no face. Default: the detector's own.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    detect_size: Annotated[
        int | None,
        typer.Option(
            help="Longest side in pixels that the detector sees; larger finds smaller faces. Default: the "
            "detector's own.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Hide the boxes of this file instead of looking for faces: the ILSVRC face annotations or COCO "
            "(.json), or what fastblur detect has written (.jsonl), with paths relative to SRC or to one of its "
            "parents.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    box_column: Annotated[
        str | None,
        typer.Option(
            help="Of Parquet and Arrow files, hide the boxes in this column, as \\[x_min, y_min, x_max, y_max] "
            "relative to the image's sides.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    unlisted: Annotated[
        Unlisted | None,
        typer.Option(
            help="With --boxes, what becomes of an image that the file does not name: fail (default; not written), "
            "copy or detect.",
            metavar="fail|copy|detect",
            rich_help_panel=WHAT,
        ),
    ] = None,
    method: Annotated[Method, typer.Option(help="What is done to the faces.", rich_help_panel=HOW)] = Method.blur,
    recipe: Annotated[
        str | None,
        typer.Option(help=f"Parameters of the blur: {' or '.join(RECIPES)}. Default: default.", rich_help_panel=HOW),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="Instead of the recipe's: sigma as a fraction of the face's longer side, as 0.15.", rich_help_panel=HOW
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            help="How far the box grows on every side, as a fraction of its longer side. Default: the recipe's; 0.1 "
            "for pixelate and fill.",
            rich_help_panel=HOW,
        ),
    ] = None,
    feather: Annotated[
        float | None,
        typer.Option(
            help="Deviation of the soft edge as a fraction of the longer side; 0: hard (fill's default).",
            rich_help_panel=HOW,
        ),
    ] = None,
    shape: Annotated[Shape | None, typer.Option(help="Box, or the ellipse in it.", rich_help_panel=HOW)] = None,
    blocks: Annotated[
        int | None,
        typer.Option(help="With --method pixelate: blocks along the longer side; default 8.", rich_help_panel=HOW),
    ] = None,
    color: Annotated[
        str | None,
        typer.Option(
            help="With --method fill: a level 0..255, or red, green and blue as 255,0,0; default 0, black.",
            rich_help_panel=HOW,
        ),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(
            help="Work on files of one kind only: images, webdataset (.tar) or table (.parquet, .arrow). Default: "
            "each file as its name says.",
            metavar="images|webdataset|table",
            rich_help_panel=WORK,
        ),
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option(help="Of Parquet and Arrow files; default: the one that can be.", rich_help_panel=WORK),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            help="Width times height above which an image fails undecoded; default 2^28.", rich_help_panel=WORK
        ),
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(help="What a failed image does to the run.", rich_help_panel=WORK),
    ] = OnError.go_on,
    device: Annotated[
        Device, typer.Option(help="Where detector and operator run; auto: CUDA if there is one.", rich_help_panel=WORK)
    ] = Device.auto,
    workers: Annotated[
        int | None,
        typer.Option(help="How many at once; default: one for each CPU.", rich_help_panel=WORK),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="Who does the work: processes or threads of this machine, or a Ray cluster; auto: processes, but "
            "threads for a few images and on CUDA.",
            rich_help_panel=WORK,
        ),
    ] = Engine.auto,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Start over in a folder that is not empty and replace its files. An image that fails leaves "
            "no older file of its name there; files that SRC does not have stay.",
            rich_help_panel=WORK,
        ),
    ] = False,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the closing summary there.", rich_help_panel=WORK)
    ] = None,
) -> None:
    """Copy the images of SRC to DST with the faces in them hidden.

    Names, folders and formats stay (JPEG, PNG, WebP, BMP, TIFF). An image without a face is copied byte for byte; only
    images with faces are encoded anew, a JPEG with its own quality. Other files are counted, not copied. In tar files
    and tables everything beside the images is kept; a sample or row whose image fails is left out.

    An image that cannot be read, searched or written is left out of DST, never written unblurred: it is listed with the
    reason in DST/.fastblur/failures.jsonl, and the run goes on. With --boxes an image whose list of boxes is empty is
    copied after a look at its first bytes only, without decoding it.

    A run that was stopped or killed goes on when the same command is given again: DST/.fastblur keeps a journal.

    Exit status: 0, 1 when some image failed or the run had to stop, 2 for wrong usage, 130 after Ctrl-C, 143 after
    SIGTERM.

    A detector misses faces, and a blurred face can still be known by its surroundings: look at the result.
    """
    if device != Device.cuda and engine in (Engine.auto, Engine.processes) and workers != 1 and os.path.isdir(src):
        # While this process loads its own packages.
        begin(detecting=(boxes is None and box_column is None) or unlisted == Unlisted.detect)
    from fastblur.pipeline import run
    from fastblur.pipeline.progress import shown

    with _refusing(), _stopping_at_sigterm(), shown() as progress:
        summary = run(
            src,
            dst,
            detector=detector,
            threshold=threshold,
            detect_size=detect_size,
            boxes=boxes,
            box_column=box_column,
            unlisted=unlisted and unlisted.value,
            format=format and format.value,
            image_column=image_column,
            on_error=on_error.value,
            engine=engine.value,
            method=method.value,
            recipe=recipe,
            strength=strength,
            margin=margin,
            feather=feather,
            shape=shape and shape.value,
            blocks=blocks,
            color=color,
            device=device.value,
            workers=workers,
            overwrite=overwrite,
            report=json,
            progress=progress,
            **({} if max_pixels is None else {"max_pixels": max_pixels}),
        )
    typer.echo(summary.text())
    raise typer.Exit(summary.exit_status)


@app.command("detect")
def detect_command(
    src: Annotated[
        str,
        typer.Argument(metavar="SRC", help="A folder of images, with its subfolders, or one file; as run takes it."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="The file for what is found, one line an image.")],
    detector: Annotated[
        str | None,
        typer.Option(help="centerface (default), retinaface-resnet50, retinaface-mobilenet0.25 or yunet."),
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Least score of a face, 0..1.")] = None,
    detect_size: Annotated[int | None, typer.Option(help="Longest side in pixels that the detector sees.")] = None,
    device: Annotated[Device, typer.Option(help="Where the detector runs; auto: CUDA if there is one.")] = Device.auto,
    workers: Annotated[int | None, typer.Option(help="Threads; default: one for each CPU.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """List the faces in the images of SRC without changing anything, to be looked at before they are hidden.

    OUT.jsonl gets one line of JSON an image: path, size, boxes, scores, landmarks, detector and the hash of its
    weights. `fastblur run SRC DST --boxes OUT.jsonl` then hides these boxes, also after lines were corrected by hand.
    An image that could not be searched has a line with its error; run refuses it.

    Exit status: 0, 1 when some image failed, 2 for wrong usage, 130 after Ctrl-C (nothing is written then).
    """
    from fastblur.pipeline import detect
    from fastblur.pipeline.progress import shown

    with _refusing(), _stopping_at_sigterm(), shown() as progress:
        found = detect(
            src,
            out,
            detector=detector,
            threshold=threshold,
            detect_size=detect_size,
            device=device.value,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    typer.echo(found.text())
    raise typer.Exit(found.exit_status)


weights_app = typer.Typer(help="The detectors' weights: where they are, and fetching them.", no_args_is_help=True)
app.add_typer(weights_app, name="weights")


@weights_app.command("list")
def weights_list() -> None:
    """List the detectors, whether their weights are here, and where these come from."""
    from fastblur.detectors.weights import WEIGHTS, places

    for name, known in WEIGHTS.items():
        here = next((path for path in places(name) if path.is_file()), None)
        typer.echo(f"{name}\n  here    {here or 'no'}\n  file    {known.file}, sha256 {known.sha256}")
        typer.echo(f"  origin  {known.origin}")


@weights_app.command("pull")
def weights_pull(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A detector, as `fastblur weights list` names it.")],
) -> None:
    """Download the weights of a detector, check them, and print where they are."""
    from fastblur.detectors.weights import find

    with _refusing():
        try:
            typer.echo(find(name))
        except OSError as error:  # the usage was right
            raise RuntimeError(str(error)) from error


@weights_app.command("verify")
def weights_verify() -> None:
    """Check every weights' file that is here against its published sha256; exit status 1 if one is wrong."""
    from fastblur.detectors.weights import WEIGHTS, places, verified

    wrong = 0
    for name in WEIGHTS:
        for path in places(name):
            if not path.is_file():
                continue
            try:
                typer.echo(f"{name}: {verified(name, path)} is right")
            except ValueError as error:
                wrong = 1
                typer.echo(f"fastblur: {error}", err=True)
    raise typer.Exit(wrong)


@weights_app.command("path")
def weights_path() -> None:
    """Print the folders where weights are looked for, the first one first: put files into any of them."""
    from fastblur.detectors.weights import folders

    for folder in folders():
        typer.echo(folder)


@app.command("demo")
def demo_command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A folder for the photographs, before and after.")],
) -> None:
    """Hide the faces in two photographs that installed packages carry.

    OUT/photos gets scikit-image's astronaut and matplotlib's portrait of Grace Hopper, OUT/blurred what `fastblur run`
    makes of them, and OUT/before_after.png shows both side by side.
    """
    from fastblur.demo import demo
    from fastblur.pipeline.progress import shown

    with _refusing(), shown() as progress:
        summary = demo(out, progress=progress)
    typer.echo(summary.text())
    if not summary.exit_status:
        typer.echo(f"look at      {out / 'before_after.png'}")
    raise typer.Exit(summary.exit_status)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a run as Ctrl-C does."""

    signal = signal.SIGTERM


@contextmanager
def _stopping_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end what is going on as Ctrl-C does: the images in hand are finished."""

    def terminate(_number: int, _frame: object) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn an error into one sentence on standard error and the exit status."""
    try:
        yield
    except (ValueError, TypeError, ImportError, OSError) as error:
        text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        typer.echo(f"fastblur: {text}", err=True)
        raise typer.Exit(2) from None
    except RuntimeError as error:
        typer.echo(f"fastblur: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt as error:
        raise typer.Exit(128 + getattr(error, "signal", signal.SIGINT)) from None

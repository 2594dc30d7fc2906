"""`fastblur run`: declarations of its options."""

from pathlib import Path
from typing import Annotated

import typer

from fastblur.cli_audit import print_next
from fastblur.cli_options import (
    HOW,
    WHAT,
    WORK,
    Debug,
    Detector,
    DetectSize,
    DeviceOption,
    ImageColumn,
    Members,
    OthersOption,
    Threshold,
    import_from_here,
    option,
)
from fastblur.exits import exits, stopping_at_sigterm
from fastblur.method_options import METHOD_OPTIONS
from fastblur.options import (
    MAX_PIXELS,
    BoxCoordinates,
    BoxFormat,
    EngineName,
    Format,
    JpegWay,
    Method,
    OnError,
    Unlisted,
)
from fastblur.pipeline.execution import forkserver
from fastblur.pipeline.shards.few import has_many
from fastblur.recipes import RECIPES, Recipe, Scope, Shape

PIXELATE, FILL = METHOD_OPTIONS["pixelate"], METHOD_OPTIONS["fill"]


def run_command(
    src: Annotated[
        list[str],
        typer.Argument(
            metavar="SRC",
            help="A folder with its subfolders, or a file: images, WebDataset tars, Parquet or Arrow files. Or the URL "
            "of one, as s3://bucket/folder. Of several, DST gets each under its own name.",
        ),
    ],
    dst: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="A new or empty folder, or that of a run to continue; for one image file also a file's name. "
            "Or a URL.",
        ),
    ],
    detector: Detector = None,
    threshold: Threshold = None,
    detect_size: DetectSize = None,
    boxes: Annotated[
        Path | None,
        option(
            "Hide the boxes of this file instead of detecting faces: the ILSVRC face annotations or COCO (.json), the "
            "output of fastblur detect or the judgements of fastblur audit (.jsonl), with paths relative to SRC or to "
            "one of its parents.",
            WHAT,
        ),
    ] = None,
    box_column: Annotated[
        str | None,
        option(
            "Of Parquet and Arrow files, hide the boxes in this column: lists of four numbers, or what COCO and "
            "WIDER FACE have, structs with such lists as bbox.",
            WHAT,
        ),
    ] = None,
    box_format: Annotated[
        BoxFormat | None,
        option(
            "With --box-column, what the numbers are: xyxy, two corners; xywh, the upper left corner, width and "
            "height; cxcywh, the centre, width and height; in pixels, or with an n relative to the image's sides, "
            "as xyxyn of img2dataset. Default: xyxy, but xywh for structs of COCO.",
            WHAT,
        ),
    ] = None,
    box_category: Annotated[
        list[str] | None,
        option(
            "With --boxes of COCO, a category whose boxes are hidden, by name or id; may be given several times. "
            "Default: all.",
            WHAT,
        ),
    ] = None,
    box_coordinates: Annotated[
        BoxCoordinates,
        option(
            "Whether given boxes are of the pictures as they are stored, or upright (turned as EXIF says, which is how "
            "annotation tools show them). auto: by the size that the boxes file states; where that does not tell, an "
            "image that is stored turned fails.",
            WHAT,
        ),
    ] = "auto",
    unlisted: Annotated[
        Unlisted | None,
        option(
            "With --boxes, an image that the file does not list: fail (default; not written), copy or detect.", WHAT
        ),
    ] = None,
    method: Annotated[Method, option("What is done to the faces.", HOW)] = "blur",
    recipe: Annotated[
        str | None, option(f"Parameters of the blur: {' or '.join(RECIPES)}. Default: default.", HOW)
    ] = None,
    strength: Annotated[
        float | None,
        option(f"Instead of the recipe's: sigma as a fraction of the face's longer side, as {Recipe.strength}.", HOW),
    ] = None,
    margin: Annotated[
        float | None,
        option(
            "How far the box grows on every side, as a fraction of its longer side. Default: the recipe's; "
            f"{PIXELATE['margin']} for pixelate, {FILL['margin']} for fill.",
            HOW,
        ),
    ] = None,
    feather: Annotated[
        float | None,
        option(
            "Standard deviation of the soft edge as a fraction of the longer side, 0 for a hard edge. Default: the "
            f"recipe's; {FILL['feather']:g} for fill.",
            HOW,
        ),
    ] = None,
    shape: Annotated[Shape | None, option("The box, or the ellipse in it. Default: box.", HOW)] = None,
    scope: Annotated[
        Scope | None,
        option(
            "With --method blur, whose size sets sigma: each region's own, or the largest of the image. Default: the "
            "recipe's.",
            HOW,
        ),
    ] = None,
    blocks: Annotated[
        int | None,
        option(f"With --method pixelate: blocks along the longer side; default {PIXELATE['blocks']}.", HOW),
    ] = None,
    color: Annotated[
        str | None,
        option(
            f"With --method fill: a level 0..255, or red, green and blue as 255,0,0; default {FILL['color']}, black.",
            HOW,
        ),
    ] = None,
    jpeg: Annotated[
        JpegWay,
        option(
            "How JPEG files are changed: blocks rewrites only the 8 x 8 blocks that the method touches, and "
            "encodes whole where a file does not allow that; encode encodes all whole.",
            HOW,
        ),
    ] = "blocks",
    format: Annotated[
        Format | None,
        option(
            "Take files of one kind only: images, webdataset (.tar) or table (.parquet, .arrow). Default: all, each by "
            "its name.",
            WORK,
        ),
    ] = None,
    image_column: ImageColumn = None,
    members: Members = None,
    others: OthersOption = "fail",
    strip_metadata: Annotated[
        bool,
        option(
            "Write all images, also those without a face, without EXIF (GPS too), XMP, IPTC, comments, previews and "
            "gain maps. Colour profile, orientation and coded pixels stay; so do texts and columns next to the images.",
            HOW,
            "--strip-metadata",
        ),
    ] = False,
    max_pixels: Annotated[int, option("Width times height above which an image fails undecoded.", WORK)] = MAX_PIXELS,
    on_error: Annotated[OnError, option("What a failed image does to the run.", WORK)] = "continue",
    device: DeviceOption = "auto",
    workers: Annotated[int | None, option("How many at once; default: one for each CPU.", WORK)] = None,
    engine: Annotated[
        EngineName,
        option(
            "Processes or threads of this machine, or a Ray cluster; auto: processes, but threads for a few images and "
            "on CUDA.",
            WORK,
        ),
    ] = "auto",
    overwrite: Annotated[
        bool,
        option(
            "Start over in a folder that is not empty and replace its files. An image that fails leaves no older file "
            "of its name there; files that SRC does not have stay.",
            WORK,
            "--overwrite",
        ),
    ] = False,
    json: Annotated[Path | None, option("Write the closing summary to this file.", WORK, metavar="FILE")] = None,
    debug: Debug = False,
) -> None:
    """Copy the images of SRC to DST with the faces in them hidden.

    Names, folders and formats stay (JPEG, PNG, WebP, BMP, TIFF, AVIF, HEIC). An image without a face is copied byte
    for byte; of a JPEG only the 8 x 8 blocks with faces change, other formats with faces are encoded again. Texts are
    counted, not copied. In tar files and tables everything except the images is kept; a sample or row whose image fails
    is left out.
    What may hold images and is not searched is a failure, unless --others says otherwise.

    An image that cannot be read, searched or written is left out of DST, never written unblurred: it is listed with the
    reason in DST/.fastblur/failures.jsonl, and the run continues. With --boxes an image whose list of boxes is empty is
    copied without decoding it, after its format is checked.

    A run that was stopped or killed continues when the same command is given again: DST/.fastblur keeps a journal.

    Exit status: 0, 1 when an image failed, there was none or the run had to stop, 2 for wrong usage, 70 for a bug, 130
    after Ctrl-C, 143 after SIGTERM. Where SIGINT was ignored when the command started, as in a script's background, it
    stays ignored.

    A detector misses faces, and a blurred face can still be recognised by its surroundings: look at the result.
    """
    with exits(debug=debug), stopping_at_sigterm():
        import_from_here(detector)
        if device != "cuda" and engine in ("auto", "processes") and workers != 1 and has_many(*src):
            # While this process loads its own packages.
            forkserver.start(detecting=(boxes is None and box_column is None) or unlisted == "detect")
        from fastblur.pipeline.progress import shown
        from fastblur.pipeline.run_files import run

        with shown() as progress:
            summary = run(
                src,
                dst,
                detector=detector,
                threshold=threshold,
                detect_size=detect_size,
                boxes=boxes,
                box_category=box_category,
                box_column=box_column,
                box_format=box_format,
                box_coordinates=box_coordinates,
                unlisted=unlisted,
                method=method,
                recipe=recipe,
                strength=strength,
                margin=margin,
                feather=feather,
                shape=shape,
                scope=scope,
                blocks=blocks,
                color=color,
                jpeg=jpeg,
                format=format,
                image_column=image_column,
                members=members,
                others=others,
                strip_metadata=strip_metadata,
                max_pixels=max_pixels,
                on_error=on_error,
                device=device,
                workers=workers,
                engine=engine,
                overwrite=overwrite,
                report=json,
                progress=progress,
            )
    typer.echo(summary.text())
    if summary.images > summary.failed and not summary.interrupted:
        print_next(dst, src)
    raise typer.Exit(summary.exit_status)

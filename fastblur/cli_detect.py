"""`fastblur detect`: declarations of its options."""

from pathlib import Path
from typing import Annotated

import typer

from fastblur.cli_options import (
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


def detect_command(
    src: Annotated[
        list[str],
        typer.Argument(metavar="SRC", help="A folder of images, with its subfolders, or a file; as run takes them."),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="The file for the boxes, one line an image.")],
    detector: Detector = None,
    threshold: Threshold = None,
    detect_size: DetectSize = None,
    image_column: ImageColumn = None,
    members: Members = None,
    others: OthersOption = "fail",
    device: DeviceOption = "auto",
    workers: Annotated[int | None, option("Threads; default: one for each CPU.", WORK)] = None,
    overwrite: Annotated[bool, option("Replace the file if it exists.", WORK, "--overwrite")] = False,
    debug: Debug = False,
) -> None:
    """List the faces in the images of SRC without changing anything, to be looked at before they are hidden.

    OUT.jsonl gets one line of JSON an image: path, size, boxes, scores, landmarks, detector and the hash of its
    weights. `fastblur run SRC DST --boxes OUT.jsonl` then hides these boxes, also after lines were corrected by hand.
    An image that could not be searched has a line with its error; run refuses it.

    Exit status: 0, 1 when an image failed, 2 for wrong usage, 70 for a bug, 130 after Ctrl-C (nothing is written then).
    """
    with exits(debug=debug), stopping_at_sigterm():
        import_from_here(detector)
        from fastblur.pipeline.detect_files import detect
        from fastblur.pipeline.progress import shown

        with shown() as progress:
            found = detect(
                src,
                out,
                detector=detector,
                threshold=threshold,
                detect_size=detect_size,
                image_column=image_column,
                members=members,
                others=others,
                device=device,
                workers=workers,
                overwrite=overwrite,
                progress=progress,
            )
    typer.echo(found.text())
    raise typer.Exit(found.exit_status)

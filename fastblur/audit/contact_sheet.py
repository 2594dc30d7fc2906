"""A contact sheet: images of the output in a grid, with boxes and scores, for those without a browser."""

import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from fastblur.errors import FileError, UsageError
from fastblur.files import atomic_write
from fastblur.pipeline.storage.paths import lies_in

CELL, CAPTION, GAP = 320, 16, 8  # px: of an image's longer side, of the line under it, between cells
MOST_SIDE = 60_000  # px: JPEG files end at 65,535
COLORS = {"regions": (0, 160, 255), "near_misses": (255, 170, 0), "suspects": (255, 40, 40)}
FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}


def check_sheet(path: Path, output: str | Path) -> None:
    """Raise UsageError where no contact sheet can be written: in the output, which gets published, or over a file."""
    if lies_in(path, output):
        raise UsageError(f"the contact sheet {str(path)!r} lies in OUT, which gets published, expected another place")
    if path.is_file():
        raise UsageError(f"the contact sheet {str(path)!r} is there already, expected the name of a new file")
    if path.suffix.lower() not in FORMATS or path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"the contact sheet is {str(path)!r}, expected a .jpg or .png file in a folder that exists")


def write_sheet(path: Path, images: list[dict[str, Any]]) -> None:
    """Write a contact sheet of images as audit.json has them, with their pictures' files as `pixels`.

    Raises FileError where it cannot be written.
    """
    columns = max(1, min(8, round(len(images) ** 0.5)))
    while len(images) / columns * (CELL + CAPTION + GAP) > MOST_SIDE:
        columns *= 2
    rows = -(-len(images) // columns)
    size = columns * (CELL + GAP) + GAP, max(1, rows) * (CELL + CAPTION + GAP) + GAP
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for number, image in enumerate(images):
        x = GAP + number % columns * (CELL + GAP)
        y = GAP + number // columns * (CELL + CAPTION + GAP)
        _draw(sheet, draw, image, x, y)
    file = io.BytesIO()
    sheet.save(file, FORMATS[path.suffix.lower()])
    try:
        atomic_write(path, file.getvalue())
        path.chmod(0o600)
    except OSError as error:
        raise FileError(f"the contact sheet {str(path)!r} cannot be written: {error.strerror}") from error


def _draw(sheet: Image.Image, draw: ImageDraw.ImageDraw, image: dict[str, Any], x: int, y: int) -> None:
    picture = Image.open(io.BytesIO(image["pixels"]))
    picture.thumbnail((CELL, CELL))
    sheet.paste(picture, (x, y))
    sx, sy = picture.width / image["width"], picture.height / image["height"]
    for kind, color in COLORS.items():
        for one in image[kind]:
            x0, y0, x1, y1 = one["box"]
            draw.rectangle((x + x0 * sx, y + y0 * sy, x + x1 * sx, y + y1 * sy), outline=color, width=2)
            if one["score"] is not None:
                draw.text((x + x0 * sx + 3, y + y0 * sy + 1), f"{one['score']:.2f}", fill=color)
    name = image["image"].encode("ascii", "backslashreplace").decode()
    draw.text((x, y + CELL + 2), name[-CELL // 6 :], fill="black")

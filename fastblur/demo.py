"""The demonstration: two photographs from installed packages, before and after."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from fastblur.need import need
from fastblur.pipeline import Summary, run
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.progress import Show

HEIGHT = 480  # of each photograph in the picture of both, in pixels


def demo(out: Path, *, progress: Show | None = None) -> Summary:
    """Put two photographs into out/photos, hide their faces in out/blurred, and draw out/before_after.png.

    The photographs are scikit-image's astronaut and matplotlib's grace_hopper.jpg, one face each.

    Raises RunStopped where no face is found in one of them, MissingPackage where one of the packages is missing.
    """
    photos, blurred = out / "photos", out / "blurred"
    photos.mkdir(parents=True, exist_ok=True)
    names = [save(photos) for save in (_astronaut, _grace_hopper)]
    summary = run(photos, blurred, overwrite=True, progress=progress)
    if summary.failed or summary.interrupted:
        return summary
    untouched = [name for name in names if (photos / name).read_bytes() == (blurred / name).read_bytes()]
    if untouched:
        raise RunStopped(f"no face was found in {' and '.join(untouched)}, expected one in each photograph")
    _side_by_side([(photos / name, blurred / name) for name in names]).save(out / "before_after.png")
    return summary


def _astronaut(folder: Path) -> str:
    data = need("skimage.data", "demo")
    Image.fromarray(np.asarray(data.astronaut())).save(folder / "astronaut.png")
    return "astronaut.png"


def _grace_hopper(folder: Path) -> str:
    matplotlib = need("matplotlib", "demo")
    shutil.copyfile(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg", folder / "grace_hopper.jpg")
    return "grace_hopper.jpg"


def _side_by_side(pairs: list[tuple[Path, Path]]) -> Image.Image:
    """Return one picture with each pair before and after, all at one height, in a row."""
    pictures = []
    for path in (path for pair in pairs for path in pair):
        with Image.open(path) as image:
            size = round(image.width * HEIGHT / image.height), HEIGHT
            pictures.append(image.convert("RGB").resize(size, Image.Resampling.LANCZOS))
    gap = 8
    width = sum(picture.width + gap for picture in pictures) - gap
    row = Image.new("RGB", (width, HEIGHT), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + gap
    return row

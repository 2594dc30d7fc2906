"""What the pipeline's tests share besides fixtures: files made and read by Pillow, and what a run left."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = {"a/face.png", "face é 1.jpg", "a/b/plain.JPEG"}
"""The images of the fixture `src`."""

FACE = (175, 60, 275, 190)
"""The astronaut's face, xyxy in pixels, as seen by eye."""


def encoded(pixels: np.ndarray | Image.Image, format: str, **options: object) -> bytes:
    """Return an image file's bytes, made by Pillow."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decoded(source: bytes | Path, mode: str = "RGB") -> np.ndarray:
    """Return an image file's pixels as stored, decoded by Pillow, as int32."""
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return np.asarray(image.convert(mode), np.int32)


def detail(pixels: np.ndarray, box: tuple[int, int, int, int] = FACE) -> float:
    """Return how much fine detail there is in a box: the mean absolute step between neighbours, in levels."""
    x0, y0, x1, y1 = (max(value, 0) for value in box)
    inside = pixels[y0:y1, x0:x1].astype(np.float64)
    return float(np.abs(np.diff(inside, axis=0)).mean() + np.abs(np.diff(inside, axis=1)).mean())


def outside(shape: tuple[int, ...], box: tuple[int, int, int, int] = FACE, margin: float = 0.35) -> np.ndarray:
    """Return a mask of the pixels further than `margin` times the longer side from a box (the default's: 0.3)."""
    x0, y0, x1, y1 = box
    reach = int(np.ceil(margin * max(x1 - x0, y1 - y0)))
    mask = np.ones(shape[:2], bool)
    mask[max(y0 - reach, 0) : y1 + reach, max(x0 - reach, 0) : x1 + reach] = False
    return mask


def files_below(folder: Path) -> set[str]:
    """Return the files below a folder as paths with "/", without the run's own records."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return {name for name in found if not name.startswith(".fastblur/")}


def failures(folder: Path) -> dict[str, str]:
    """Return {path: reason} of a run's list of failures."""
    path = folder / ".fastblur" / "failures.jsonl"
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    assert len({line["path"] for line in lines}) == len(lines), "a failure is listed twice"
    return {line["path"]: line["reason"] for line in lines}


def all_empty(folder: Path, tmp_path: Path) -> Path:
    """Write a boxes file in which no image of a folder has a box."""
    path = tmp_path / "empty.json"
    path.write_text(json.dumps([{"url": file.name, "bboxes": []} for file in folder.iterdir()]))
    return path

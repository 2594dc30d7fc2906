"""Photographs and files that the pipeline's tests share."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.helpers import encoded


@pytest.fixture(scope="session")
def face_pixels() -> np.ndarray:
    """scikit-image's astronaut, (512, 512, 3) uint8."""
    data = pytest.importorskip("skimage.data")
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="session")
def plain_pixels() -> np.ndarray:
    """A picture of (200, 300, 3) uint8 in which there is no face: two colour ramps and noise."""
    y, x = np.mgrid[:200, :300]
    ramps = np.stack((x * 255 / 299, y * 255 / 199, 255 - x * 255 / 299), axis=-1)
    return (ramps * 0.9 + np.random.default_rng(0).integers(0, 20, ramps.shape)).astype(np.uint8)


@pytest.fixture(scope="session")
def face_png(face_pixels: np.ndarray) -> bytes:
    return encoded(face_pixels, "PNG", compress_level=1)


@pytest.fixture(scope="session")
def face_jpeg(face_pixels: np.ndarray) -> bytes:
    return encoded(face_pixels, "JPEG", quality=90)


@pytest.fixture(scope="session")
def plain_jpeg(plain_pixels: np.ndarray) -> bytes:
    return encoded(plain_pixels, "JPEG", quality=85)


@pytest.fixture
def write_boxes(tmp_path: Path) -> Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]:
    """A function that writes an ILSVRC annotation file from {key: boxes} and returns its path."""

    def write(content: dict[str, list[tuple[float, float, float, float]]]) -> Path:
        path = tmp_path / "boxes.json"
        corners = ("x0", "y0", "x1", "y1")
        entries = [
            {"url": key, "bboxes": [dict(zip(corners, box, strict=True)) for box in boxes]}
            for key, boxes in content.items()
        ]
        path.write_text(json.dumps(entries))
        return path

    return write


@pytest.fixture
def src(tmp_path: Path, face_png: bytes, face_jpeg: bytes, plain_jpeg: bytes) -> Path:
    """A tree with the face twice and a picture without one."""
    root = tmp_path / "src"
    for name, data in {"a/face.png": face_png, "face é 1.jpg": face_jpeg, "a/b/plain.JPEG": plain_jpeg}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "a" / "notes.txt").write_text("not an image")
    return root


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    """Eight pictures of 40 x 20 to 47 x 20 pixels, named for their width."""
    (tmp_path / "numbered").mkdir()
    rng = np.random.default_rng(1)
    for width in range(40, 48):
        pixels = rng.integers(0, 255, (20, width, 3), np.uint8)
        (tmp_path / "numbered" / f"{width}.png").write_bytes(encoded(pixels, "PNG"))
    return tmp_path / "numbered"

"""Runs over photographs whose embedded previews show a face that was cut off, or painted over, in the picture."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.pipeline import run
from fastblur.transforms import HideFaces
from tests.codecs.files import exif, segment, shows_thumbnail, with_segments
from tests.pipeline.helpers import decoded, encoded, failures, files_below


@pytest.fixture
def stale(face_pixels: np.ndarray) -> tuple[bytes, bytes]:
    """The lower half of a photograph, in which no face is, with the preview of all of it; and the preview."""
    whole = Image.fromarray(face_pixels)
    preview = encoded(whole.resize((128, 128)), "JPEG", quality=80)
    half = encoded(whole.crop((0, 300, 512, 512)), "JPEG", quality=90)
    return with_segments(half, segment(0xE1, b"Exif\0\0" + exif(1, thumbnail=preview))), preview


@pytest.mark.parametrize("engine", ["threads", "processes"])
@pytest.mark.parametrize("given", [True, False], ids=["boxes", "detector"])
def test_no_face_leaves_in_a_preview(
    stale: tuple[bytes, bytes], tmp_path: Path, write_boxes: Callable[..., Path], given: bool, engine: str
) -> None:
    data, preview = stale
    (tmp_path / "src").mkdir()
    (tmp_path / "src/half.jpg").write_bytes(data)
    options = {"boxes": write_boxes({"half.jpg": []})} if given else {"detect_size": 256}
    summary = run(tmp_path / "src", tmp_path / "out", engine=engine, workers=1, **options)
    after = (tmp_path / "out/half.jpg").read_bytes()
    assert shows_thumbnail(data, preview)
    assert not shows_thumbnail(after, preview)
    assert np.array_equal(decoded(after), decoded(data))
    assert (summary.copied, summary.without_previews, summary.exit_status) == (1, 1, 0)
    assert "copied        1, byte for byte but 1, which lost previews" in summary.text()
    (entry,) = (tmp_path / "out/.fastblur/journal").iterdir()
    line = json.loads(entry.read_text().splitlines()[1])
    assert line["reason"] == "written without its previews: they do not show the picture"
    again = run(tmp_path / "src", tmp_path / "out", engine=engine, workers=1, **options)
    assert (again.resumed, again.without_previews) == (1, 1)


def test_another_format_fails_but_for_stripped_metadata(
    face_pixels: np.ndarray, stale: tuple[bytes, bytes], tmp_path: Path, write_boxes: Callable[..., Path]
) -> None:
    (tmp_path / "src").mkdir()
    half = Image.fromarray(face_pixels[300:])
    (tmp_path / "src/half.png").write_bytes(encoded(half, "PNG", exif=b"Exif\0\0" + exif(1, thumbnail=stale[1])))
    boxes = write_boxes({"half.png": []})
    assert run(tmp_path / "src", tmp_path / "out", boxes=boxes).exit_status == 1
    assert files_below(tmp_path / "out") == set()
    assert "--strip-metadata, which leaves previews out" in failures(tmp_path / "out")["half.png"]
    assert run(tmp_path / "src", tmp_path / "stripped", boxes=boxes, strip_metadata=True).exit_status == 0
    assert not shows_thumbnail((tmp_path / "stripped/half.png").read_bytes(), stale[1])


def test_files_as_bytes_in_a_chain_of_transforms(stale: tuple[bytes, bytes]) -> None:
    hidden = HideFaces(detect_size=256)({"jpg": stale[0]})["jpg"]
    assert not shows_thumbnail(hidden, stale[1])
    assert np.array_equal(decoded(hidden), decoded(stale[0]))

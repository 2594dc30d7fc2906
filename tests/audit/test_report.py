"""The report: for its owner only, outside of the output, and all that the page needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.audit import audit
from fastblur.errors import UsageError
from fastblur.pipeline import run
from fastblur.pipeline.execution.journal_lines import to_text
from tests.audit.run_cases import make_run, write_boxes
from tests.pipeline.helpers import FACE, encoded


@pytest.fixture
def published(tmp_path: Path, face_pixels: np.ndarray, plain_pixels: np.ndarray) -> tuple[Path, Path]:
    """A source of two photographs, the second stored turned, and a picture; a run that hid the first face only."""
    source = tmp_path / "src"
    source.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.fromarray(np.rot90(face_pixels[:, :400]).copy())  # 90 degrees counter-clockwise: 6 turns it back
    (source / "1.jpg").write_bytes(encoded(face_pixels, "JPEG", quality=90))
    (source / "2.jpg").write_bytes(encoded(turned, "JPEG", quality=90, exif=exif))
    (source / "3.png").write_bytes(encoded(plain_pixels, "PNG"))
    boxes = write_boxes(tmp_path / "given.jsonl", {"1.jpg": [FACE], "2.jpg": [], "3.png": []})
    run(source, tmp_path / "out", boxes=boxes, engine="threads")
    return source, tmp_path / "out"


def test_what_the_page_gets(published: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = published
    summary = audit(out, tmp_path / "report", source=source, workers=1)
    content = json.loads((tmp_path / "report" / "audit.json").read_text())
    assert content == json.loads(json.dumps(summary.content))
    assert content["search"]["drawn"] == {"hidden": 1, "copied": 2}
    images = {one["image"]: one for one in content["images"]}
    assert set(images) == {"1.jpg", "2.jpg", "3.png"}
    hidden, turned, plain = (images[name] for name in ("1.jpg", "2.jpg", "3.png"))
    assert (hidden["fate"], hidden["suspects"], plain["suspects"]) == ("hidden", [], [])
    assert hidden["regions"][0]["box"] == list(FACE)
    assert hidden["regions"][0]["coverage"] > 0.9
    assert (turned["width"], turned["height"], turned["stored_width"], turned["stored_height"]) == (400, 512, 512, 400)
    (suspect,) = turned["suspects"]
    x, y = np.array(suspect["box"]).reshape(2, 2).mean(0)
    assert FACE[0] < x < FACE[2], "upright pixels"
    assert FACE[1] < y < FACE[3]
    a, b, c, d, e, f = turned["to_stored"]
    stored = a * x + b * y + c, d * x + e * y + f
    assert stored == pytest.approx((y, 400 - x))
    for one in images.values():
        with Image.open(tmp_path / "report" / one["picture"]) as picture:
            assert picture.size == (one["picture_width"], one["picture_height"])
            assert picture.size == (one["width"], one["height"]), "small images are shown in full size"
            assert not picture.getexif()
    assert (tmp_path / "report" / "index.html").stat().st_size > 10_000


def test_it_is_for_its_owner_only(published: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = published
    audit(out, tmp_path / "deep" / "report", sample=1)
    assert (tmp_path / "deep" / "report").stat().st_mode & 0o777 == 0o700
    again = audit(out, tmp_path / "deep" / "report", sample=0, gallery=0)
    assert again.content["images"] == []
    assert os.listdir(tmp_path / "deep" / "report" / "pictures") == []


def test_places_where_no_report_is_made(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    (tmp_path / "link").symlink_to(out)
    for place in (out, out / "report", out / ".fastblur" / "report", tmp_path / "link" / "report"):
        with pytest.raises(UsageError, match="lies in OUT"):
            audit(out, place)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(UsageError, match="holds other files"):
        audit(out, tmp_path / "full")
    with pytest.raises(UsageError, match="is a file"):
        audit(out, tmp_path / "full" / "mine.txt")
    with pytest.raises(UsageError, match="cannot be made"):
        audit(out, tmp_path / "full" / "mine.txt" / "report")
    with pytest.raises(UsageError, match="is a URL"):
        audit(out, "https://example.org/report")
    for place in (out / "sheet.jpg", tmp_path / "link" / "sheet.jpg", out / "a" / ".." / "sheet.jpg"):
        with pytest.raises(UsageError, match="lies in OUT"):
            audit(out, contact_sheet=place)
    (tmp_path / "there.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already"):
        audit(out, contact_sheet=tmp_path / "there.jpg")
    assert (tmp_path / "there.jpg").read_bytes() == b"mine"
    with pytest.raises(UsageError, match="expected numbers of images"):
        audit(out, sample=-1)
    assert sorted(os.listdir(out)) == [".fastblur", "a", "b"]


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet.png"])
def test_a_contact_sheet(tmp_path: Path, name: str) -> None:
    _, out = make_run(tmp_path)
    audit(out, contact_sheet=tmp_path / name, sample=6)
    with Image.open(tmp_path / name) as sheet:
        assert sheet.size[0] > 640
        blue = (np.abs(np.asarray(sheet.convert("RGB"), int) - (0, 160, 255)) < 40).all(2)
        assert blue.sum() > 200, "boxes of the regions"
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match=r"expected a \.jpg or \.png file"):
        audit(out, contact_sheet=tmp_path / "sheet.txt")


def test_images_in_tars_and_tables_are_seen(tmp_path: Path) -> None:
    for kind in ("tar", "table"):
        _, out = make_run(tmp_path / kind, kind)
        content = audit(out, tmp_path / kind / "report", sample=6).content
        assert len(content["images"]) == 6
        assert sum(len(one["regions"]) for one in content["images"]) == 5
        for one in content["images"]:
            with Image.open(tmp_path / kind / "report" / one["picture"]) as picture:
                assert picture.size == (160, 120)


def test_near_misses_are_shown_but_for_those_hidden_since(tmp_path: Path) -> None:
    _, out = make_run(tmp_path)
    (entry,) = (out / ".fastblur/journal").iterdir()
    lines = [json.loads(line) for line in entry.read_text().splitlines()]
    lines[1]["near"] = [22, 17, 58, 58, 20, 100, 80, 130, 110, 15]  # the first one lies in a region
    lines[0]["corrected"], lines[1]["corrected"] = ["0" * 64], "0" * 64
    entry.write_text("".join(map(to_text, lines)))
    content = audit(out, tmp_path / "report", sample=0, gallery=1).content
    (image,) = content["images"]
    assert image["found"] == ["near miss"]
    assert content["near_misses"] == 1
    assert image["near_misses"] == [{"box": [100, 80, 130, 110], "score": 0.15, "crop": None}]


def test_the_command(published: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = published
    command = [sys.executable, "-m", "fastblur", "audit", str(out)]
    ended = subprocess.run(
        [*command, str(tmp_path / "report"), "--source", str(source)], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "suspects      1 in 1 of the 3 images drawn" in ended.stdout
    assert "index.html" in ended.stdout
    (out / "1.jpg").write_bytes((source / "1.jpg").read_bytes())
    ended = subprocess.run([*command, "--source", str(source), "--sample", "0"], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "'1.jpg' is the source's own file, with nothing hidden in it" in ended.stdout
    ended = subprocess.run([*command, str(out / "report")], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("fastblur: REPORT")


def test_a_run_says_what_to_do_next(published: tuple[Path, Path], tmp_path: Path) -> None:
    source, _ = published
    command = [sys.executable, "-m", "fastblur", "run", str(source), str(tmp_path / "a b"), "--boxes"]
    ended = subprocess.run([*command, str(tmp_path / "given.jsonl")], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert f"next          fastblur audit '{tmp_path / 'a b'}' REPORT --source {source}" in ended.stdout
    command[4:6] = [str(source / "3.png"), str(tmp_path / "one")]
    ended = subprocess.run([*command, str(tmp_path / "given.jsonl")], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "next" not in ended.stdout, "the output of one image has no journal"


def test_a_report_does_not_lie_in_the_source(published: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = published
    (tmp_path / "link").symlink_to(source)
    for place in (source, source / "report", tmp_path / "link" / "report"):
        for given in (source, [source]):
            with pytest.raises(UsageError, match="lies in SRC"):
                audit(out, place, source=given)
    assert not (source / "report").exists()

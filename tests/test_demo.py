from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fastblur import demo
from fastblur.cli import app
from fastblur.pipeline import Summary
from tests.pipeline.helpers import decoded, detail, files_below

pytestmark = pytest.mark.slow

pytest.importorskip("skimage")
pytest.importorskip("matplotlib")


def test_both_faces_are_hidden(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    result = CliRunner().invoke(app, ["demo", str(out)])
    assert result.exit_code == 0, result.output
    assert {name for name in files_below(out) if not name.startswith("blurred/.fastblur/")} == {
        "photos/astronaut.png", "photos/grace_hopper.jpg", "blurred/astronaut.png", "blurred/grace_hopper.jpg",
        "before_after.png",
    }  # fmt: skip
    faces = {"astronaut.png": (175, 60, 275, 190), "grace_hopper.jpg": (175, 90, 325, 290)}
    for name, face in faces.items():
        before, after = decoded(out / "photos" / name), decoded(out / "blurred" / name)
        assert before.shape == after.shape
        assert detail(after, face) < 0.35 * detail(before, face)
    with Image.open(out / "before_after.png") as image:
        assert image.height == demo.HEIGHT
        assert image.width > 3 * demo.HEIGHT
    assert "with regions  2, 2 regions hidden" in result.output


def test_it_can_be_run_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert CliRunner().invoke(app, ["demo", str(tmp_path)]).exit_code == 0


def test_a_face_that_is_not_found_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(source: Path, destination: Path, **options: object) -> Summary:
        from fastblur.pipeline import run

        boxes = tmp_path / "boxes.json"
        boxes.write_text("[]")
        return run(source, destination, boxes=boxes, unlisted="copy", overwrite=True)

    monkeypatch.setattr(demo, "run", blind)
    result = CliRunner().invoke(app, ["demo", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "no face was found in astronaut.png and grace_hopper.jpg" in result.stderr
    assert not (tmp_path / "out" / "before_after.png").exists()


def test_the_picture_shows_before_and_after(tmp_path: Path) -> None:
    paths = []
    for level in (10, 200):
        paths.append(tmp_path / f"{level}.png")
        Image.fromarray(np.full((50, 40, 3), level, np.uint8)).save(paths[-1])
    row = np.asarray(demo._side_by_side([(paths[0], paths[1])]))
    assert row[0, 0].tolist() == [10, 10, 10]
    assert row[-1, -1].tolist() == [200, 200, 200]

"""Box files that call images by their names within tars: boxes that would go to two images stop the run."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastblur.pipeline import run
from fastblur.pipeline.errors import RunStopped
from tests.pipeline.helpers import FACE, failures, files_below

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]


def plant(folder: Path, tars: dict[str, list[str]], image: bytes) -> Path:
    for name, members in tars.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, "w") as file:
            for member in members:
                info = tarfile.TarInfo(member)
                info.size = len(image)
                file.addfile(info, io.BytesIO(image))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_one_entry_for_images_of_two_tars(tmp_path: Path, face_jpeg: bytes, write_boxes: Write, engine: str) -> None:
    src = plant(tmp_path / "src", {"0.tar": ["a.jpg", "b.jpg"], "1.tar": ["c.jpg", "a.jpg"]}, face_jpeg)
    boxes = write_boxes({name: [FACE] for name in ("a.jpg", "b.jpg", "c.jpg")})
    for _ in range(2):  # also when it goes on, after the first tar is finished
        with pytest.raises(RunStopped, match=r"'a\.jpg' stands for more than one image"):
            run(src, tmp_path / "out", boxes=boxes, engine=engine, workers=1 if engine == "threads" else 2)
    assert not (tmp_path / "out" / "1.tar").exists()


def test_names_with_the_tars_are_apart(tmp_path: Path, face_jpeg: bytes, write_boxes: Write) -> None:
    src = plant(tmp_path / "src", {"0.tar": ["a.jpg", "b.jpg"], "1.tar": ["./a.jpg"]}, face_jpeg)
    boxes = write_boxes({"0.tar/a.jpg": [FACE], "b.jpg": [FACE], "1.tar/a.jpg": []})
    summary = run(src, tmp_path / "out", boxes=boxes)
    assert (summary.with_regions, summary.copied, summary.failed, summary.unused_boxes) == (2, 1, 0, 0)


@pytest.mark.parametrize("name", ["a.ppm", "a.heic", "a.tga", "a.picture"])
def test_images_that_cannot_be_decoded_do_not_pass(tmp_path: Path, write_boxes: Write, name: str) -> None:
    data = b"P6\n2 1\n255\n" + bytes(6) if name.endswith(("ppm", "picture")) else b"whatever it is"
    src = plant(tmp_path / "src", {"0.tar": [name]}, data)
    summary = run(src, tmp_path / "out", boxes=write_boxes({"b.jpg": []}))
    assert (summary.images, summary.failed) == (1, 1)
    with tarfile.open(tmp_path / "out" / "0.tar") as file:
        assert file.getnames() == []


def test_an_image_that_took_the_boxes_of_another_stops_the_run(
    tmp_path: Path, face_jpeg: bytes, write_boxes: Write
) -> None:
    src = tmp_path / "train"
    (src / "train").mkdir(parents=True)
    for name in ("a.jpg", "train/a.jpg"):  # the file knows the second one, which the first is called seen from above
        (src / name).write_bytes(face_jpeg)
    with pytest.raises(RunStopped, match="stands for more than one image"):
        run(src, tmp_path / "out", boxes=write_boxes({"train/a.jpg": []}))


@pytest.mark.parametrize("boxes", [[], [list(FACE)]])
def test_boxes_of_an_image_of_another_size_are_refused(tmp_path: Path, face_jpeg: bytes, boxes: list[Any]) -> None:
    (tmp_path / "src").mkdir()
    lines = []
    for name, size in (("a.jpg", (512, 512)), ("b.jpg", (256, 256)), ("c.jpg", (None, 512))):
        (tmp_path / "src" / name).write_bytes(face_jpeg)
        lines.append(json.dumps({"path": name, "boxes": boxes, "width": size[0], "height": size[1]}) + "\n")
    (tmp_path / "boxes.jsonl").write_text("".join(lines))
    run(tmp_path / "src", tmp_path / "out", boxes=tmp_path / "boxes.jsonl")
    assert files_below(tmp_path / "out") == {"a.jpg", "c.jpg"}
    assert failures(tmp_path / "out") == {
        "b.jpg": "boxes: they are of an image of 256 x 256 pixels, this one has 512 x 512"
    }

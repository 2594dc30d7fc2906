"""The command's options about what is read: several inputs, categories, columns, members, what is not searched."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.helpers import FACE, decoded, detail, encoded, failures, files_below
from tests.test_cli import call, refusals


@pytest.fixture(scope="module")
def face() -> bytes:
    data = pytest.importorskip("skimage.data")
    return encoded(np.asarray(data.astronaut()), "JPEG", quality=90)


@pytest.fixture(scope="module")
def black() -> bytes:
    return encoded(np.zeros((40, 60, 3), np.uint8), "JPEG")


@pytest.fixture
def src(tmp_path: Path, face: bytes, black: bytes) -> Path:
    """A folder with a face, and a picture without one."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src/face.jpg").write_bytes(face)
    (tmp_path / "src/black.jpg").write_bytes(black)
    return tmp_path / "src"


def lines(path: Path) -> dict[str, dict[str, object]]:
    """The lines of a search by their paths."""
    read = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({line["path"] for line in read}) == len(read)
    return {line["path"]: line for line in read}


def hidden(before: bytes | Path, after: bytes | Path) -> bool:
    return detail(decoded(after)) < 0.25 * detail(decoded(before))


def test_several_inputs(src: Path, tmp_path: Path) -> None:
    status, text, errors = call("run", src / "face.jpg", src / "black.jpg", tmp_path / "out", "--detect-size", "256")
    assert (status, refusals(errors)) == (0, [])
    assert "images        2" in text
    assert files_below(tmp_path / "out") == {"face.jpg", "black.jpg"}
    assert hidden(src / "face.jpg", tmp_path / "out/face.jpg")
    status, text, errors = call("run", src / "face.jpg", src / "../src/face.jpg", tmp_path / "again")
    assert (status, text) == (2, "")
    assert errors.count("\n") == 1
    assert "would both become 'face.jpg'" in errors
    status, _, _ = call("detect", src / "face.jpg", src, tmp_path / "faces.jsonl", "--detect-size", "256")
    assert status == 0
    assert lines(tmp_path / "faces.jsonl").keys() == {"face.jpg", "src/face.jpg", "src/black.jpg"}


def test_metadata_are_stripped(src: Path, tmp_path: Path) -> None:
    for name, pixels in (("face.jpg", decoded(src / "face.jpg")), ("black.jpg", np.zeros((40, 60, 3)))):
        (src / name).write_bytes(encoded(pixels.astype(np.uint8), "JPEG", comment=b"Torstrasse 1"))
    status, text, _ = call("run", src, tmp_path / "out", "--detect-size", "256", "--strip-metadata")
    assert status == 0
    assert "copied        1, without their metadata" in text
    for name in ("face.jpg", "black.jpg"):
        assert b"Torstrasse" in (src / name).read_bytes()
        assert b"Torstrasse" not in (tmp_path / "out" / name).read_bytes()


def test_only_the_boxes_of_chosen_categories_are_hidden(src: Path, tmp_path: Path) -> None:
    x0, y0, x1, y1 = FACE
    coco = {
        "images": [
            {"id": 1, "file_name": "face.jpg", "width": 512, "height": 512},
            {"id": 2, "file_name": "black.jpg", "width": 60, "height": 40},
        ],
        "categories": [{"id": 3, "name": "face"}, {"id": 4, "name": "flag"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [x0, y0, x1 - x0, y1 - y0]},
            {"id": 2, "image_id": 1, "category_id": 4, "bbox": [0, 300, 100, 100]},
        ],
    }
    boxes = tmp_path / "coco.json"
    boxes.write_text(json.dumps(coco))
    before = decoded(src / "face.jpg")
    flag = (0, 300, 100, 400)
    for number, (categories, face_is_hidden, flag_is_hidden) in enumerate(
        [(["face"], True, False), (["4"], False, True), (["face", "4"], True, True), ([], True, True)]
    ):
        out = tmp_path / str(number)
        chosen = [argument for category in categories for argument in ("--box-category", category)]
        status, _, errors = call("run", src, out, "--boxes", boxes, *chosen)
        assert (status, refusals(errors)) == (0, [])
        after = decoded(out / "face.jpg")
        assert (detail(after) < 0.5 * detail(before)) == face_is_hidden
        assert (detail(after, flag) < 0.5 * detail(before, flag)) == flag_is_hidden
    status, _, errors = call("run", src, tmp_path / "none", "--boxes", boxes, "--box-category", "hand")
    assert status == 2
    assert errors.count("\n") == 1
    assert "hand" in errors
    status, _, errors = call("run", src, tmp_path / "none", "--box-category", "face")
    assert status == 2
    assert "box_category has no effect without boxes" in errors
    assert not (tmp_path / "none").exists()


def test_columns_that_are_searched(face: bytes, black: bytes, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "src").mkdir()
    table = pyarrow.table({"left": [face, black], "right": [black, face], "note": ["a", "b"]})
    parquet.write_table(table, tmp_path / "src/a.parquet")
    names = {"left": {"a.parquet/0/left", "a.parquet/1/left"}, "right": {"a.parquet/0/right", "a.parquet/1/right"}}
    for number, (options, found, expected) in enumerate(
        [
            ([], names["left"] | names["right"], 0),
            (["--image-column", "left", "--image-column", "right"], names["left"] | names["right"], 0),
            (["--image-column", "left", "--others", "copy"], {"a.parquet/0", "a.parquet/1"}, 0),
            (["--image-column", "left"], None, 1),
        ]
    ):
        out = tmp_path / f"{number}.jsonl"
        status, _, _ = call("detect", tmp_path / "src", out, "--detect-size", "256", *options)
        assert status == expected, options
        read = lines(out)
        if found is None:
            assert any("right" in str(line.get("error")) for line in read.values())
            continue
        assert read.keys() == found
        assert sum(bool(line["boxes"]) for line in read.values()) == len(found) // 2
    status, _, errors = call("detect", tmp_path / "src", tmp_path / "x.jsonl", "--image-column", "middle")
    assert status == 1
    assert "middle" in (tmp_path / "x.jsonl").read_text() + errors


def test_members_that_are_searched(face: bytes, black: bytes, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    with tarfile.open(tmp_path / "src/a.tar", "w") as file:
        for name, data in (("0.jpg", face), ("0.mask.jpg", black), ("1.jpg", black), ("1.mask.jpg", black)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    every = {f"a.tar/{name}" for name in ("0.jpg", "0.mask.jpg", "1.jpg", "1.mask.jpg")}
    for number, (options, found) in enumerate(
        [([], every), (["--members", "jpg"], {"a.tar/0.jpg", "a.tar/1.jpg"}), (["--members", "jpg,*.mask.jpg"], every)]
    ):
        out = tmp_path / f"{number}.jsonl"
        status, _, errors = call("detect", tmp_path / "src", out, "--detect-size", "256", *options)
        assert (status, refusals(errors)) == (0, [])
        read = lines(out)
        assert read.keys() == found
        assert [path for path, line in read.items() if line["boxes"]] == ["a.tar/0.jpg"]
    status, _, errors = call("detect", tmp_path / "src", tmp_path / "x.jsonl", "--members", "jpg,,png")
    assert status == 2
    assert "members has an empty name" in errors


def test_what_a_search_makes_of_what_it_cannot_search(src: Path, tmp_path: Path) -> None:
    (src / "film.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    (src / "a.gif").write_bytes(b"GIF89a" + bytes(100))
    for others, status in (("fail", 1), ("copy", 0), ("skip", 0)):
        out = tmp_path / f"{others}.jsonl"
        assert call("detect", src, out, "--detect-size", "256", "--others", others)[0] == status
        read = lines(out)
        assert {path for path, line in read.items() if "error" not in line} == {"face.jpg", "black.jpg"}
        wrong = {path for path, line in read.items() if "error" in line}
        assert wrong == ({"film.mp4", "a.gif"} if others == "fail" else set())
    status, _, _ = call("run", src, tmp_path / "out", "--boxes", tmp_path / "fail.jsonl")
    assert status == 1
    assert failures(tmp_path / "out").keys() == {"film.mp4", "a.gif"}
    assert hidden(src / "face.jpg", tmp_path / "out/face.jpg")
    status, _, errors = call("detect", src, tmp_path / "x.jsonl", "--others", "drop")
    assert status == 2
    assert "Traceback" not in errors


def test_boxes_in_a_column_of_structs(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pixels = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    data = encoded(pixels, "PNG")
    for name, others in (("coco", {"category": [1]}), ("wider", {"blur": [0]})):
        (tmp_path / name).mkdir()
        faces = [{"bbox": [[10, 20, 30, 40]], **others}]
        parquet.write_table(pa.table({"image": [data], "faces": faces}), tmp_path / name / "t.parquet")
    runs = {("coco",): 0, ("coco", "xywh"): 0, ("wider", "xywh"): 0, ("wider",): 1, ("coco", "xyxy"): 1}
    for (name, *format), status in runs.items():
        out = tmp_path / f"out {name} {format}"
        given = ["--box-column", "faces", *(["--box-format", *format] if format else [])]
        how = ["--method", "fill", "--color", "7", "--margin", "0"]
        exit_status, _, errors = call("run", tmp_path / name, out, *given, *how)
        assert exit_status == status, errors
        rows = parquet.read_table(out / "t.parquet").to_pylist()
        assert len(rows) == (0 if status else 1)
        if status:
            continue
        hidden = decoded(rows[0]["image"])
        expected = pixels.copy()
        expected[20:60, 10:40] = 7
        np.testing.assert_array_equal(hidden, expected)

import json
import pickle
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fastblur.pipeline.boxes import box_file as module
from fastblur.pipeline.boxes.box_file import BoxFile
from fastblur.pipeline.boxes.checks import hiding_boxes, relative_boxes

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]

BOX = (1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("/data", "train/n01/x.JPEG"),
        ("/data/train", "n01/x.JPEG"),
        ("/data/train/n01", "x.JPEG"),
        ("/data/train/train", "n01/x.JPEG"),
    ],
)
def test_keys_are_relative_to_the_root_or_to_one_of_its_parents(write_boxes: Write, root: str, name: str) -> None:
    file = BoxFile(write_boxes({"train/n01/x.JPEG": [BOX], "train/n01/y.JPEG": []}), Path(root))
    assert len(file) == 2
    found = file.find(name)
    assert found is not None
    assert found.tolist() == [list(BOX)]


def test_keys_from_any_parent_up_to_the_top(write_boxes: Write) -> None:
    file = BoxFile(write_boxes({"data/sets/train/x.JPEG": [BOX]}), Path("/data/sets/train"))
    assert file.find("x.JPEG") is not None


@pytest.mark.parametrize("name", ["z.JPEG", "n01/x.JPEG", "X.JPEG", "train/n01/x.JPEG"])
def test_an_image_that_is_not_named_is_not_found(write_boxes: Write, name: str) -> None:
    file = BoxFile(write_boxes({"train/n01/x.JPEG": [BOX]}), Path("/other"))
    assert (file.find(name) is not None) == (name == "train/n01/x.JPEG")


def test_only_whole_names_of_folders_match(write_boxes: Write) -> None:
    assert BoxFile(write_boxes({"train/x.JPEG": [BOX]}), Path("/data/mytrain")).find("x.JPEG") is None


def test_an_image_that_is_named_in_two_ways_is_refused(write_boxes: Write) -> None:
    file = BoxFile(write_boxes({"train/x.JPEG": [BOX], "x.JPEG": []}), Path("/data/train"))
    with pytest.raises(ValueError, match=r"names both 'x\.JPEG' and 'train/x\.JPEG'"):
        file.find("x.JPEG")


def test_all_images_are_named_from_the_same_folder(write_boxes: Write) -> None:
    # /data/train/a.JPEG and /data/train/train/b.JPEG: the second would take the boxes of /data/train/b.JPEG.
    file = BoxFile(write_boxes({"train/a.JPEG": [BOX], "train/b.JPEG": []}), Path("/data/train"))
    assert file.find("a.JPEG") is not None
    with pytest.raises(ValueError, match="earlier images begin with 'train/'"):
        file.find("train/b.JPEG")
    assert file.find("b.JPEG") is not None


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text('[{"url": "a.jpg", "bboxes": []}, {"url": "./a.jpg", "bboxes": []}]')
    with pytest.raises(ValueError, match=r"names 'a\.jpg' twice"):
        BoxFile(path, tmp_path)


def test_a_key_that_comes_twice_is_refused_also_among_others_of_the_same_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_hash", lambda name: len(name))
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([{"url": key, "bboxes": []} for key in ("a", "b", "cc", "a", "dd")]))
    with pytest.raises(ValueError, match="names 'a' twice"):
        BoxFile(path, tmp_path)


def test_keys_in_very_many_folders(write_boxes: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 3)
    given = {f"{i}/x.jpg": [(0.0, 0.0, 1.0, i + 1.0)] for i in range(9)}
    for root, below in (("/data", ""), ("/data/8", "8/")):
        file = BoxFile(write_boxes(given), Path(root))
        for name, boxes in given.items():
            if name.startswith(below):
                found = file.find(name.removeprefix(below))
                assert found is not None
                assert found.tolist() == [list(boxes[0])]
        assert file.find("none/x.jpg") is None


def test_names_with_accents_and_bytes_that_are_not_utf8(write_boxes: Write) -> None:
    file = BoxFile(write_boxes({"é ü.jpg": [BOX], "\udcff.jpg": [BOX]}), Path("/data"))
    assert file.find("é ü.jpg") is not None
    assert file.find("\udcff.jpg") is not None


class TestHidingBoxes:
    """Which boxes hide something in an image of 100 x 50 pixels."""

    def test_those_with_an_area(self) -> None:
        boxes = np.array([[1, 1, 5, 5], [3, 3, 3, 9], [-5, -5, 1, 2], [99, 49, 500, 500]], np.float32)
        assert hiding_boxes(boxes, 50, 100).tolist() == boxes[[0, 2, 3]].tolist()

    @pytest.mark.parametrize("box", [(9, 9, 4, 12), (9, 9, 12, 4), (0.1, 0.2, 0.9, 1.1), (-0.1, 0, 1, 1)])
    def test_one_the_wrong_way_round_or_in_parts_of_the_image_is_refused(self, box: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match=r"a box is .*, expected (x0 <= x1|pixels)|as if in parts"):
            hiding_boxes(np.array([[1, 1, 5, 5], box], np.float32), 50, 100)

    def test_none_from_none(self) -> None:
        assert hiding_boxes(np.zeros((0, 4), np.float32), 50, 100).shape == (0, 4)

    @pytest.mark.parametrize("box", [(100, 0, 110, 9), (0, 50, 9, 60), (-9, 0, 0, 9), (0, -9, 9, 0)])
    def test_one_wholly_outside_is_refused_even_beside_a_good_one(self, box: tuple[float, ...]) -> None:
        with pytest.raises(ValueError, match="outside the image of 100 x 50 pixels"):
            hiding_boxes(np.array([[1, 1, 5, 5], box], np.float32), 50, 100)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
    @pytest.mark.parametrize("place", [0, 1, 2, 3])
    def test_one_that_is_no_number_is_refused_even_beside_a_good_one(self, place: int, value: float) -> None:
        boxes = np.array([[1, 1, 5, 5], [2, 2, 6, 6]], np.float32)
        boxes[1, place] = value
        with pytest.raises(ValueError, match="expected four finite numbers"):
            hiding_boxes(boxes, 50, 100)

    def test_none_with_an_area_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no box has an area"):
            hiding_boxes(np.array([[3, 3, 3, 9], [7, 5, 7, 5]], np.float32), 50, 100)


def test_every_image_has_its_own_boxes_also_where_hashes_are_the_same(
    write_boxes: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {f"{i}.jpg": [(0.0, 0.0, float(i), k + 1.0) for k in range(i % 4)] for i in range(40)}
    for bits in (64, 3, 0):
        monkeypatch.setattr(module, "_hash", lambda name, real=module._hash, bits=bits: real(name) % (1 << bits))
        file = BoxFile(write_boxes(given), Path("/data"))
        for name, boxes in given.items():
            found = file.find(name)
            assert found is not None
            assert found.tolist() == [list(box) for box in boxes]
        assert file.find("40.jpg") is None
        monkeypatch.undo()


def test_what_was_never_looked_up_is_counted(write_boxes: Write) -> None:
    file = BoxFile(write_boxes({"a.jpg": [BOX], "b.jpg": [], "c.jpg": []}), Path("/data"))
    assert file.unused == 3
    for name in ("a.jpg", "a.jpg", "none.jpg"):
        file.find(name)
    assert file.unused == 2


def test_it_can_be_sent_to_another_process(write_boxes: Write) -> None:
    file = BoxFile(write_boxes({"train/a.jpg": [BOX], "train/b.jpg": []}), Path("/data/train"))
    file.find("a.jpg")
    buffers: list[pickle.PickleBuffer] = []
    sent = pickle.dumps(file, 5, buffer_callback=buffers.append)
    there = pickle.loads(sent, buffers=[bytes(buffer) for buffer in buffers])  # read-only arrays, as Ray's are
    assert there.find("a.jpg").tolist() == [list(BOX)]
    assert len(there.find("b.jpg")) == 0
    assert (file.unused, there.unused) == (1, 0)


def test_threads_find_at_once(write_boxes: Write) -> None:
    names = [f"{i}.jpg" for i in range(2000)]
    file = BoxFile(write_boxes({f"train/{name}": [(0.0, 0.0, 1.0, i)] for i, name in enumerate(names)}), Path("/train"))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(file.find, names, chunksize=1))
    assert [None if boxes is None else boxes[0, 3] for boxes in found] == list(range(2000))
    assert file.unused == 0


def test_an_image_takes_some_bytes_and_no_objects(write_boxes: Write) -> None:
    path = write_boxes({f"train/n01440764/n01440764_{i:05}.JPEG": [BOX] * (i % 2) for i in range(20_000)})
    tracemalloc.start()
    file = BoxFile(path, Path("/data"))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(file) == 20_000
    assert kept < 100 * 20_000  # 37 are the name's; a str and an array of no box at all take 250


def test_coco_is_told_from_its_content(tmp_path: Path) -> None:
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "bbox": [1, 2, 2, 2]}]}
    (tmp_path / "x.json").write_text(json.dumps(content))
    found = BoxFile(tmp_path / "x.json", tmp_path).find("a.jpg")
    assert found is not None
    assert found.tolist() == [[1, 2, 3, 4]]


def test_an_image_that_could_not_be_searched_is_refused_not_taken_for_one_without_boxes(tmp_path: Path) -> None:
    path = tmp_path / "x.JSONL"
    lines = [
        {"path": "a.jpg", "boxes": [BOX]},
        {"path": "b.jpg", "error": "decode: broken"},
        {"path": "c.jpg", "boxes": []},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = BoxFile(path, tmp_path)
    for one in (file, pickle.loads(pickle.dumps(file))):
        found, none = one.find("a.jpg"), one.find("c.jpg")
        assert found is not None
        assert none is not None
        assert (found.tolist(), none.tolist()) == ([list(BOX)], [])
        with pytest.raises(ValueError, match="could not be searched"):
            one.find("b.jpg")
        assert one.unused == 0


def test_relative_boxes() -> None:
    boxes = np.array([[0, 0.25, 1, 0.5], [-0.1, 0, 1.2, 1]], np.float32)
    np.testing.assert_allclose(relative_boxes(boxes, 40, 80), [[0, 10, 80, 20], [-8, 0, 96, 40]], rtol=1e-6)
    assert relative_boxes(np.zeros((0, 4), np.float32), 40, 80).shape == (0, 4)
    for bad in ([0, 0, 50, 40], [float("nan"), 0, 1, 1], [0, 0, float("inf"), 1], [-3, 0, 1, 1]):
        with pytest.raises(ValueError, match="expected parts of the image"):
            relative_boxes(np.array([[0, 0, 1, 1], bad], np.float32), 40, 80)


def test_members_of_tars_are_found_however_their_names_begin(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"path": "0.tar/./a.jpg", "boxes": [BOX]}) + "\n")
    for name in ("0.tar/./a.jpg", "0.tar/a.jpg", "0.tar//a.jpg"):
        found = BoxFile(path, tmp_path).find(name)
        assert found is not None
        assert found.tolist() == [list(BOX)]

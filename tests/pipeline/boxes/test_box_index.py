"""The boxes of a file, by key."""

import json
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from fastblur.pipeline.boxes import box_index as module
from fastblur.pipeline.boxes.box_index import BoxIndex

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]

BOX = (1.0, 2.0, 3.0, 4.0)


def boxes_of(index: BoxIndex, key: str) -> list[list[float]] | None:
    """Return what the index has for a key."""
    entry = index.find(key)
    boxes = None if entry is None else index.boxes_of(entry)
    return None if boxes is None else boxes.tolist()


def test_a_key_that_comes_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.json"
    path.write_text('[{"url": "a.jpg", "bboxes": []}, {"url": "./a.jpg", "bboxes": []}]')
    with pytest.raises(ValueError, match=r"names 'a\.jpg' twice"):
        BoxIndex.read(path)


def test_a_key_that_comes_twice_is_refused_also_among_others_of_the_same_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_hash", lambda name: len(name))
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps([{"url": key, "bboxes": []} for key in ("a", "b", "cc", "a", "dd")]))
    with pytest.raises(ValueError, match="names 'a' twice"):
        BoxIndex.read(path)


def test_names_with_accents_and_bytes_that_are_not_utf8(write_boxes: Write) -> None:
    file = BoxIndex.read(write_boxes({"é ü.jpg": [BOX], "\udcff.jpg": [BOX]}))
    assert file.find("é ü.jpg") is not None
    assert file.find("\udcff.jpg") is not None


def test_every_image_has_its_own_boxes_also_where_hashes_are_the_same(
    write_boxes: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {f"{i}.jpg": [(0.0, 0.0, float(i), k + 1.0) for k in range(i % 4)] for i in range(40)}
    for bits in (64, 3, 0):
        monkeypatch.setattr(module, "_hash", lambda name, real=module._hash, bits=bits: real(name) % (1 << bits))
        file = BoxIndex.read(write_boxes(given))
        for name, boxes in given.items():
            assert boxes_of(file, name) == [list(box) for box in boxes]
        assert file.find("40.jpg") is None
        monkeypatch.undo()


def test_it_can_be_sent_to_another_process(write_boxes: Write) -> None:
    file = BoxIndex.read(write_boxes({"train/a.jpg": [BOX], "train/b.jpg": []}))
    buffers: list[pickle.PickleBuffer] = []
    sent = pickle.dumps(file, 5, buffer_callback=buffers.append)
    there = pickle.loads(sent, buffers=[bytes(buffer) for buffer in buffers])  # read-only arrays, as Ray's are
    for index in (file, there):
        assert boxes_of(index, "train/a.jpg") == [list(BOX)]
        assert boxes_of(index, "train/b.jpg") == []
        assert [index.key(entry) for entry in range(len(index))] == ["train/a.jpg", "train/b.jpg"]
        assert (index.has_folder("train"), index.has_folder("val")) == (True, False)
    assert len(buffers) == 8, "arrays go as they are, so that the processes of a machine can share them"


def test_an_empty_file_names_nothing(write_boxes: Write) -> None:
    file = BoxIndex.read(write_boxes({}))
    assert (len(file), file.find("a.jpg"), file.find("")) == (0, None, None)


def test_an_image_takes_some_bytes_and_no_objects(write_boxes: Write) -> None:
    path = write_boxes({f"train/n01440764/n01440764_{i:05}.JPEG": [BOX] * (i % 2) for i in range(20_000)})
    tracemalloc.start()
    file = BoxIndex.read(path)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(file) == 20_000
    assert kept < 100 * 20_000  # 37 are the name's; a str and an array of no box at all take 250


def test_coco_is_told_from_its_content(tmp_path: Path) -> None:
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 1, "bbox": [1, 2, 2, 2]}]}
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert boxes_of(BoxIndex.read(tmp_path / "x.json"), "a.jpg") == [[1, 2, 3, 4]]

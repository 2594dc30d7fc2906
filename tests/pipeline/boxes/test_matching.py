"""Which image gets the boxes of which entry."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from fastblur.boxes import Boxes
from fastblur.pipeline.boxes import box_index as module
from fastblur.pipeline.boxes.box_index import BoxIndex
from fastblur.pipeline.boxes.matching import BY_KEY, BY_NAME, BoxAssignment, SharedBoxes

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]

BOX = (1.0, 2.0, 3.0, 4.0)


def assigned(path: Path, root: Path, log: bool = False) -> BoxAssignment:
    """Return the boxes of a file for images below a root."""
    return BoxAssignment(BoxIndex.read(path), root, log=log)


def found_by(file: BoxAssignment, name: str, how: int = BY_NAME) -> Boxes | None:
    """Return an image's boxes."""
    found = file.lookup(name, how=how)
    return None if found is None else found[0]


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
    file = assigned(write_boxes({"train/n01/x.JPEG": [BOX], "train/n01/y.JPEG": []}), Path(root))
    assert len(file.index) == 2
    found = found_by(file, name)
    assert found is not None
    assert found.tolist() == [list(BOX)]


def test_keys_from_any_parent_up_to_the_top(write_boxes: Write) -> None:
    file = assigned(write_boxes({"data/sets/train/x.JPEG": [BOX]}), Path("/data/sets/train"))
    assert found_by(file, "x.JPEG") is not None


@pytest.mark.parametrize("name", ["z.JPEG", "n01/x.JPEG", "X.JPEG", "train/n01/x.JPEG"])
def test_an_image_that_is_not_named_is_not_found(write_boxes: Write, name: str) -> None:
    file = assigned(write_boxes({"train/n01/x.JPEG": [BOX]}), Path("/other"))
    assert (found_by(file, name) is not None) == (name == "train/n01/x.JPEG")


def test_only_whole_names_of_folders_match(write_boxes: Write) -> None:
    file = assigned(write_boxes({"train/x.JPEG": [BOX]}), Path("/data/mytrain"))
    assert found_by(file, "x.JPEG") is None


def test_an_image_that_is_named_in_two_ways_is_refused(write_boxes: Write) -> None:
    file = assigned(write_boxes({"train/x.JPEG": [BOX], "x.JPEG": []}), Path("/data/train"))
    with pytest.raises(ValueError, match=r"names both 'x\.JPEG' and 'train/x\.JPEG'"):
        found_by(file, "x.JPEG")


def test_all_images_are_named_from_the_same_folder(write_boxes: Write) -> None:
    # /data/train/a.JPEG and /data/train/train/b.JPEG: the second would take the boxes of /data/train/b.JPEG.
    file = assigned(write_boxes({"train/a.JPEG": [BOX], "train/b.JPEG": []}), Path("/data/train"))
    assert found_by(file, "a.JPEG") is not None
    with pytest.raises(ValueError, match="earlier images begin with 'train/'"):
        found_by(file, "train/b.JPEG")
    assert found_by(file, "b.JPEG") is not None


def test_keys_in_very_many_folders(write_boxes: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 3)
    given = {f"{i}/x.jpg": [(0.0, 0.0, 1.0, i + 1.0)] for i in range(9)}
    for root, below in (("/data", ""), ("/data/8", "8/")):
        file = assigned(write_boxes(given), Path(root))
        for name, boxes in given.items():
            if name.startswith(below):
                found = found_by(file, name.removeprefix(below))
                assert found is not None
                assert found.tolist() == [list(boxes[0])]
        assert found_by(file, "none/x.jpg") is None


def test_what_was_never_looked_up_is_counted(write_boxes: Write) -> None:
    file = assigned(write_boxes({"a.jpg": [BOX], "b.jpg": [], "c.jpg": []}), Path("/data"))
    assert file.unused == 3
    for name in ("a.jpg", "a.jpg", "none.jpg"):
        found_by(file, name)
    assert file.unused == 2


def test_threads_find_at_once(write_boxes: Write) -> None:
    names = [f"{i}.jpg" for i in range(2000)]
    file = assigned(
        write_boxes({f"train/{name}": [(0.0, 0.0, 1.0, i)] for i, name in enumerate(names)}), Path("/train")
    )
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(partial(found_by, file), names, chunksize=1))
    assert [None if boxes is None else boxes[0, 3] for boxes in found] == list(range(2000))
    assert file.unused == 0


def test_an_image_that_could_not_be_searched_is_refused_not_taken_for_one_without_boxes(tmp_path: Path) -> None:
    path = tmp_path / "x.JSONL"
    lines = [
        {"path": "a.jpg", "boxes": [BOX]},
        {"path": "b.jpg", "error": "decode: broken"},
        {"path": "c.jpg", "boxes": []},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = assigned(path, tmp_path)
    found, none = found_by(file, "a.jpg"), found_by(file, "c.jpg")
    assert found is not None
    assert none is not None
    assert (found.tolist(), none.tolist()) == ([list(BOX)], [])
    with pytest.raises(ValueError, match="could not be searched"):
        found_by(file, "b.jpg")
    assert file.unused == 0


def test_members_of_tars_are_found_however_their_names_begin(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps({"path": "0.tar/./a.jpg", "boxes": [BOX]}) + "\n")
    for name in ("0.tar/./a.jpg", "0.tar/a.jpg", "0.tar//a.jpg"):
        found = found_by(assigned(path, tmp_path), name)
        assert found is not None
        assert found.tolist() == [list(BOX)]


def test_what_other_processes_found_is_claimed(tmp_path: Path, write_boxes: Write) -> None:
    path = write_boxes({name: [] for name in ("a.jpg", "b.jpg", "c.jpg")})
    file = assigned(path, tmp_path)
    one, other = (BoxAssignment(file.index, tmp_path, log=True) for _ in range(2))
    found_by(one, "a.jpg", BY_KEY)
    found_by(one, "b.jpg")
    found_by(other, "a.jpg", BY_KEY)
    file.claim(one.drain())
    assert file.unused == 1
    assert one.drain() == []
    with pytest.raises(SharedBoxes):
        file.claim(other.drain())
    found_by(file, "c.jpg")
    assert file.drain() == [], "only a process that reports to another keeps a log"

"""Box files from pipes and from Windows, and what images of tars within tars may be called in them."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fastblur.files import sha256
from fastblur.pipeline.boxes.assign import assign_boxes
from fastblur.pipeline.boxes.box_index import BoxIndex
from fastblur.pipeline.boxes.matching import BY_KEY, BoxAssignment, SharedBoxes
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.shards.interfaces import Item

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]

BOX = (1.0, 2.0, 3.0, 4.0)


def assigned(path: Path, root: str = "/data") -> BoxAssignment:
    return BoxAssignment(BoxIndex.read(path), Path(root))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["pipe", "boxes.json"])
def test_a_pipe_is_read_once(tmp_path: Path, write_boxes: Write, name: str) -> None:
    content = {f"{number}/x.jpg": [BOX] * (number % 3) for number in range(3000)}  # more than a pipe holds
    (tmp_path / "source").mkdir()
    source = write_boxes(content).rename(tmp_path / "source" / "boxes.json")
    pipe = tmp_path / name
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: pipe.write_bytes(source.read_bytes()))
    thread.start()
    index = BoxIndex.read(pipe)
    thread.join()
    assert len(index) == 3000
    assert index.sha256 == sha256(source) == BoxIndex.read(source).sha256


@pytest.mark.parametrize(
    ("root", "name"), [("/data", "train/n01/x.jpg"), ("/data/train", "n01/x.jpg"), ("/train/n01", "x.jpg")]
)
def test_names_as_windows_writes_them(write_boxes: Write, root: str, name: str) -> None:
    file = assigned(write_boxes({"train\\n01\\x.jpg": [BOX], "train\\n01\\y.jpg": []}), root)
    found = file.lookup(name)
    assert found is not None
    assert found[0].tolist() == [list(BOX)]
    assert file.lookup(name.replace("x", "z")) is None
    assert file.unused == 1


def test_a_backslash_in_a_name_is_no_folder_of_another_image(write_boxes: Write) -> None:
    file = assigned(write_boxes({"a\\x.jpg": [BOX]}))
    assert file.lookup("a\\x.jpg") is not None  # a file of that name
    with pytest.raises(SharedBoxes):
        file.lookup("a/x.jpg")


def test_names_with_slashes_and_backslashes_both_are_refused(write_boxes: Write) -> None:
    file = assigned(write_boxes({"a\\x.jpg": [BOX], "a/x.jpg": []}), "/data")
    assert file.lookup("a/x.jpg") is not None
    file = assigned(write_boxes({"data\\x.jpg": [BOX], "x.jpg": []}), "/data")
    with pytest.raises(ValueError, match="names both"):
        file.lookup("x.jpg")


def test_an_entry_found_by_its_key_is_not_that_of_a_file_too(write_boxes: Write) -> None:
    for order in ((0, 1), (1, 0)):
        file = assigned(write_boxes({"a.jpg": [BOX]}))
        looks = [lambda file=file: file.lookup("a.jpg"), lambda file=file: file.lookup("a.jpg", how=BY_KEY)]
        looks[order[0]]()
        with pytest.raises(SharedBoxes):
            looks[order[1]]()


NESTED = Item("train.tar/n01.tar/a.jpg", key="n01.tar/a.jpg")


@pytest.mark.parametrize(
    "key", ["train.tar/n01.tar/a.jpg", "n01.tar/a.jpg", "n01/a.jpg", "a.jpg", "train/n01/a.jpg", "data/train/n01/a.jpg"]
)
def test_an_image_of_a_tar_in_a_tar_is_found_as_if_they_were_folders(write_boxes: Write, key: str) -> None:
    item = assign_boxes(NESTED, assigned(write_boxes({key: [BOX], "other.jpg": []})), "fail")
    assert item.problem is None
    assert item.boxes is not None
    assert item.boxes.tolist() == [list(BOX)]


@pytest.mark.parametrize("key", ["n02/a.jpg", "train/a.jpg", "n01.tar", "b.jpg", "01/a.jpg"])
def test_another_image_is_not_found(write_boxes: Write, key: str) -> None:
    item = assign_boxes(NESTED, assigned(write_boxes({key: [BOX]})), "fail")
    assert item.problem == "boxes: the boxes file does not name this image"


def test_an_image_that_two_entries_may_mean_is_refused(write_boxes: Write) -> None:
    item = assign_boxes(NESTED, assigned(write_boxes({"n01/a.jpg": [BOX], "a.jpg": []})), "fail")
    assert item.problem is not None
    assert "names both 'n01/a.jpg' and 'a.jpg'" in item.problem
    exact = assigned(write_boxes({"train.tar/n01.tar/a.jpg": [BOX], "a.jpg": []}))
    assert assign_boxes(NESTED, exact, "fail").problem is None, "its own name is what no other image has"


def test_two_tars_that_would_share_an_entry_stop_the_run(write_boxes: Write) -> None:
    file = assigned(write_boxes({"a.jpg": [BOX]}))
    assign_boxes(NESTED, file, "fail")
    with pytest.raises(RunStopped, match=r"'a\.jpg' stands for more than one image"):
        assign_boxes(Item("train.tar/n02.tar/a.jpg", key="n02.tar/a.jpg"), file, "fail")


def test_what_is_not_searched_needs_no_boxes(write_boxes: Write) -> None:
    item = Item("a.zip", unsearched="copy")
    assert assign_boxes(item, assigned(write_boxes({"a.jpg": []})), "fail") == item

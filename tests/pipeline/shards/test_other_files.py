"""Files of a folder that are no images: texts are passed, what may hold images is a failure or what --others says."""

import os
from pathlib import Path

import pytest

from fastblur.pipeline.shards.source import Source

FILES = {
    "a.jpg": b"x",
    "notes.txt": b"a text",
    "labels.json": b'{"a.jpg": 7}',
    "README": b"a text without an ending",
    ".DS_Store": bytes(999),
    ".git/objects/0a": bytes(range(256)),
    "b/pictures.zip": b"PK\x03\x04" + bytes(99),
    "b/film.mp4": b"\0\0\0\x20ftypisom" + bytes(99),
    "b/photo.jxl": b"whatever it is",
    "c/moving.gif": b"GIF89a" + bytes(99),
    "c/array.npy": b"\x93NUMPY\1\0" + bytes(99),
    "c/blob": bytes(range(256)),
    "c/picture": b"\xff\xd8\xff\xe0 a JPEG",
    "d/empty": b"",
}
HOLDING = ["b/film.mp4", "b/photo.jxl", "b/pictures.zip", "c/array.npy", "c/blob", "c/moving.gif", "c/picture"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_what_may_hold_images_fails(folder: Path) -> None:
    source = Source(folder)
    items = {item.name: item for item in source}
    assert sorted(items) == ["a.jpg", *HOLDING]
    assert items["a.jpg"].problem is None
    expected = "which is not searched, expected --others copy or skip to go on without that"
    assert all(items[name].problem.endswith(expected) for name in HOLDING)  # type: ignore[union-attr]
    assert items["b/pictures.zip"].problem.startswith("is a ZIP archive, ")  # type: ignore[union-attr]
    assert items["c/picture"].problem.startswith("is an image, ")  # type: ignore[union-attr]
    assert source.passed == len(FILES) - len(items)


def test_it_is_left_out_where_the_user_says_so(folder: Path) -> None:
    source = Source(folder, others="skip")
    assert [item.name for item in source] == ["a.jpg"]
    assert source.passed == len(FILES) - 1


def test_or_everything_is_copied(folder: Path) -> None:
    source = Source(folder, others="copy")
    items = {item.name: item for item in source}
    assert set(items) == set(FILES)
    assert source.passed == 0
    assert {name for name, item in items.items() if item.unsearched == "copy"} == set(FILES) - {"a.jpg"}
    assert all(item.problem is None for item in items.values())
    assert {item.name for shard in source.shards() for batch in shard.batches(3) for item in batch.items} == set(FILES)
    assert source.images() == 1


def test_files_of_a_kind_that_is_left_out_by_format_are_passed(folder: Path) -> None:
    (folder / "x.tar").write_bytes(b"")
    assert [item.name for item in Source(folder, "images")] == ["a.jpg"]
    assert [item.name for item in Source(folder, "webdataset")] == ["x.tar"]


@pytest.mark.parametrize("others", ["fail", "copy"])
def test_links_and_pipes_are_not_followed(tmp_path: Path, others: str) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "secret.zip").write_bytes(FILES["b/pictures.zip"])
    os.symlink(tmp_path / "secret.zip", tmp_path / "src/link.zip")
    os.symlink(tmp_path / "none", tmp_path / "src/broken.zip")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "src/pipe")
    problems = {item.name: item.problem for item in Source(tmp_path / "src", others=others)}
    assert problems["link.zip"] == "is a link that leaves SRC"
    assert all(problems.values())


def test_a_file_that_cannot_be_read_is_a_failure(folder: Path) -> None:
    (folder / "d/empty").chmod(0)
    if os.access(folder / "d/empty", os.R_OK):
        pytest.skip("this user may read everything")
    problems = {item.name: item.problem for item in Source(folder)}
    assert "cannot be read" in (problems["d/empty"] or "")


def test_counting_images_leaves_the_count_of_others_alone(folder: Path) -> None:
    source = Source(folder)
    listing = iter(source)
    next(listing)
    assert source.images() == 1 + len(HOLDING)
    assert len([*listing]) == len(HOLDING)
    assert source.passed == len(FILES) - 1 - len(HOLDING)

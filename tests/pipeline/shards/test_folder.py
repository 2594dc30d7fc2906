"""Shards of folder trees: the same parts of the tree every time, and their files."""

import errno
import itertools
import os
import random
from pathlib import Path

import pytest

from fastblur.pipeline.shards.folder import IMAGES, FolderOutput, FolderShard
from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.storage.local import LocalSink
from tests.pipeline.helpers import files_below


def plant(root: Path, sizes: dict[str, int], seed: int = 0) -> None:
    """Make a tree with so many images in each folder, in an order by chance."""
    names = [f"{folder}/{number:04}.jpg" for folder, count in sizes.items() for number in range(count)]
    random.Random(seed).shuffle(names)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def shards(root: Path) -> list[tuple[str, ...]]:
    return [tuple(item.name for item in shard.items) for shard in Source(root).shards()]


SIZES = {"a": 300, "a/b": 100, "a/c": 700, "b": 1, "b/a": 0, "c": 127, "d": 130, "e/f/g": 3}


def test_every_image_is_in_one_shard_and_the_shards_are_the_same_however_the_tree_came_to_be(tmp_path: Path) -> None:
    for seed in range(2):
        plant(tmp_path / str(seed), SIZES, seed)
    found = shards(tmp_path / "0")
    assert found == shards(tmp_path / "1")
    names = [name for shard in found for name in shard]
    assert len(set(names)) == len(names) == sum(SIZES.values())
    assert all(1 <= len(shard) <= IMAGES for shard in found)
    assert names == [item.name for item in Source(tmp_path / "0")]
    # A shard ends with its folder where it is large enough, so that new files elsewhere leave it as it is.
    assert all(len(shard) >= IMAGES // 2 for shard in found[:-1])
    for shard, following in itertools.pairwise(found):
        assert len(shard) == IMAGES or shard[-1].rpartition("/")[0] != following[0].rpartition("/")[0]


def test_a_new_file_changes_the_shards_of_its_neighbours_only(tmp_path: Path) -> None:
    plant(tmp_path, {"a": 500, "b": 200, "c": 200})
    before = list(Source(tmp_path).shards())
    (tmp_path / "b" / "0000 new.jpg").touch()
    after = list(Source(tmp_path).shards())
    keys = [{(shard.name, shard.fingerprint()) for shard in each} for each in (before, after)]
    changed = keys[0] - keys[1]
    assert [name for name, _ in changed] == ["b/0000.jpg"]
    assert len(keys[0]) == 4


def test_the_fingerprint_is_of_the_names(tmp_path: Path) -> None:
    def fingerprint(*names: str) -> str:
        return FolderShard(tuple(Item(name) for name in names)).fingerprint()

    assert fingerprint("a", "b\udcff") == fingerprint("a", "b\udcff")
    assert len({fingerprint(*names) for names in (("a", "b"), ("a",), ("b", "a"), ("ab",), ("a", "b\udcff"))}) == 5


@pytest.mark.parametrize("size", [1, 3, 8, 100])
def test_batches_have_the_images_in_their_order(size: int) -> None:
    items = tuple(Item(f"{number}.jpg") for number in range(10))
    batches = [batch.items for batch in FolderShard(items).batches(size)]
    assert [item for batch in batches for item in batch] == list(items)
    assert {len(batch) for batch in batches[:-1]} <= {size}


def test_tar_and_table_files_are_shards_of_their_own_in_the_order_of_the_listing(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.tar", "c.jpg", "d.png", "e.parquet", "f.tar.gz", "g.jpg", "notes.txt"):
        (tmp_path / name).touch()
    source = Source(tmp_path)
    assert [shard.name for shard in source.shards()] == ["a.jpg", "b.tar", "c.jpg", "e.parquet", "f.tar.gz", "g.jpg"]
    assert source.passed == 1
    assert [shard.name for shard in Source(tmp_path, "webdataset").shards()] == ["b.tar", "f.tar.gz"]
    assert [shard.name for shard in Source(tmp_path, "table").shards()] == ["e.parquet"]
    assert [shard.name for shard in Source(tmp_path, "images").shards()] == ["a.jpg"]
    with pytest.raises(ValueError, match="format is 'zip', expected images, webdataset, table"):
        Source(tmp_path, "zip")


def test_a_tar_that_changes_has_another_fingerprint(tmp_path: Path) -> None:
    def fingerprint() -> str:
        (shard,) = Source(tmp_path).shards()
        return shard.fingerprint()

    path = tmp_path / "a.tar"
    path.write_bytes(b"1")
    os.utime(path, ns=(0, 1000))
    first = fingerprint()
    assert fingerprint() == first
    path.write_bytes(b"2")
    os.utime(path, ns=(0, 2000))
    second = fingerprint()
    path.write_bytes(b"23")
    os.utime(path, ns=(0, 2000))
    assert len({first, second, fingerprint()}) == 3


def test_items_with_a_problem_are_in_shards_too(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("absent.jpg")
    (tmp_path / "b.tar").symlink_to("absent.tar")
    (shard,) = Source(tmp_path).shards()
    assert [(item.name, item.problem is None) for item in shard.items] == [("a.jpg", False), ("b.tar", False)]


def test_whether_there_are_few_images_and_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastblur.pipeline.shards.source.FEW", 10)
    plant(tmp_path, {"a": 10})
    assert Source(tmp_path).is_small()
    assert Source(tmp_path).images() == 10
    (tmp_path / "a" / "more.png").touch()
    assert not Source(tmp_path).is_small()
    assert Source(tmp_path).images() == 11
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars" / "a.tar").write_bytes(bytes(600_000))
    assert not Source(tmp_path / "tars").is_small()
    assert Source(tmp_path).images() is None


class TestFolderOutput:
    """What becomes of a shard's images."""

    def write(self, sink: LocalSink, **results: bytes | None) -> dict[int, str]:
        batch = Batch([Item(name.replace("_", "/") + ".jpg") for name in results])
        return FolderOutput(sink).write(batch, list(results.values()))

    def test_files_are_written_and_failed_ones_leave_none(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "old.jpg").write_bytes(b"with its face")
        assert self.write(LocalSink(tmp_path), a_new=b"new", a_old=None, a_never=None) == {}
        assert files_below(tmp_path) == {"a/new.jpg"}

    def test_a_folder_in_the_place_of_a_failed_file_stays(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg" / "b").mkdir(parents=True)
        assert self.write(LocalSink(tmp_path), a=None) == {}
        assert (tmp_path / "a.jpg" / "b").is_dir()

    def test_what_is_wrong_with_one_name_is_told_of_that_image(self, tmp_path: Path) -> None:
        (tmp_path / "folder.jpg").mkdir()
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to(tmp_path)
        refused = self.write(LocalSink(tmp_path), good=b"x", folder=b"x", file_a=b"x", link_a=b"x", **{"n" * 252: b"x"})
        assert refused == {
            1: "write: Is a directory",
            2: "write: 'file' in DST is a link or a file, expected a folder",
            3: "write: 'link' in DST is a link or a file, expected a folder",
            4: "write: File name too long",
        }
        assert files_below(tmp_path) == {"good.jpg", "file"}
        assert not list((tmp_path / ".fastblur/tmp").iterdir())

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT, errno.ENOENT])
    def test_what_would_meet_every_image_is_raised(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        sink = LocalSink(tmp_path)

        def broken(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "replace", broken)
        with pytest.raises(OSError, match=os.strerror(number)):
            self.write(sink, a=b"x")
        assert files_below(tmp_path) == set()

    def test_committing_brings_the_files_to_the_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sink = LocalSink(tmp_path)
        flushed = []
        monkeypatch.setattr(sink, "flush", lambda: flushed.append(True))
        output = FolderOutput(sink)
        output.write(Batch([Item("a.jpg")]), [b"x"])
        assert flushed == []
        output.commit()
        assert flushed == [True]
        output.abort()
        assert files_below(tmp_path) == {"a.jpg"}, "whole files stay; they are the same when they are done again"

"""Tars within tars: folders of their members."""

import gzip
import io
import tarfile
from typing import Any

import pytest

from fastblur.pipeline.shards.tar import shard as tars
from fastblur.pipeline.shards.tar.walk import MAX_DEPTH
from tests.pipeline.shards.shard_cases import marked, same
from tests.pipeline.shards.tar.tar_cases import Members, infos, read, run, special, tar

ONE: Members = [(f"n01_{number}.JPEG", bytes([65 + number]) * (300 * number + 1)) for number in range(5)]
TWO: Members = [("n02_0.JPEG", b"x"), ("n02_0.txt", b"a caption"), ("n02_1.JPEG", b"y" * 3000)]
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def outer(format: int = tarfile.GNU_FORMAT, **change: Any) -> bytes:
    """Return a tar as ImageNet's, with a tar for each class."""
    members = {"n01.tar": tar(ONE, format, mtime=5), "n02.tar": tar(TWO, format), "README": b"text"} | change
    return tar(list(members.items()), format, mtime=1234567890, uname="someone", mode=0o640, uid=7)


def tree(data: bytes | None, folder: str = "") -> dict[str, bytes]:
    """Return the files of a tar and of the tars in it, read by tarfile."""
    found: dict[str, bytes] = {}
    for name, content in read(data):
        if name.endswith((".tar", ".tgz", ".tar.gz")):
            found |= tree(content, f"{folder}{name}/")
        else:
            found[folder + name] = content
    return found


def expected(**change: bytes | None) -> dict[str, bytes]:
    whole = {f"n01.tar/{name}": data for name, data in ONE} | {f"n02.tar/{name}": data for name, data in TWO}
    new = {name: b"new " + data if name.endswith("JPEG") else data for name, data in whole.items()}
    return {name: data for name, data in (new | {"README": b"text"} | change).items() if data is not None}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_images_are_found_and_new_ones_written(format: int, size: int) -> None:
    source = outer(format)
    done = run(source, size=size)
    assert not done.broken
    assert not done.problems
    names = [f"n01.tar/{name}" for name, _ in ONE] + ["n02.tar/n02_0.JPEG", "n02.tar/n02_1.JPEG"]
    assert [(item.name, item.key) for item in done.items] == [(f"a/0001.tar/{name}", name) for name in names]
    assert tree(done.file) == expected()
    fields = ("name", "mode", "uid", "mtime", "type", "uname")
    for old, new in zip(infos(source), infos(done.file), strict=True):
        assert [getattr(new, name) for name in fields] == [getattr(old, name) for name in fields]
    for _, data in read(done.file)[:2]:
        assert len(data) % tarfile.RECORDSIZE == 0, "a tar ends with its end mark"


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("most", [1, 1000, 1 << 20])
def test_where_nothing_changes_the_bytes_are_the_same(format: int, most: int) -> None:
    source = outer(format)
    assert run(source, same, most=most).file == source


@pytest.mark.parametrize("size", [2, 100])
def test_the_bytes_do_not_depend_on_batches_or_memory(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(outer()).file
    monkeypatch.setattr(tars, "NESTED_BYTES", 100)
    monkeypatch.setattr(tars, "BATCH_BYTES", 2000)
    assert run(outer(), size=size).file == whole


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz", ".TAR.GZ", ".tar"])
def test_packed_ones_stay_packed(suffix: str) -> None:
    packed = gzip.compress(tar(ONE), mtime=77)
    done = run(tar([(f"n01{suffix}", packed), ("n02.tar", tar(TWO))]))
    assert not done.broken
    (name, data), _ = read(done.file)
    assert (name, data[:2]) == (f"n01{suffix}", b"\x1f\x8b")
    assert read(gzip.decompress(data)) == [(name, b"new " + content) for name, content in ONE]
    assert gzip.decompress(run(gzip.compress(outer())).file or b"") == run(outer()).file


def nested(depth: int) -> bytes:
    data = tar([("a.jpg", b"x"), ("a.txt", b"text")])
    for number in range(depth):
        data = tar([(f"{number}.tar", data), (f"{number}.jpg", b"y")])
    return data


def test_tars_in_tars_in_tars() -> None:
    done = run(nested(3))
    assert [item.key for item in done.items] == ["2.tar/1.tar/0.tar/a.jpg", "2.tar/1.tar/0.jpg", "2.tar/1.jpg", "2.jpg"]
    assert tree(done.file) == {
        "2.tar/1.tar/0.tar/a.jpg": b"new x", "2.tar/1.tar/0.tar/a.txt": b"text", "2.tar/1.tar/0.jpg": b"new y",
        "2.tar/1.jpg": b"new y", "2.jpg": b"new y",
    }  # fmt: skip


def test_there_is_a_limit_and_what_is_below_it_does_not_pass() -> None:
    assert not run(nested(MAX_DEPTH)).problems
    done = run(nested(MAX_DEPTH + 1))
    (problem,) = done.problems.values()
    assert problem == f"is a tar within {MAX_DEPTH} others, which is not read"
    assert not any(name.endswith("a.jpg") for name in tree(done.file))
    assert len(tree(done.file)) == MAX_DEPTH + 1


def test_a_failed_image_takes_its_sample_and_no_more() -> None:
    done = run(outer(), lambda item: None if (item.key or "").endswith("n02_0.JPEG") else marked(item))
    assert tree(done.file) == expected(**{"n02.tar/n02_0.JPEG": None, "n02.tar/n02_0.txt": None})
    done = run(outer(), lambda item: None)
    assert [name for name, _ in read(done.file)] == ["n01.tar", "n02.tar", "README"], "empty, as a folder would be"
    assert set(tree(done.file)) == {"README"}


def test_an_empty_one_is_kept() -> None:
    source = tar([("n01.tar", tar([])), ("n02.tar", tar(TWO))])
    assert run(source, same).file == source


BROKEN = {
    "cut": (tar(ONE)[:1800], "the tar ends in the middle of 'n01_1.JPEG'"),
    "without an end": (tar(ONE)[: -tarfile.RECORDSIZE], "the tar ends in the middle of"),
    "damaged": (tar(ONE)[:1024] + b"\1" * 512 + tar(ONE)[1536:], "the tar is damaged in the header after 'n01_0.JPEG'"),
    "no tar": (b"no tar at all" * 100, "is no tar, or compressed in another way than by gzip"),
    "xz": (b"\xfd7zXZ\0" + bytes(1000), "is no tar, or compressed in another way than by gzip"),
    "nothing": (b"", "the tar ends in the middle of its first header"),
    "cut gzip": (gzip.compress(tar(ONE))[:-20], "the tar"),
    "more behind it": (tar(ONE) + tar(TWO), "the tar goes on after its end mark"),
}


@pytest.mark.parametrize(("data", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_broken_one_is_a_failure_and_the_others_are_read(data: bytes, problem: str) -> None:
    done = run(outer(**{"n01.tar": data}))
    assert not done.broken
    assert problem in done.problems["a/0001.tar/n01.tar"]
    files = tree(done.file)
    whole = expected()
    assert {name: content for name, content in files.items() if not name.startswith("n01")} == {
        name: content for name, content in whole.items() if not name.startswith("n01")
    }
    assert set(files.items()) <= set(whole.items()), "nothing is written that was not taken for good"
    assert len([name for name in whole if name.startswith("n01")]) == 5


@pytest.mark.parametrize("compress", [False, True])
def test_the_outer_one_may_be_cut_anywhere(compress: bool) -> None:
    source = gzip.compress(outer()) if compress else outer()
    end = len(source) - (600 if compress else 9 * 1024)
    for place in range(1, end, 97 if compress else 511):
        done = run(source[:place], size=2)
        assert done.broken
        if done.file is not None:
            assert set(tree(done.file).items()) <= set(expected().items())


def test_names_that_come_twice_are_failures() -> None:
    done = run(tar([("n01.tar", tar(ONE)), ("n01.tar", tar(TWO)), ("n01.tar/n01_0.JPEG", b"another"), ("z.jpg", b"z")]))
    assert set(done.problems) == {"a/0001.tar/n01.tar (member 2)", "a/0001.tar/n01.tar/n01_0.JPEG (member 3)"}
    assert all("duplicate" in problem for problem in done.problems.values())
    assert len(tree(done.file)) == len(ONE) + 1
    done = run(tar([("n01.tar/n01_0.JPEG", b"another"), ("n01.tar", tar(ONE))]))
    assert list(done.problems) == ["a/0001.tar/n01.tar"]
    assert tree(done.file) == {} or list(tree(done.file).values()) == [b"new another"]


UNSAFE = (
    special("n01.tar", tarfile.SYMTYPE, linkname="x.tar"),
    special("../n01.tar", tarfile.REGTYPE),
    special("/n01.tar", tarfile.REGTYPE),
)


@pytest.mark.parametrize("info", UNSAFE)
def test_unsafe_names_and_links_are_not_followed(info: tarfile.TarInfo) -> None:
    done = run(tar([(info, b"" if info.issym() else tar(ONE)), ("z.jpg", b"z")]))
    assert len(done.problems) == 1
    assert read(done.file) == [("z.jpg", b"new z")]


def test_members_within_that_are_unsafe_do_not_pass() -> None:
    done = run(tar([("n01.tar", tar([("../../b.jpg", b"1"), ("c.jpg", b"2")]))]))
    assert tree(done.file) == {"n01.tar/c.jpg": b"new 2"}
    assert list(done.problems) == ["a/0001.tar/n01.tar/../../b.jpg"]


def test_a_tar_under_another_name_does_not_pass() -> None:
    for name in ("n01", "n01.bin", "n01.jpgs"):
        done = run(tar([(name, tar(ONE)), ("z.jpg", b"z")]))
        assert "is a tar, which is not searched" in next(iter(done.problems.values()))
        assert read(done.file) == [("z.jpg", b"new z")]


def test_a_large_one_is_not_held() -> None:
    large = tar([(f"{number}.jpg", bytes(1 << 20)) for number in range(40)])
    done = 0

    class Counting(io.BytesIO):
        at_once = 0

        def read(self, size: int | None = -1, /) -> bytes:
            Counting.at_once = max(Counting.at_once, size or 0)
            return super().read(size)

    from fastblur.pipeline.shards.tar.shard import TarShard

    for batch in TarShard("x.tar", lambda: Counting(tar([("n.tar", large)])), "").batches(4):
        assert len(batch.items) <= 4
        done += len(batch.items)
    assert done == 40
    assert Counting.at_once <= 1 << 20

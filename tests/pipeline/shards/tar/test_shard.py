"""Tars through a shard and its output: what is new, and what is kept."""

import gzip
import io
import tarfile
from typing import Any, BinaryIO

import pytest

from fastblur.pipeline.shards.tar import shard as tars
from fastblur.pipeline.shards.tar import walk as walks
from fastblur.pipeline.shards.tar.names import is_tar_name
from fastblur.pipeline.shards.tar.shard import TarShard
from tests.pipeline.shards.shard_cases import same
from tests.pipeline.shards.tar.tar_cases import SAMPLES, expected, infos, read, run, special, tar


@pytest.mark.parametrize("name", ["a.tar", "b/A.TAR", "a.tar.gz", "a.TGZ"])
def test_tar_names(name: str) -> None:
    assert is_tar_name(name)


@pytest.mark.parametrize("name", ["a.zip", "tar", "a.tar.xz", "a.gz", "a.tar.jpg"])
def test_other_names(name: str) -> None:
    assert not is_tar_name(name)


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("most", [1, 1000, 1 << 20])
def test_where_nothing_changes_the_bytes_are_the_same(format: int, most: int) -> None:
    source = tar([("n01440764", b""), *SAMPLES], format, mtime=1234567890, uname="someone", mode=0o640, uid=7)
    done = run(source, same, most=most)
    assert done.file == source
    assert not done.broken
    assert not done.problems


def test_items_are_the_images() -> None:
    done = run(tar(SAMPLES))
    images = [(name, data) for name, data in SAMPLES if name.endswith((".jpg", ".png"))]
    assert [(item.name, item.key, item.data) for item in done.items] == [
        (f"a/0001.tar/{name}", name, data) for name, data in images
    ]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_new_images_and_the_others_as_they_are(format: int, size: int) -> None:
    source = tar(SAMPLES, format, mtime=1234567890, uname="someone", gname="some", mode=0o604, uid=7, gid=8)
    done = run(source, size=size)
    assert read(done.file) == expected(SAMPLES)
    fields = ("name", "mode", "uid", "gid", "mtime", "type", "uname", "gname", "pax_headers")
    for old, new in zip(infos(source), infos(done.file), strict=True):
        assert [getattr(new, name) for name in fields] == [getattr(old, name) for name in fields]


def test_the_same_bytes_whatever_the_batches() -> None:
    for source in (tar(SAMPLES), gzip.compress(tar(SAMPLES), mtime=77)):
        files = {run(source, size=size, most=most).file for size, most in [(1, 7), (2, 1000), (64, 1 << 20)]}
        assert len(files) == 1


def test_no_sample_is_in_two_batches() -> None:
    for size in range(1, 9):
        done = run(tar(SAMPLES), size=size)
        keys = [{(item.key or "").split(".")[0] for item in batch} for batch in done.batches]
        assert sum(map(len, keys)) == 7
        assert all(len(batch) <= max(2, size) for batch in done.batches)


def test_a_batch_ends_where_it_holds_much(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (tars, walks):
        monkeypatch.setattr(module, "BATCH_BYTES", 100_000)
    members = [(f"{number}.{end}", b"x" * 20_000) for number in range(20) for end in ("jpg", "txt")]
    shard = TarShard("x.tar", lambda: io.BytesIO(tar(members)), "")
    held = [sum(kept.size for kept in batch.info.members) for batch in shard.batches(1000)]
    assert held == [80_000] * 10
    done = run(tar(members))
    assert read(done.file) == expected(members)
    singles = [(f"{number}", b"x" * 20_000) for number in range(40)]  # of no sample
    held = [
        sum(kept.size for kept in batch.info.members)
        for batch in TarShard("x.tar", lambda: io.BytesIO(tar([("a.jpg", b"1"), *singles])), "").batches(1000)
    ]
    assert sum(held) == 800_001
    assert max(held) <= 120_001


@pytest.mark.parametrize("compress", [False, True])
def test_webdataset_reads_the_same_samples(compress: bool, tmp_path: Any) -> None:
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed")
    buffer = io.BytesIO()
    with wds.TarWriter(buffer, compress=compress, mtime=1) as writer:
        for number in range(30):
            sample = {"jpg": b"picture %d" % number, "json": {"n": number}, "cls": number, "seg.png": b"mask"}
            writer.write({"__key__": f"train/{number:04}", **sample})
    done = run(buffer.getvalue(), size=7)
    assert done.file is not None
    assert (done.file[:2] == b"\x1f\x8b") == compress
    before, after = [], []
    for name, data, samples in [("a.tar", buffer.getvalue(), before), ("b.tar", done.file, after)]:
        (tmp_path / name).write_bytes(data)
        for sample in wds.WebDataset(str(tmp_path / name), shardshuffle=False):
            samples.append({key: value for key, value in sample.items() if key not in ("__url__", "__local_path__")})
    assert len(before) == 30
    for sample in before:
        sample["jpg"], sample["seg.png"] = b"new " + sample["jpg"], b"new " + sample["seg.png"]
    assert after == before


def test_gzip_is_kept_and_has_no_time() -> None:
    source = gzip.compress(tar(SAMPLES[:12])) + gzip.compress(b"")
    done = run(source)
    assert not done.broken
    assert done.file is not None
    assert done.file[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert read(gzip.decompress(done.file)) == expected(SAMPLES[:12])


def test_an_empty_tar() -> None:
    for source in (tar([]), gzip.compress(tar([]))):
        done = run(source)
        assert done.batches == [[]]
        assert not done.broken
        assert done.file is not None
        assert read(done.file) == []


def test_no_tar() -> None:
    for source in (b"", b"\x1f", bytes(511), b"no tar at all" * 100, b"BZh9" * 1000, gzip.compress(b"no tar" * 200)):
        done = run(source)
        assert done.broken
        assert done.items == []
        assert done.file is None
    assert "no tar" in run(b"no tar at all" * 100).broken
    assert "ends in the middle of its first header" in run(b"").broken


NAMES = {
    "unicode": "größe/🙂.jpg",
    "long": "folder/" * 40 + "x" * 200 + ".JPG",
    "long unicode": "ü" * 255 + ".jpeg",
    "not UTF-8": b"b\xff\xe9/\xc3.jpg".decode("utf-8", "surrogateescape"),
    "long not UTF-8": (b"\xff\xe9" * 90 + b".jpg").decode("utf-8", "surrogateescape"),
    "spaces": " a size=3\n/b c.jpg",
    "of this folder": "./a.jpg",
    "without a stem": "a/.jpg",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_are_kept(name: str, format: int) -> None:
    source = tar([(name, b"picture"), (name[:-4] + ".txt", b"text"), ("z.jpg", b"last")], format)
    assert run(source, same).file == source
    done = run(source)
    assert [item.key for item in done.items] == [name, "z.jpg"]
    assert read(done.file) == [(name, b"new picture"), (name[:-4] + ".txt", b"text"), ("z.jpg", b"new last")]


def test_pax_records_are_kept() -> None:
    info = special("a.jpg", tarfile.REGTYPE, mtime=1234.5, pax_headers={"comment": "one", "SCHILY.xattr.user.x": "ä"})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", pax_headers={"comment": "of all"}) as file:
        info.size = 7
        file.addfile(info, io.BytesIO(b"picture"))
        file.addfile(special("b.txt", tarfile.REGTYPE), io.BytesIO(b""))
    assert run(buffer.getvalue(), same).file == buffer.getvalue()
    first, second = infos(run(buffer.getvalue()).file)
    assert first.pax_headers == {"comment": "one", "SCHILY.xattr.user.x": "ä", "mtime": "1234.5"}
    assert (first.size, first.mtime) == (11, 1234.5)
    assert second.pax_headers == {"comment": "of all"}
    failed = run(buffer.getvalue(), lambda item: None)
    assert [info.pax_headers for info in infos(failed.file)] == [{"comment": "of all"}]


def test_a_size_in_a_pax_record_is_told_the_new_one() -> None:
    info = special("é.jpg", tarfile.REGTYPE, mtime=5, mode=0o600, pax_headers={"size": "7", "comment": "x"})
    source = tar([(info, b"picture"), ("b.txt", b"text")])
    assert infos(source)[0].pax_headers["size"] == "7"
    done = run(source)
    assert read(done.file) == [("é.jpg", b"new picture"), ("b.txt", b"text")]
    first = infos(done.file)[0]
    assert (first.size, first.mtime, first.mode) == (11, 5, 0o600)
    assert first.pax_headers == {"size": "11", "comment": "x", "path": "é.jpg"}


def test_the_file_is_closed() -> None:
    opened: list[BinaryIO] = []

    def opening() -> BinaryIO:
        opened.append(io.BytesIO(tar(SAMPLES)))
        return opened[-1]

    shard = TarShard("x.tar", opening, "12 34")
    batches = shard.batches(1)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert sum(len(batch.items) for batch in shard.batches(5)) == 14
    assert [file.closed for file in opened] == [True, True]
    assert shard.fingerprint() == "12 34"

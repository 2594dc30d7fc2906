"""Tar files through a shard and its output: what is new, what is kept, what is left out."""

import errno
import gzip
import io
import pickle
import random
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pytest

from fastblur.pipeline.shards.interfaces import Batch, Item
from fastblur.pipeline.shards.tar import samples as tar_samples
from fastblur.pipeline.shards.tar import shard as tars
from fastblur.pipeline.shards.tar import stream as tar_files
from fastblur.pipeline.shards.tar.shard import TarShard, is_tar_name

Members = list[tuple[str, bytes]]
Change = Callable[[Item], bytes | None]

SAMPLES: Members = [
    (f"n01440764/{number}.{end}", f"{number} {end} ".encode() * (40 * number + 1))
    for number in range(7)
    for end in ("cls", "jpg", "json", "seg.png")
]


class MemoryFile:
    def __init__(self, sink: "MemorySink", name: str) -> None:
        self.file: Any = io.BytesIO()
        self._sink, self._name = sink, name

    def commit(self) -> None:
        self._sink.files[self._name] = self.file.getvalue()
        self.file.close()

    def abort(self) -> None:
        self.file.close()
        self._sink.aborted.append(self._name)


@dataclass
class MemorySink:
    files: dict[str, bytes] = field(default_factory=dict)
    aborted: list[str] = field(default_factory=list)

    def write(self, name: str, data: bytes) -> None:
        self.files[name] = data

    def create(self, name: str) -> MemoryFile:
        return MemoryFile(self, name)

    def remove(self, name: str) -> None:
        self.files.pop(name, None)

    def flush(self) -> None:
        pass


class Stream(io.RawIOBase):
    """A stream that cannot seek and gives few bytes at once, as a network may."""

    def __init__(self, data: bytes, most: int = 1 << 20) -> None:
        super().__init__()
        self._data, self._most, self._at = data, most, 0
        self.largest = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        assert size > 0
        self.largest = max(self.largest, size)
        piece = self._data[self._at : self._at + min(size, self._most)]
        self._at += len(piece)
        return piece


@dataclass
class Done:
    """What became of a tar: the items of each batch, why it broke off or "", the new file, and what `put` refused."""

    batches: list[list[Item]]
    broken: str
    file: bytes | None
    refused: dict[str, str]

    @property
    def good(self) -> dict[str, bytes]:
        return {item.key or "": item.data for item in self.items if item.problem is None and item.data is not None}

    @property
    def problems(self) -> dict[str, str]:
        return {item.name: item.problem for item in self.items if item.problem is not None}

    @property
    def items(self) -> list[Item]:
        return [item for batch in self.batches for item in batch]


def marked(item: Item) -> bytes | None:
    """Stand for the stages: an image with a problem fails, any other gets new bytes."""
    return None if item.problem is not None or item.data is None else b"new " + item.data


def same(item: Item) -> bytes | None:
    return None if item.problem is not None else item.data


def run(data: bytes, change: Change = marked, size: int = 8, name: str = "a/0001.tar", most: int = 1 << 20) -> Done:
    """Take a tar through a shard and its output."""
    shard = TarShard(name, lambda: Stream(data, most), "stamp")  # type: ignore[arg-type, return-value]
    sink = MemorySink({name: b"an older file"})
    output = shard.output(sink)
    assert output.ordered
    done = Done([], "", None, {})
    batches = shard.batches(size)
    while True:
        try:
            batch = next(batches, None)
        except ValueError as error:
            done.broken = str(error)
            break
        if batch is None:
            break
        batch = pickle.loads(pickle.dumps(batch))
        refused = output.put(batch, [change(item) for item in batch.items]) or {}
        done.refused |= {batch.items[place].name: reason for place, reason in refused.items()}
        done.batches.append(batch.items)
    assert sink.files == {name: b"an older file"}, "a file that is not whole has its name"
    output.commit()
    done.file = sink.files.get(name)
    assert set(sink.files) <= {name}
    assert not sink.aborted
    names = [item.name for item in done.items]
    assert len(set(names)) == len(names)
    return done


def tar(members: list[Any], format: int = tarfile.PAX_FORMAT, **fields: Any) -> bytes:
    """Return a tar; a member is a name and its data, or a TarInfo and its data."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format, encoding="utf-8", errors="surrogateescape") as file:
        for member, data in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member)
            for name, value in fields.items():
                setattr(info, name, value)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def infos(data: bytes | None) -> list[tarfile.TarInfo]:
    assert data is not None
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as file:
        return file.getmembers()


def read(data: bytes | None) -> Members:
    """Return the regular files of a tar, read by tarfile."""
    assert data is not None
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as file:
        return [(info.name, file.extractfile(info).read()) for info in file if info.isreg()]  # type: ignore[union-attr]


def expected(members: Members, without: tuple[str, ...] = ()) -> Members:
    """Return what becomes of members, those of some samples left out."""
    return [
        (name, b"new " + data if name.endswith((".jpg", ".png")) else data)
        for name, data in members
        if name.split(".")[0] not in without
    ]


def special(name: str, kind: bytes, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field_name, value in fields.items():
        setattr(info, field_name, value)
    return info


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
    monkeypatch.setattr(tars, "BATCH_BYTES", 100_000)
    members = [(f"{number}.{end}", bytes(20_000)) for number in range(20) for end in ("jpg", "npy")]
    shard = TarShard("x.tar", lambda: io.BytesIO(tar(members)), "")
    held = [sum(kept.size for kept in batch.rest.members) for batch in shard.batches(1000)]
    assert held == [80_000] * 10
    done = run(tar(members))
    assert read(done.file) == expected(members)
    singles = [(f"{number}", bytes(20_000)) for number in range(40)]  # of no sample
    held = [
        sum(kept.size for kept in batch.rest.members)
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


def test_a_sample_with_a_failed_image_is_left_out_whole() -> None:
    done = run(tar(SAMPLES), lambda item: None if item.key == "n01440764/2.jpg" else marked(item))
    assert read(done.file) == expected(SAMPLES, without=("n01440764/2",))
    assert list(done.refused) == ["a/0001.tar/n01440764/2.seg.png"]
    assert "'a/0001.tar/n01440764/2.jpg' failed" in done.refused["a/0001.tar/n01440764/2.seg.png"]


def test_samples_without_images_are_kept_beside_failed_ones() -> None:
    members = [("a.txt", b"1"), ("b.txt", b"2"), ("c.jpg", b"3"), ("c.txt", b"3"), ("d.txt", b"4")]
    assert read(run(tar(members), lambda item: None).file) == [("a.txt", b"1"), ("b.txt", b"2"), ("d.txt", b"4")]


def test_members_of_no_sample_stand_for_themselves() -> None:
    folder = special("a", tarfile.DIRTYPE)
    members = [
        (folder, b""), ("README", b"text"), ("a/1.jpg", b"1"), (special("a", tarfile.DIRTYPE), b""), ("a/1", b"?"),
        ("a/1.txt", b"1"), ("a/.jpg", b"hidden"), ("a/2.jpg", b"2"), ("LICENSE", b"text")
    ]  # fmt: skip
    done = run(tar(members), lambda item: None if item.key in ("a/1.jpg", "a/.jpg") else marked(item))
    assert [info.name for info in infos(done.file)] == ["a", "README", "a", "a/1", "a/2.jpg", "LICENSE"]
    assert not done.refused


UNSAFE = {
    "absolute": (special("/etc/b.jpg", tarfile.REGTYPE), "absolute"),
    "absolute on Windows": (special("\\b.jpg", tarfile.REGTYPE), "absolute"),
    "drive": (special("C:b.jpg", tarfile.REGTYPE), "absolute"),
    "parent": (special("x/../../b.jpg", tarfile.REGTYPE), '".."'),
    "parent on Windows": (special("x\\..\\b.jpg", tarfile.REGTYPE), '".."'),
    "symbolic link": (special("b.jpg", tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
    "hard link": (special("b.jpg", tarfile.LNKTYPE, linkname="a.jpg"), "hard link"),
    "device": (special("b.jpg", tarfile.CHRTYPE), "device"),
    "block device": (special("b.jpg", tarfile.BLKTYPE), "device"),
    "FIFO": (special("b.jpg", tarfile.FIFOTYPE), "FIFO"),
    "unknown": (special("b.jpg", b"V"), "unknown kind, 'V'"),
    "link beside an image": (special("b.json", tarfile.SYMTYPE, linkname="a.json"), "symbolic link"),
    "link of no sample": (special("latest", tarfile.SYMTYPE, linkname="a.json"), "symbolic link"),
    "empty": (special("", tarfile.REGTYPE), "empty name"),
}


@pytest.mark.parametrize(("info", "phrase"), UNSAFE.values(), ids=UNSAFE)
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_unsafe_members_are_left_out_with_their_samples(info: tarfile.TarInfo, phrase: str, format: int) -> None:
    stem = info.name.split(".jpg")[0]
    members = [("a.jpg", b"1"), ("a.txt", b"1"), (info, b""), ("z.jpg", b"3")]
    done = run(tar(members, format))
    assert read(done.file) == expected([("a.jpg", b"1"), ("a.txt", b"1"), ("z.jpg", b"3")])
    assert len(done.problems) == 1
    assert phrase in next(iter(done.problems.values()))
    if info.name.endswith(".jpg"):
        beside = [(f"{stem}.cls", b"2"), (f"{stem}.webp", b"2"), (info, b""), (f"{stem}.txt", b"2")]
        beside += [(f"{stem}.seg.png", b"2")]
        done = run(tar([members[0], *beside, members[-1]], format))
        assert read(done.file) == expected([("a.jpg", b"1"), ("z.jpg", b"3")])
        if not stem.startswith("b"):
            assert all(phrase in problem for problem in done.problems.values())
            assert len(done.problems) == 5
        else:
            assert list(done.problems) == [f"a/0001.tar/b.{end}" for end in ("webp", "jpg", "seg.png")]
            assert all(phrase in problem for problem in done.problems.values())


def test_an_unsafe_caption_takes_its_image_with_it() -> None:
    link = special("b.txt", tarfile.SYMTYPE, linkname="/etc/passwd")
    done = run(tar([("a.jpg", b"1"), ("b.jpg", b"2"), (link, b""), ("c.jpg", b"3")]))
    assert done.problems == {
        "a/0001.tar/b.jpg": "its sample is left out because 'b.txt' is a symbolic link",
        "a/0001.tar/b.txt": "is a symbolic link",
    }
    assert set(done.good) == {"a.jpg", "c.jpg"}
    assert read(done.file) == expected([("a.jpg", b"1"), ("c.jpg", b"3")])


def sparse_gnu() -> bytes:
    """Return an old GNU sparse file with more holes than its header has room for."""
    head = bytearray(special("b.jpg", tarfile.GNUTYPE_SPARSE, size=1024).tobuf(tarfile.GNU_FORMAT))
    head[386 : 386 + 96] = b"".join(b"%011o\0%011o\0" % (place * 4096, 100) for place in range(4))
    head[482] = 1
    head[483:495] = b"%011o\0" % 40_000
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    more = b"".join(b"%011o\0%011o\0" % (place * 4096, 100) for place in range(4, 10)).ljust(512, b"\0")
    return bytes(head) + more + bytes(1024)


def sparse_pax(version: str) -> bytes:
    """Return a sparse file as GNU tar writes it into pax records."""
    records = {
        "1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "b.jpg"},
        "0.1": {"GNU.sparse.map": "0,10,4096,10", "GNU.sparse.size": "9999", "GNU.sparse.numblocks": "2"},
        "0.0": {"GNU.sparse.size": "9999", "GNU.sparse.numblocks": "1", "GNU.sparse.offset": "0"},
    }[version]  # fmt: skip
    name = "GNUSparseFile.0/b.jpg" if version == "1.0" else "b.jpg"
    info = special(name, tarfile.REGTYPE, size=532, pax_headers=records)
    return info.tobuf(tarfile.PAX_FORMAT) + b"1\n0\n10\n".ljust(512, b"\0") + bytes(512)


@pytest.mark.parametrize(
    "sparse", [sparse_gnu(), *map(sparse_pax, ("1.0", "0.1", "0.0"))], ids=["gnu", "1", "01", "00"]
)
def test_sparse_files_are_left_out(sparse: bytes) -> None:
    first, last = tar([("a.jpg", b"1")])[:1024], tar([("z.jpg", b"3")])
    done = run(first + sparse + last)
    assert not done.broken
    assert done.problems == {"a/0001.tar/b.jpg": "is a sparse file"}
    assert read(done.file) == expected([("a.jpg", b"1"), ("z.jpg", b"3")])


def test_of_two_members_with_one_name_the_first_is_kept() -> None:
    members = [("a.jpg", b"1"), ("a.jpg", b"other"), ("a.txt", b"1"), ("a.txt", b"other"), ("b.jpg", b"2")]
    done = run(tar(members))
    assert read(done.file) == expected([("a.jpg", b"1"), ("a.txt", b"1"), ("b.jpg", b"2")])
    assert list(done.problems) == ["a/0001.tar/a.jpg (member 2)", "a/0001.tar/a.txt (member 4)"]
    assert all("duplicate" in problem for problem in done.problems.values())
    done = run(tar([("README", b"1"), ("a.jpg", b"1"), ("README", b"other")]))
    assert read(done.file) == expected([("README", b"1"), ("a.jpg", b"1")])
    assert list(done.problems) == ["a/0001.tar/README (member 3)"]


def test_a_sample_that_comes_again_is_left_out() -> None:
    members = [("a.jpg", b"1"), ("b.jpg", b"2"), ("a.txt", b"1"), ("a.png", b"1"), ("c.jpg", b"3"), ("b.cls", b"2")]
    done = run(tar(members))
    assert read(done.file) == expected([("a.jpg", b"1"), ("b.jpg", b"2"), ("c.jpg", b"3")])
    assert list(done.problems) == [
        f"a/0001.tar/{name}" for name in ("a.txt (member 3)", "a.png (member 4)", "b.cls (member 6)")
    ]
    assert "duplicate: its sample 'a' came before" in done.problems["a/0001.tar/a.txt (member 3)"]
    assert read(run(tar([*SAMPLES, *SAMPLES])).file) == expected(SAMPLES)


def gather(shard: TarShard, found: list[Item]) -> None:
    for batch in shard.batches(1):
        found += batch.items


def whole(members: Members, done: Done) -> None:
    """Check that all that is taken for good, and all that was written, is of samples that are whole."""
    assert set(done.good.items()) <= set(members)
    written = read(done.file) if done.file is not None else []
    keys = {name.split(".")[0] for name, _ in written}
    others = tuple({name.split(".")[0] for name, _ in members} - keys)
    assert written == expected(members, without=others)
    assert {key.split(".")[0] for key in done.good} == keys


@pytest.mark.parametrize("kind", ["ustar", "gnu", "pax", "gz", "long"])
def test_a_tar_that_is_cut_anywhere(kind: str) -> None:
    chance = random.Random(5)
    members = [(name, chance.randbytes(chance.choice([0, 1, 511, 512, 513, 3000]))) for name, _ in SAMPLES[:20]]
    if kind == "long":
        members = [("é" * 120 + name, data) for name, data in members]
    format = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "long": tarfile.GNU_FORMAT}
    source = tar(members, format.get(kind, tarfile.PAX_FORMAT))
    end = max(info.offset_data + -(-info.size // 512) * 512 for info in infos(source))
    assert run(source[: end + 512]).broken == ""
    if kind == "gz":
        source = gzip.compress(source)
        end = len(source) - 600
    places = set(range(0, end + 512, 512)) | {chance.randrange(end + 512) for _ in range(150)}
    for place in sorted(place for place in places if place < len(source)):
        done = run(source[:place], size=chance.choice([1, 3, 50]))
        whole(members, done)
        assert done.broken
        assert kind == "gz" or len(done.good) < 10


def test_a_cut_tar_says_where_and_lists_the_sample() -> None:
    members = [("a.jpg", b"1" * 600), ("a.txt", b"1"), ("b.jpg", b"2" * 600), ("b.txt", b"2" * 600), ("c.jpg", b"3")]
    source = tar(members)
    place = infos(source)[3].offset_data + 100
    done = run(source[:place])
    assert done.broken == "the tar ends in the middle of 'b.txt'"
    assert done.problems == {"a/0001.tar/b.jpg": "its sample may not be whole: the tar ends in the middle of 'b.txt'"}
    assert read(done.file) == expected(members[:2])


@pytest.mark.parametrize("compress", [False, True])
def test_a_tar_that_is_damaged_anywhere_never_stops_the_run(compress: bool) -> None:
    chance = random.Random(6)
    source = tar(SAMPLES[:16], tarfile.GNU_FORMAT)
    source = gzip.compress(source) if compress else source
    for _ in range(150):
        damaged = bytearray(source)
        for _ in range(chance.choice([1, 30])):
            damaged[chance.randrange(len(source))] = chance.randrange(256)
        done = run(bytes(damaged))  # which raises for all but ValueError
        if compress and bytes(damaged) != source and not done.broken:
            assert done.good == run(source).good


def test_a_damaged_header_spoils_the_sample_before_it() -> None:
    source = bytearray(tar(SAMPLES[:12]))
    source[infos(bytes(source))[9].offset + 3] ^= 1
    done = run(bytes(source))
    assert done.broken.startswith("the tar is damaged in the header after 'n01440764/2.cls'")
    assert read(done.file) == expected(SAMPLES[:8])


def test_a_long_name_without_a_member_is_not_the_end() -> None:
    source = tar(SAMPLES[:8], tarfile.GNU_FORMAT)
    end = infos(source)[-1].offset_data + -(-len(SAMPLES[7][1]) // 512) * 512
    long = special("x" * 300, tarfile.REGTYPE).tobuf(tarfile.GNU_FORMAT)[:-512]
    done = run(source[:end] + long + bytes(10240))
    assert "damaged in the header after 'n01440764/1.seg.png'" in done.broken
    assert read(done.file) == expected(SAMPLES[:4])


def test_what_comes_after_the_end_mark_is_told() -> None:
    done = run(tar(SAMPLES[:4]) + tar(SAMPLES[4:8]))
    assert "goes on after its end mark" in done.broken
    assert not done.problems
    assert read(done.file) == expected(SAMPLES[:4])


def declared(size: int, name: str = "b.jpg", kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return the header of a member that declares so many bytes."""
    return special(name, kind, size=size).tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("size", [1 << 29, 1 << 40, 1 << 62])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_declared_size_is_not_allocated(size: int, kind: bytes) -> None:
    stream = Stream(tar([("a.jpg", b"1")])[:1024] + declared(size, kind=kind) + bytes(5000))
    shard = TarShard("x.tar", lambda: stream, "")  # type: ignore[arg-type, return-value]
    found: list[Item] = []
    with pytest.raises(ValueError, match=r"ends in the middle of 'b.jpg'|makes no sense"):
        gather(shard, found)
    assert [(item.name, item.problem is None) for item in found][:1] == [
        ("x.tar/a.jpg", kind == tarfile.REGTYPE)  # of headers nobody knows what follows
    ]
    assert all(item.problem is not None for item in found[1:])
    assert stream.largest <= tar_files.PIECE


def test_a_negative_size_is_refused() -> None:
    head = bytearray(declared(0))
    head[124:136] = b"\xff" * 11 + b"\xfe"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    done = run(tar([("a.jpg", b"1"), ("a.txt", b"")])[:1536] + bytes(head) + bytes(5000))
    assert "makes no sense" in done.broken
    assert not done.good


def test_a_name_or_size_for_all_members_is_refused() -> None:
    for key in ("size", "path", "GNU.sparse.name"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", pax_headers={key: "3"}) as file:
            file.addfile(special("a.jpg", tarfile.REGTYPE), io.BytesIO(b""))
        assert "one name or size for all members" in run(buffer.getvalue()).broken


def test_large_members_are_left_out_with_their_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_samples, "SAMPLE_BYTES", 1 << 20)
    large, half = bytes((1 << 20) + 1), bytes(600_000)
    members: Members = [
        ("a.jpg", b"1"), ("b.jpg", large), ("b.txt", b"2"), ("c.jpg", half), ("c.npy", half), ("c.txt", b"3"),
        ("d.npy", large), ("large", large), ("e.jpg", b"4"),
    ]  # fmt: skip
    done = run(tar(members))
    assert read(done.file) == expected([members[0], members[-1]])
    assert done.problems == {
        "a/0001.tar/b.jpg": "its sample is larger than 1 MiB",
        "a/0001.tar/c.jpg": "its sample is larger than 1 MiB",
        "a/0001.tar/d.npy": "its sample is larger than 1 MiB",
        "a/0001.tar/large": "is larger than 1 MiB",
    }


class Failing(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > infos(self.getvalue())[10].offset:
            raise OSError(errno.EIO, "the network is gone")
        return super().read(size)


def test_a_source_that_fails_is_an_error_of_the_system() -> None:
    found: list[Item] = []
    with pytest.raises(OSError, match="the network is gone"):
        gather(TarShard("x.tar", lambda: Failing(tar(SAMPLES)), ""), found)
    assert found[0].problem is None
    assert "its sample may not be whole: the network is gone" in (found[-1].problem or "")


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


def test_nothing_is_made_before_the_first_batch_and_abort_removes() -> None:
    sink = MemorySink({"x.tar": b"older"})
    shard = TarShard("x.tar", lambda: io.BytesIO(gzip.compress(tar(SAMPLES))), "")
    output = shard.output(sink)
    output.abort()
    assert sink == MemorySink({"x.tar": b"older"})
    output = shard.output(sink)
    batch = next(iter(shard.batches(4)))
    output.put(batch, [b""] * len(batch.items))
    output.abort()
    assert sink == MemorySink({"x.tar": b"older"}, ["x.tar"])
    output = shard.output(sink)
    assert output.put(Batch([]), []) is None  # of a shard that could not be read
    output.commit()
    assert sink.files == {}


class Refusing(MemorySink):
    def create(self, name: str) -> MemoryFile:
        raise self.error

    def remove(self, name: str) -> None:
        raise self.error

    error: ValueError | OSError


def test_a_name_that_the_sink_refuses_fails_all_images() -> None:
    sink = Refusing()
    shard = TarShard("x.tar", lambda: io.BytesIO(tar(SAMPLES)), "")
    for sink.error in (OSError(errno.ENAMETOOLONG, "File name too long"), ValueError("leads out")):
        output = shard.output(sink)
        refused = [output.put(batch, [b"x"] * 3 + [None]) for batch in shard.batches(4)][:3]
        reason = getattr(sink.error, "strerror", None) or "leads out"
        assert refused == [dict.fromkeys(range(3), f"write: {reason}")] * 3
        output.commit()
    sink.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        shard.output(sink).put(next(iter(shard.batches(4))), [b"x"] * 4)


@pytest.mark.parametrize(
    ("data", "image"),
    [
        (b"\xff\xd8\xff\xe0 a JPEG", True),
        (b"GIF89a", True),
        (b"\0\0\0\x1cftypheic", True),
        (b"BM" + bytes(12) + b"\x28" + bytes(40), True),
        (b"BMW is no bitmap, however long the text goes on", False),
        (b'{"json": 1}', False),
        (b"", False),
    ],
)
def test_a_member_that_is_an_image_under_another_name_is_no_other_member(tmp_path, data, image):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo("0001.image")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    (batch,) = TarShard("a.tar", lambda: path.open("rb"), "").batches(8)
    assert [item.data for item in batch.items] == ([data] if image else [])

"""Samples of a tar: which are kept, which are left out, and why."""

import io
import tarfile

import pytest

from fastblur.pipeline.shards.tar import samples as tar_samples
from fastblur.pipeline.shards.tar.shard import TarShard
from tests.pipeline.shards.shard_cases import marked
from tests.pipeline.shards.tar.tar_cases import SAMPLES, Members, expected, infos, read, run, special, tar


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


def test_large_members_are_left_out_with_their_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_samples, "SAMPLE_BYTES", 1 << 20)
    large, half = b"x" * ((1 << 20) + 1), b"x" * 600_000
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

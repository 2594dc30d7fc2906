"""Tars that are cut, damaged or make no sense."""

import errno
import gzip
import io
import random
import tarfile

import pytest

from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.shards.tar.shard import TarShard
from fastblur.pipeline.shards.tar.stream import PIECE
from tests.pipeline.shards.shard_cases import Done
from tests.pipeline.shards.tar.tar_cases import (
    SAMPLES,
    Members,
    Stream,
    expected,
    gather,
    infos,
    read,
    run,
    special,
    tar,
)


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
    assert stream.largest <= PIECE


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

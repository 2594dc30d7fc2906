"""What the tests of tars share: tars made and read by tarfile, and a run over one without any stages."""

import io
import tarfile
from typing import Any

from fastblur.pipeline.shards.interfaces import Item
from fastblur.pipeline.shards.tar.shard import TarShard
from tests.pipeline.shards.shard_cases import Change, Done, marked, run_shard

Members = list[tuple[str, bytes]]

SAMPLES: Members = [
    (f"n01440764/{number}.{end}", f"{number} {end} ".encode() * (40 * number + 1))
    for number in range(7)
    for end in ("cls", "jpg", "json", "seg.png")
]


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


def run(data: bytes, change: Change = marked, size: int = 8, name: str = "a/0001.tar", most: int = 1 << 20) -> Done:
    """Take a tar through a shard and its output."""
    shard = TarShard(name, lambda: Stream(data, most), "stamp")  # type: ignore[arg-type, return-value]
    return run_shard(shard, change, size, send=True)


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


def gather(shard: TarShard, found: list[Item]) -> None:
    for batch in shard.batches(1):
        found += batch.items

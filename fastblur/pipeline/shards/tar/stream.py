"""Tar files as streams of members: every header is kept as it was read, so that it can be written again unchanged.

Why not the standard library's tarfile: after the first member it takes a damaged or cut header for the end of the
archive, and does not ask for the end mark, so that samples would be lost without a word; and it writes headers of its
own. Single headers are parsed by it.
"""

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, cast

BLOCK = tarfile.BLOCKSIZE
PIECE = 1 << 20  # bytes asked for at once: what a header declares is never allocated before it is there
HEAD_BYTES = 1 << 20  # of a member's headers, its long name and its pax records among them

_LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_KINDS = {
    tarfile.SYMTYPE: "is a symbolic link",
    tarfile.LNKTYPE: "is a hard link",
    tarfile.CHRTYPE: "is a device",
    tarfile.BLKTYPE: "is a device",
    tarfile.FIFOTYPE: "is a FIFO",
}
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a tar.

    Attributes:
        head: all its header blocks.
        name: as the tar has it, without a "/" at its end; bytes that are not UTF-8 are escaped surrogates.
        size: how many bytes of data follow.
        is_file: whether it is a regular file; pax records for all members come as a member that is none.
        problem: why nobody should unpack it, or "".
    """

    head: bytes
    name: str
    size: int
    is_file: bool
    problem: str


class TarReader:
    """Reads a tar from its first byte to its last, once; its first bytes say whether it is compressed by gzip.

    Iterating yields the members in their order; `read` gives the data of the one that was yielded last, `open_member`
    a file of it. All raise ValueError where the tar is damaged or ends too early, and again for whatever is read after
    that. A tar is whole only with its end mark, a block of zeros.

    Args:
        file: to read bytes from; it need not be able to seek.

    Attributes:
        gz: whether it is compressed.
    """

    def __init__(self, file: BinaryIO) -> None:
        begin = _Begun(file)
        self.gz = begin.begin == b"\x1f\x8b"
        self._file = gzip.GzipFile(filename="", mode="rb", fileobj=cast(BinaryIO, begin)) if self.gz else begin
        self._where = "its first header"
        self._left = self._padding = self._at = 0
        self._broken: ValueError | None = None

    def __iter__(self) -> Iterator[Member]:
        """Yield the members."""
        while (member := self._next()) is not None:
            self._where = repr(member.name) if member.name else "the records for all members"
            self._left, self._padding = member.size, -member.size % BLOCK
            yield member
            for size in _pieces(self._left + self._padding):
                self._take(size)
            self._left = self._padding = 0
            self._where = f"the header after {self._where}"

    def finish(self) -> None:
        """Read what follows the end mark; raises ValueError where that is something, or gzip's checksum is wrong."""
        self._where = "its end"
        while piece := self._piece(PIECE):
            if piece.count(0) != len(piece):
                raise ValueError("the tar goes on after its end mark; what comes there is not read")

    def read(self) -> bytes:
        """Return the member's data."""
        pieces = [self._take(size) for size in _pieces(self._left)]
        self._left = 0
        self._take(self._padding)  # a member is not whole where the tar ends in its padding
        self._padding = 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def open_member(self) -> BinaryIO:
        """Return the member's data as a file that cannot seek, to be read before the next member is asked for."""
        return cast(BinaryIO, _MemberFile(self))

    def read_on(self, size: int) -> bytes:
        """Return the next bytes of the member's data, `size` or as many as there are."""
        data = self._take(min(size, self._left))
        self._left -= len(data)
        return data

    def _next(self) -> Member | None:
        head = b""
        while True:
            block = self._take(BLOCK)
            if block.count(0) == BLOCK and not head:
                return None
            try:
                info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.TarError:
                if self._at == BLOCK:
                    raise ValueError("is no tar, or compressed in another way than by gzip") from None
                raise ValueError(f"the tar is damaged in {self._where}: byte {self._at - BLOCK}") from None
            head += block
            if info.type == tarfile.XGLTYPE and len(head) == BLOCK:
                return _for_all(head + self._payload(info.size, HEAD_BYTES))
            if info.type not in _LONG:
                break
            head += self._payload(info.size, HEAD_BYTES - len(head))
        if info.type == tarfile.GNUTYPE_SPARSE:
            more = block[482]
            while more:
                head += self._payload(BLOCK, HEAD_BYTES - len(head))
                more = head[-8]
        try:
            return _member(head, info)
        except Exception as error:  # of many kinds, for headers that make no sense
            raise ValueError(f"the tar has a header that makes no sense: {self._where} ({error})") from None

    def _payload(self, size: int, most: int) -> bytes:
        if not 0 <= size <= most:
            raise ValueError(f"the tar has a header that makes no sense: {self._where} has {size} bytes")
        return self._take(size + -size % BLOCK)

    def _take(self, size: int) -> bytes:
        """Return the next bytes, exactly that many."""
        data = self._piece(size) if size else b""
        while len(data) < size:
            piece = self._piece(size - len(data))
            if not piece:
                self._broken = ValueError(f"the tar ends in the middle of {self._where}")
                raise self._broken
            data += piece
        self._at += size
        return data

    def _piece(self, size: int) -> bytes:
        if self._broken is not None:
            raise self._broken
        try:
            return self._file.read(size)
        except EOFError:
            self._broken = ValueError(f"the tar ends in the middle of {self._where}")
        except (zlib.error, gzip.BadGzipFile) as error:
            self._broken = ValueError(f"the tar is damaged in {self._where}: {error}")
        except ValueError as error:  # of the tar that this one is a member of
            self._broken = error
        raise self._broken from None


class TarWriter:
    """Writes members that were read, and the end; the same members make the same bytes.

    Args:
        file: to write to; it stays open.
        gz: whether to compress.
    """

    def __init__(self, file: BinaryIO, gz: bool) -> None:
        self._zip = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) if gz else None
        self._file = cast(BinaryIO, self._zip) if self._zip is not None else file
        self._size = 0

    def write(self, head: bytes, size: int, data: bytes) -> None:
        """Write a member whose headers say that it has `size` bytes; data of another length is stated in them."""
        if len(data) != size:
            head = _resized(head, len(data))
        self._write(head)
        self._write(data)
        self._write(bytes(-len(data) % BLOCK))

    def write_file(self, head: bytes, size: int, file: BinaryIO) -> None:
        """Write a member as `write` does, whose data is a file from its begin to where it is."""
        length = file.tell()
        self._write(head if length == size else _resized(head, length))
        file.seek(0)
        while piece := file.read(PIECE):
            self._write(piece)
        self._write(bytes(-length % BLOCK))

    def end(self) -> None:
        """Write the end mark."""
        self._write(bytes(2 * BLOCK))
        self._write(bytes(-self._size % tarfile.RECORDSIZE))
        if self._zip is not None:
            self._zip.close()

    def abandon(self) -> None:
        """Close the compressor; the file will not be whole."""
        with suppress(Exception):
            if self._zip is not None:
                self._zip.close()  # so that it does not try when it is garbage collected

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)


class _MemberFile:
    """The data of a tar's member, to be read on."""

    def __init__(self, tar: TarReader) -> None:
        self._tar = tar

    def read(self, size: int, /) -> bytes:
        return self._tar.read_on(size)


class _Begun:
    """A file of which the first two bytes have been read already.

    Attributes:
        begin: those.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.begin = file.read(1)
        self.begin += file.read(1)
        self._begin = self.begin

    def read(self, size: int, /) -> bytes:
        if self._begin:
            begin, self._begin = self._begin[:size], self._begin[size:]
            return begin
        return self._file.read(size)


def _pieces(size: int) -> Iterator[int]:
    """Yield the sizes of the pieces by which so many bytes are read."""
    for start in range(0, size, PIECE):
        yield min(PIECE, size - start)


def _for_all(head: bytes) -> Member:
    """Return the pax records for all members that follow; those that say how to read them are refused."""
    if re.search(rb"\d+ (path|size|linkpath|GNU\.sparse\.[a-z]+)=", head):
        raise ValueError("the tar has a header that makes no sense: one name or size for all members")
    return Member(head, "", 0, False, "")


def _parsed(head: bytes) -> tarfile.TarInfo:
    file = tarfile.TarFile(fileobj=io.BytesIO(head), encoding="utf-8", errors="surrogateescape")
    info = file.next()
    assert info is not None
    return info


def _member(head: bytes, last: tarfile.TarInfo) -> Member:
    """Return the member of these headers, the last of which is `last`."""
    # tarfile would look for a sparse file's map in the data, which is not here.
    long = head[:-BLOCK].replace(b" GNU.sparse.", b" not.sparse.")
    info = _parsed(long + head[-BLOCK:]) if long else last
    name = info.pax_headers.get("not.sparse.name", info.name)
    sparse = last.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("not.sparse.") for key in info.pax_headers)
    size = last.size if last.type == tarfile.GNUTYPE_SPARSE else info.size
    if info.type in tarfile.SUPPORTED_TYPES and not info.isreg():
        size = 0
    if size < 0:
        raise ValueError(f"{name!r} has {size} bytes")
    problem = _name_problem(name) or ("is a sparse file" if sparse else _KINDS.get(info.type, ""))
    if not problem and info.type not in _FILES and not info.isdir():
        problem = f"is of an unknown kind, {info.type.decode('latin-1')!r}"
    return Member(head, name, size, info.type in _FILES, problem)


def _name_problem(name: str) -> str:
    """Return why no file should get this name, on any system, or ""."""
    slashed = name.replace("\\", "/")
    if not name:
        return "has an empty name"
    if "\0" in name:
        return "has a name with a zero byte in it"
    if slashed.startswith("/") or re.match("[A-Za-z]:", name):
        return "has an absolute name"
    if ".." in slashed.split("/"):
        return 'has a name that leads out of its folder by ".."'
    return ""


def _resized(head: bytes, size: int) -> bytes:
    """Return the headers of a regular file for another size."""
    if size >= 8**11 or b" size=" in head[:-BLOCK]:  # in a pax record
        info = _parsed(head)
        info.size = size
        info.pax_headers = {**info.pax_headers, "size": str(size)}
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    last = bytearray(head[-BLOCK:])
    last[124:136] = b"%011o\0" % size
    last[148:156] = b" " * 8
    last[148:156] = b"%06o\0 " % sum(last)
    return head[:-BLOCK] + bytes(last)

"""Shards that are tar files, as WebDataset keeps them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from fastblur.pipeline.shards.file_output import FileOutput
from fastblur.pipeline.shards.interfaces import Batch
from fastblur.pipeline.shards.tar.samples import OVERHEAD, MemberRules, Sample, TarBatchInfo, TarBegin, TarEnd
from fastblur.pipeline.shards.tar.stream import TarReader, TarWriter
from fastblur.pipeline.shards.tar.walk import BATCH_BYTES, walk
from fastblur.pipeline.storage.sink import Sink

NESTED_BYTES = 64 << 20  # of a tar within the tar that are held in memory while it is written; more go to the disk


@dataclass(frozen=True)
class TarShard:
    """A tar file, compressed by gzip or not.

    Members whose names end as an image's are images, if they are among those to be searched. Texts and folders go to
    the output as they are; what is something else may hold images, and fails unless `others` says otherwise. A member
    whose name is a tar's is a folder of its members, which are called "x.tar/y.tar/a.jpg".

    As in WebDataset, members that follow each other and have the same name up to the first dot of its last part are a
    sample. A sample is kept whole or left out whole, since loaders stop at a sample without its image: it is left out
    where any of its members fails, or is a link, a device, a sparse file or has a name that leads out of the folder;
    where it was in the tar before, with others between; and where it is larger than 1 GiB. Of members with the same
    name in one sample the first is kept. Members that are of no sample (folders, names without a dot, tars) stand for
    themselves. Whatever is left out has an item with the problem.

    Args:
        name: the file's path below the source.
        open: opens the file to read bytes from; it need not be able to seek.
        stamp: a text that differs when the file may have changed.
        others, members: as `MemberRules` has them.
    """

    name: str
    open: Callable[[], BinaryIO]
    stamp: str
    others: str = "fail"
    members: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Return the stamp."""
        return self.stamp

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the images: at most `size` in a batch, and `BATCH_BYTES` of members, or those of a single sample.

        Besides the batch, the next sample is held, and the keys of all that came before. A tar without members gives
        one batch without images.

        Raises ValueError where the tar is cut short or damaged, OSError where it cannot be read. What was yielded
        before is good; the sample that was being read then comes as items with a problem.
        """
        with self.open() as file:
            tar = TarReader(file)
            batch = Batch([], TarBatchInfo(tar.gz))
            broken: ValueError | OSError | None = None
            parts = walk(tar, MemberRules(self.name, "", self.others, self.members))
            while True:
                try:
                    part = next(parts, None)
                except (ValueError, OSError) as error:
                    broken = error
                    break
                if part is None:
                    break
                if not isinstance(part, Sample):
                    batch.info.members.append(part)
                    batch.info.held += OVERHEAD
                    continue
                full = len(batch.items) + len(part.items) > size or batch.info.held + part.held > BATCH_BYTES
                if full and (batch.items or batch.info.members):
                    yield batch
                    batch = Batch([], TarBatchInfo(tar.gz))
                part.join(batch)
            if batch.items or batch.info.members or broken is None:
                yield batch
            if broken is not None:
                raise broken

    def output(self, sink: Sink) -> "TarOutput":
        """Return the output, a tar of the same name."""
        return TarOutput(sink, self.name)


class TarOutput(FileOutput[TarWriter]):
    """Writes the members of a tar in their order, with new images, without samples of which an image failed.

    All headers are kept but for the sizes of new images, so formats, owners, times and pax records are. The same
    results make the same bytes, whatever the batches; where nothing changes they are the bytes that tarfile and GNU tar
    wrote. What is compressed is compressed again by gzip at its usual level.
    """

    def __init__(self, sink: Sink, name: str) -> None:
        super().__init__(sink, name)
        self._nested: list[_NestedTar] = []  # tars within the tar that are being written, the innermost last

    def open_writer(self, file: BinaryIO, info: TarBatchInfo) -> TarWriter:
        """Begin a tar that is compressed if the one read is."""
        return TarWriter(file, info.gz)

    def write_batch(self, writer: TarWriter, batch: Batch, results: list[bytes | None]) -> dict[int, str]:
        """Write the members of a batch; return which images are left out because others of their sample failed."""
        info: TarBatchInfo = batch.info
        failed: dict[int, str] = {}
        for item, sample, result in zip(batch.items, info.samples, results, strict=True):
            if result is None and sample is not None:
                failed.setdefault(sample, f"its sample is left out because {item.name!r} failed")
        for member in info.members:
            if isinstance(member, TarBegin):
                self._nested.append(_NestedTar(member))
            elif isinstance(member, TarEnd):
                self._end_nested(writer)
            elif member.sample not in failed:
                data = member.data if member.image is None else results[member.image]
                if data is not None:
                    self._innermost(writer).write(member.head, member.size, data)
        return {
            place: failed[sample]
            for place, (sample, result) in enumerate(zip(info.samples, results, strict=True))
            if sample in failed and result is not None
        }

    def end(self, writer: TarWriter) -> None:
        """Write the end mark, and before it those of the tars in which the file broke off."""
        while self._nested:
            self._end_nested(writer)
        writer.end()

    def abandon(self, writer: TarWriter) -> None:
        """Close the compressors and the temporary files."""
        for nested in self._nested:
            nested.writer.abandon()
            nested.file.close()
        writer.abandon()

    def _innermost(self, writer: TarWriter) -> TarWriter:
        return self._nested[-1].writer if self._nested else writer

    def _end_nested(self, writer: TarWriter) -> None:
        """Write the innermost tar into the one that it is a member of."""
        nested = self._nested.pop()
        with nested.file:
            nested.writer.end()
            self._innermost(writer).write_file(nested.begin.head, nested.begin.size, nested.file)


class _NestedTar:
    """A tar that is a member of another, in a temporary file until its size is known, which its header says."""

    def __init__(self, begin: TarBegin) -> None:
        self.begin = begin
        self.file = cast(BinaryIO, SpooledTemporaryFile(NESTED_BYTES))  # noqa: SIM115
        self.writer = TarWriter(self.file, begin.gz)

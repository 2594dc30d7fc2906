"""Shards that are tar files, as WebDataset keeps them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fastblur.pipeline.shards.file_output import FileOutput
from fastblur.pipeline.shards.interfaces import Batch
from fastblur.pipeline.shards.tar.samples import Sample, TarBatchInfo, sample_key
from fastblur.pipeline.shards.tar.stream import TarReader, TarWriter
from fastblur.pipeline.storage.paths import error_reason
from fastblur.pipeline.storage.sink import Sink

SUFFIXES = (".tar", ".tar.gz", ".tgz")
BATCH_BYTES = 64 << 20  # of members in a batch; a sample that is larger stands alone


def is_tar_name(name: str) -> bool:
    """Return whether a file of this name is taken for a tar."""
    return name.lower().endswith(SUFFIXES)


@dataclass(frozen=True)
class TarShard:
    """A tar file, compressed by gzip or not.

    Members whose names end as an image's are images. All others (classes, captions, folders) go to the output as they
    are, whatever they show. As in WebDataset, members that follow each other and have the same name up to the first
    dot of its last part are a sample. A sample is kept whole or left out whole, since loaders stop at a sample without
    its image: it is left out where any of its images fails, or any of its members is a link, a device, a sparse file or
    has a name that leads out of the folder; where it was in the tar before, with others between; and where it is larger
    than 1 GiB. Of members with the same name in one sample the first is kept. Members that are of no sample
    (folders, names without a dot) stand for themselves. Whatever is left out has an item with the problem.

    Args:
        name: the file's path below the source.
        open: opens the file to read bytes from; it need not be able to seek.
        stamp: a text that differs when the file may have changed.
    """

    name: str
    open: Callable[[], BinaryIO]
    stamp: str

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
            samples = self._samples(tar)
            while True:
                try:
                    sample = next(samples, None)
                except (ValueError, OSError) as error:
                    broken = error
                    break
                if sample is None:
                    break
                full = len(batch.items) + len(sample.items) > size or batch.info.held + sample.held > BATCH_BYTES
                if full and (batch.items or batch.info.members):
                    yield batch
                    batch = Batch([], TarBatchInfo(tar.gz))
                sample.join(batch)
            if batch.items or batch.info.members or broken is None:
                yield batch
            if broken is not None:
                raise broken

    def output(self, sink: Sink) -> "TarOutput":
        """Return the output, a tar of the same name."""
        return TarOutput(sink, self.name)

    def _samples(self, tar: TarReader) -> Iterator[Sample]:
        sample = Sample(self.name)
        before: set[str] = set()
        singles: set[str] = set()  # names of members that are of no sample
        try:
            for index, member in enumerate(tar, 1):
                key = sample_key(member)
                if (sample.held > BATCH_BYTES) if key is None else (sample.key not in (None, key)):
                    yield sample
                    sample = Sample(self.name)
                if key is None:
                    sample.add_single(index, member, tar, singles)
                    continue
                if sample.key is None:
                    sample.key = key
                    if key in before:
                        sample.is_duplicate = True
                        sample.reject(f"is a duplicate: its sample {key!r} came before, with others between")
                    before.add(key)
                sample.add(index, member, tar)
        except (ValueError, OSError) as error:
            sample.reject(f"its sample may not be whole: {error_reason(error)}")
            yield sample
            raise
        yield sample
        tar.finish()


class TarOutput(FileOutput[TarWriter]):
    """Writes the members of a tar in their order, with new images, without samples of which an image failed.

    All headers are kept but for the sizes of new images, so formats, owners, times and pax records are. The same
    results make the same bytes, whatever the batches; where nothing changes they are the bytes that tarfile and GNU tar
    wrote. What is compressed is compressed again by gzip at its usual level.
    """

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
            if member.sample in failed:
                continue
            data = member.data if member.image is None else results[member.image]
            if data is not None:
                writer.write(member.head, member.size, data)
        return {
            place: failed[sample]
            for place, (sample, result) in enumerate(zip(info.samples, results, strict=True))
            if sample in failed and result is not None
        }

    def end(self, writer: TarWriter) -> None:
        """Write the end mark."""
        writer.end()

    def abandon(self, writer: TarWriter) -> None:
        """Close the compressor."""
        writer.abandon()

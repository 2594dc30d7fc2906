"""Shards that are tar files, as WebDataset keeps them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fastblur.pipeline.shards.interfaces import Batch
from fastblur.pipeline.shards.tar.samples import Rest, Sample, sample_key
from fastblur.pipeline.shards.tar.stream import TarReader, TarWriter
from fastblur.pipeline.storage.paths import is_about_the_name
from fastblur.pipeline.storage.sink import NewFile, Sink

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
        stamp: another text when the file may have changed.
    """

    name: str
    open: Callable[[], BinaryIO]
    stamp: str

    def fingerprint(self) -> str:
        """Return the stamp."""
        return self.stamp

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the images: at most `size` in a batch, and `BATCH_BYTES` of members, or those of a single sample.

        Beside the batch the next sample is held, and the keys of all that came before. A tar without members gives one
        batch without images.

        Raises ValueError where the tar is cut short or damaged, OSError where it cannot be read. What was yielded
        before is good; the sample that was being read then comes as items with a problem.
        """
        with self.open() as file:
            tar = TarReader(file)
            batch = Batch([], Rest(tar.gz))
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
                full = len(batch.items) + len(sample.items) > size or batch.rest.held + sample.held > BATCH_BYTES
                if full and (batch.items or batch.rest.members):
                    yield batch
                    batch = Batch([], Rest(tar.gz))
                sample.join(batch)
            if batch.items or batch.rest.members or broken is None:
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
            for number, member in enumerate(tar, 1):
                key = sample_key(member)
                if (sample.held > BATCH_BYTES) if key is None else (sample.key not in (None, key)):
                    yield sample
                    sample = Sample(self.name)
                if key is None:
                    sample.add_single(number, member, tar, singles)
                    continue
                if sample.key is None:
                    sample.key = key
                    if key in before:
                        sample.again = True
                        sample.spoil(f"is a duplicate: its sample {key!r} came before, with others between")
                    before.add(key)
                sample.add(number, member, tar)
        except (ValueError, OSError) as error:
            sample.spoil(f"its sample may not be whole: {getattr(error, 'strerror', None) or error}")
            yield sample
            raise
        yield sample
        tar.finish()


class TarOutput:
    """Writes the members of a tar in their order, with new images.

    All headers are kept but for the sizes of new images, so formats, owners, times and pax records are. The same
    results make the same bytes, however they came in batches; where nothing changes they are the bytes that tarfile and
    GNU tar wrote. What is compressed is compressed again by gzip at its usual level.
    """

    ordered = True

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink, self._name = sink, name
        self._new: NewFile | None = None
        self._writer: TarWriter | None = None
        self._refused = ""

    def put(self, batch: Batch, results: list[bytes | None]) -> dict[int, str] | None:
        """Write the members of a batch, without samples of which an image failed.

        Returns why images could not be written: the file cannot have its name, or another image of the sample failed.
        """
        rest: Rest | None = batch.rest
        if rest is None:
            return None  # of a shard of which nothing could be read
        if self._writer is None and not self._refused:
            self._begin(rest.gz)
        if self._writer is None:
            return {place: self._refused for place, result in enumerate(results) if result is not None}
        failed: dict[int, str] = {}
        for item, sample, result in zip(batch.items, rest.samples, results, strict=True):
            if result is None and sample is not None:
                failed.setdefault(sample, f"its sample is left out because {item.name!r} failed")
        for member in rest.members:
            if member.sample in failed:
                continue
            data = member.data if member.image is None else results[member.image]
            if data is not None:
                self._writer.write(member.head, member.size, data)
        return {
            place: failed[sample]
            for place, (sample, result) in enumerate(zip(rest.samples, results, strict=True))
            if sample in failed and result is not None
        }

    def commit(self) -> None:
        """Write the end of the file and give it its name; there is none where nothing of the shard could be read."""
        if self._new is None or self._writer is None:
            self._remove()
            return
        self._writer.end()
        self._new.commit()

    def abort(self) -> None:
        """Remove what was written."""
        if self._writer is not None:
            self._writer.abandon()
        if self._new is not None:
            self._new.abort()

    def _begin(self, gz: bool) -> None:
        try:
            self._new = self._sink.create(self._name)
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and not is_about_the_name(error):
                raise
            self._refused = f"write: {getattr(error, 'strerror', None) or error}"
            return
        self._writer = TarWriter(self._new.file, gz)

    def _remove(self) -> None:
        """Leave no older file of the name."""
        try:
            self._sink.remove(self._name)
        except (ValueError, OSError) as error:
            if isinstance(error, OSError) and not is_about_the_name(error):
                raise

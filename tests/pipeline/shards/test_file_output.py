"""The output of a shard that is one file, with tars."""

import errno
import gzip
import io

import pytest

from fastblur.pipeline.shards.interfaces import Batch
from fastblur.pipeline.shards.tar.shard import TarShard
from tests.pipeline.shards.shard_cases import MemoryFile, MemorySink
from tests.pipeline.shards.tar.tar_cases import SAMPLES, tar


def test_nothing_is_made_before_the_first_batch_and_abort_removes() -> None:
    sink = MemorySink({"x.tar": b"older"})
    shard = TarShard("x.tar", lambda: io.BytesIO(gzip.compress(tar(SAMPLES))), "")
    output = shard.output(sink)
    output.abort()
    assert sink == MemorySink({"x.tar": b"older"})
    output = shard.output(sink)
    batch = next(iter(shard.batches(4)))
    output.write(batch, [b""] * len(batch.items))
    output.abort()
    assert sink == MemorySink({"x.tar": b"older"}, ["x.tar"], ["x.tar"])
    output = shard.output(sink)
    assert output.write(Batch([]), []) == {}  # of a shard that could not be read
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
        refused = [output.write(batch, [b"x"] * 3 + [None]) for batch in shard.batches(4)][:3]
        reason = getattr(sink.error, "strerror", None) or "leads out"
        assert refused == [dict.fromkeys(range(3), f"write: {reason}")] * 3
        output.commit()
    sink.error = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        shard.output(sink).write(next(iter(shard.batches(4))), [b"x"] * 4)

"""The output of a shard that is one file: what it makes of the sink, for tars and tables alike."""

import errno
import gzip
import io
from typing import Any

import pytest

from fastblur.pipeline.shards.interfaces import Batch, Shard
from fastblur.pipeline.shards.table.shard import TableShard
from fastblur.pipeline.shards.tar.shard import TarShard
from tests.pipeline.shards.shard_cases import MemorySink
from tests.pipeline.shards.tar.tar_cases import tar

IMAGES = [bytes([n]) * 2000 for n in range(20)]


def shard_of(kind: str) -> Shard:
    """Return a shard of 20 images that is the file x."""
    if kind == "table":
        pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        buffer = io.BytesIO()
        pytest.importorskip("pyarrow.parquet").write_table(pa.table({"image": IMAGES}), buffer, row_group_size=5)
        return TableShard("x", lambda: io.BytesIO(buffer.getvalue()), "", ("image",))
    data = tar([(f"{n}.jpg", image) for n, image in enumerate(IMAGES)])
    data = gzip.compress(data) if kind == "packed tar" else data
    return TarShard("x", lambda: io.BytesIO(data), "")


@pytest.fixture(params=["tar", "packed tar", "table"])
def shard(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Shard:
    """The same images in files of each kind."""
    if request.param == "table":
        from fastblur.pipeline.shards.table import files

        real = files.open_table
        monkeypatch.setattr(files, "open_table", lambda name, file: real(f"{name}.parquet", file))
    return shard_of(request.param)


def test_nothing_is_made_before_the_first_batch(shard: Shard) -> None:
    sink: Any = MemorySink({"x": b"older"})
    shard.output(sink).abort()
    assert sink == MemorySink({"x": b"older"})


@pytest.mark.parametrize("batches", [1, 3])
def test_an_abort_leaves_what_was_there(shard: Shard, batches: int) -> None:
    sink: Any = MemorySink({"x": b"older"})
    output = shard.output(sink)
    for batch, _ in zip(shard.batches(4), range(batches), strict=False):
        assert output.write(batch, [item.data for item in batch.items]) == {}
    output.abort()
    output.abort()
    assert set(sink.aborted) == {"x"}
    assert (sink.begun, sink.files) == (["x"], {"x": b"older"})


def test_a_shard_of_which_nothing_was_read_leaves_no_older_file(shard: Shard) -> None:
    sink: Any = MemorySink({"x": b"older", "b": b"other"})
    output = shard.output(sink)
    assert output.write(Batch([]), []) == {}
    output.commit()
    assert sink.files == {"b": b"other"}


@pytest.mark.parametrize("error", [ValueError("it leads out"), OSError(errno.ENAMETOOLONG, "it leads out")])
def test_a_name_that_is_refused_fails_all_images(
    shard: Shard, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink: Any = MemorySink()

    def refuse(name: str) -> None:
        raise error

    monkeypatch.setattr(sink, "create", refuse)
    monkeypatch.setattr(sink, "remove", refuse)
    output = shard.output(sink)
    for batch in shard.batches(8):
        results = [None, *(item.data for item in batch.items[1:])]
        assert output.write(batch, results) == dict.fromkeys(range(1, len(results)), "write: it leads out")
    output.commit()
    assert sink.files == {}


@pytest.mark.parametrize("method", ["create", "remove"])
def test_other_errors_of_the_sink_are_raised(shard: Shard, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sink: Any = MemorySink()

    def full(name: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sink, method, full)
    output = shard.output(sink)
    batch = next(iter(shard.batches(8)))
    with pytest.raises(OSError, match="No space left"):
        output.write(batch, [None] * 8) if method == "create" else output.commit()


def test_a_disk_that_is_full_half_way_is_an_error_of_the_system(shard: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 300:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    sink: Any = MemorySink()
    real = sink.create

    def create(name: str) -> Any:
        new = real(name)
        new.file = Full()
        return new

    monkeypatch.setattr(sink, "create", create)
    output = shard.output(sink)

    def write_all() -> None:
        for batch in shard.batches(8):
            output.write(batch, [item.data for item in batch.items])
        output.commit()

    with pytest.raises(OSError, match="No space left") as caught:
        write_all()
    assert caught.value.errno == errno.ENOSPC
    output.abort()
    assert (sink.aborted, sink.files) == (["x"], {})

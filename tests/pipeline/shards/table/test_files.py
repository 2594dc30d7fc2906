"""Table files that are cut short or broken."""

import io
import random
from functools import partial
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")

from fastblur.pipeline.shards.table.shard import TableShard  # noqa: E402
from tests.pipeline.shards.shard_cases import same  # noqa: E402
from tests.pipeline.shards.table.table_cases import IMAGES, TABLE, arrow, group_rows, parquet, read, run  # noqa: E402

RANDOM = random.Random(5)
FILES = {
    "x.parquet": partial(parquet, row_group_size=8),
    "plain.parquet": partial(parquet, row_group_size=8, compression="none", use_dictionary=False),
    "checked.parquet": partial(parquet, row_group_size=8, write_page_checksum=True),
    "stream.arrow": partial(arrow, kind="stream", rows=8),
    "file.arrow": partial(arrow, kind="file", rows=8),
    "packed.feather": partial(arrow, kind="file", rows=8, options=pa.ipc.IpcWriteOptions(compression="zstd")),
}


def assert_good_until(done: Any, name: str) -> int:
    """Assert that a broken file gave its first rows, and that these were written; return how many."""
    rows = len(done.items)
    assert [item.data for item in done.items] == IMAGES[:rows]
    if rows == 0:
        assert done.file is None or len(read(done.file, name)) == 0
    else:
        assert read(done.file, name).equals(TABLE.slice(0, rows))
    return rows


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere(name: str) -> None:
    data = FILES[name](TABLE)
    cuts = sorted({0, 1, 4, 8, *RANDOM.sample(range(len(data)), 60), *range(len(data) - 12, len(data))})
    rows = []
    for cut in cuts:
        done = run(data[:cut], name, same)
        assert done.broken, f"cut to {cut} of {len(data)} bytes"
        assert "\n" not in done.broken
        assert len(done.broken) < 300
        rows.append(assert_good_until(done, name))
    assert rows == sorted(rows)
    # A stream tells at once what a record batch is; the other formats have their contents at the end.
    assert rows[-1] == (40 if name == "stream.arrow" else 0)
    assert len(run(data, name, same).items) == 40


def test_a_stream_cut_between_record_batches_is_not_taken_for_whole() -> None:
    data = arrow(TABLE, rows=8)
    ends = []
    file = io.BytesIO(data)
    reader = pa.ipc.open_stream(file)
    for _ in range(5):
        reader.read_next_batch()
        ends.append(file.tell())
    for number, end in enumerate(ends, 1):
        assert len(pa.ipc.open_stream(io.BytesIO(data[:end])).read_all()) == 8 * number, "pyarrow says nothing"
        done = run(data[:end], "x.arrow", same)
        assert done.broken == "the Arrow stream has no end, it may have been cut short"
        assert assert_good_until(done, "x.arrow") == 8 * number
    assert run(data, "x.arrow", same).broken == ""
    old = io.BytesIO()  # the format before Arrow 0.15 ends in other bytes
    options = pa.ipc.IpcWriteOptions(use_legacy_format=True, metadata_version=pa.ipc.MetadataVersion.V4)
    with pa.ipc.new_stream(old, TABLE.schema, options=options) as writer:
        writer.write_table(TABLE)
    assert run(old.getvalue(), "x.arrow", same).broken == ""


@pytest.mark.parametrize("name", ["checked.parquet", "packed.feather", "stream.arrow", "file.arrow", "x.parquet"])
def test_broken_bytes_never_do_worse_than_an_error(name: str) -> None:
    data = FILES[name](TABLE)
    outcomes = set()
    for _ in range(150):
        broken = bytearray(data)
        for place in RANDOM.sample(range(len(data)), 3):
            broken[place] ^= 1 << RANDOM.randrange(8)
        place = RANDOM.randrange(len(data) - 16)
        broken[place : place + 16] = RANDOM.randbytes(16)
        done = run(bytes(broken), name, same)  # which lets through nothing but ValueError
        outcomes.add(bool(done.broken))
        assert "\n" not in done.broken
        if name == "checked.parquet" and done.broken:
            assert [item.data for item in done.items] == IMAGES[: len(done.items)]
    assert True in outcomes


@pytest.mark.slow
def test_no_byte_of_the_metadata_ends_the_process() -> None:
    data = parquet(pa.table({"image": IMAGES[:2], "tags": [["a"], ["b"]]}))
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    broken = set()
    for place in range(footer, len(data) - 8):
        changed = bytearray(data)
        changed[place] ^= 0x10  # the length of a list, among others
        broken.add(bool(run(bytes(changed), "x.parquet", same).broken))
    assert broken == {True, False}


def test_a_broken_page_ends_the_file_where_it_is() -> None:
    data = bytearray(FILES["checked.parquet"](TABLE))
    data[data.index(IMAGES[28][:100])] ^= 1  # packing has found nothing to pack
    for size in (1, 8, 100):
        done = run(bytes(data), "x.parquet", same, size=size)
        assert done.broken.startswith("the Parquet file is cut short or broken (")
        assert assert_good_until(done, "x.parquet") == 24


def test_a_row_group_that_breaks_off_keeps_its_first_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastblur.pipeline.shards.table.parquet.PIECE_BYTES", 10_000)
    data = bytearray(parquet(TABLE, compression="none", use_dictionary=False, data_page_size=1000, write_batch_size=4))
    data[data.index(IMAGES[30]) - 4 : data.index(IMAGES[30])] = b"\xff\xff\xff\x7f"  # its length
    done = run(bytes(data), "x.parquet", same)
    assert done.broken
    assert 0 < assert_good_until(done, "x.parquet") <= 30
    assert len(group_rows(done.file)) == 1


def test_what_is_no_table(tmp_path: Any) -> None:
    old = io.BytesIO(b"FEA1" + bytes(100) + b"FEA1")
    assert "Feather version 1, expected version 2" in run(old.getvalue(), "x.feather").broken
    for name in FILES:
        for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(500), b"PAR1", b"PAR1PAR1" * 5, b"ARROW1\0\0", bytes(200)):
            done = run(data, name)
            assert done.broken, (name, data)
            assert done.file is None


def test_an_error_of_reading_is_one_of_the_system() -> None:
    data = FILES["x.parquet"](TABLE)

    class Lost(io.BytesIO):
        reads = 0

        def read(self, *arguments: Any) -> bytes:
            Lost.reads += 1
            if Lost.reads > 12:
                raise OSError(5, "Input/output error")
            return super().read(*arguments)

    batches = TableShard("x.parquet", lambda: Lost(data), "").batches(4)
    with pytest.raises(OSError, match="Input/output error") as caught:
        list(batches)
    assert caught.value.errno == 5


def test_a_record_batch_whose_positions_lead_out_of_it_is_refused() -> None:
    schema = pa.schema([("image", pa.binary())])
    buffer = io.BytesIO()
    with pa.ipc.new_stream(buffer, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([pa.array([b"a", b"b"])], schema=schema))
        good = buffer.tell()
        writer.write_batch(pa.RecordBatch.from_arrays([pa.array([bytes(10), bytes(10)])], schema=schema))
    data = bytearray(buffer.getvalue())
    place = data.index(b"\0\0\0\0\x0a\0\0\0\x14\0\0\0", good)
    data[place + 4 : place + 8] = (2_000_000_000).to_bytes(4, "little")  # the second begins there
    done = run(bytes(data), "x.arrow", same)
    assert done.broken.startswith("the Arrow file is cut short or broken (")
    assert read(done.file, "x.arrow")["image"].to_pylist() == [b"a", b"b"]


@pytest.mark.parametrize("name", ["label", "path"])
def test_a_column_whose_name_is_no_text(name: str) -> None:
    data = bytearray(arrow(TABLE))
    data[data.index(name.encode()) + 1] = 0xFF
    done = run(bytes(data), "x.arrow", same)
    assert done.broken.startswith("the table file is cut short or broken ('utf-8' codec")
    assert done.file is None

"""How table files are laid out, and what becomes of broken ones."""

import io
import random
from functools import partial
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
import pyarrow.parquet as pq  # noqa: E402

from fastblur.pipeline.shards.interfaces import Item  # noqa: E402
from fastblur.pipeline.shards.table.shard import TableShard  # noqa: E402
from tests.pipeline.shards.table.table_cases import arrow, group_rows, parquet, read, run  # noqa: E402

RANDOM = random.Random(5)
IMAGES = [RANDOM.randbytes(RANDOM.randrange(500, 3000)) for _ in range(40)]
TABLE = pa.table(
    {
        "image": pa.array([{"bytes": data, "path": f"{n}.jpg"} for n, data in enumerate(IMAGES)]),
        "label": pa.array(range(40)),
        "caption": [f"caption {n}" for n in range(40)],
        "kind": pa.array([f"kind {n % 3}" for n in range(40)]).dictionary_encode(),
    }
)
FILES = {
    "x.parquet": partial(parquet, row_group_size=8),
    "plain.parquet": partial(parquet, row_group_size=8, compression="none", use_dictionary=False),
    "checked.parquet": partial(parquet, row_group_size=8, write_page_checksum=True),
    "stream.arrow": partial(arrow, kind="stream", rows=8),
    "file.arrow": partial(arrow, kind="file", rows=8),
    "packed.feather": partial(arrow, kind="file", rows=8, options=pa.ipc.IpcWriteOptions(compression="zstd")),
}


def same(item: Item) -> bytes | None:
    return item.data


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
    monkeypatch.setattr("fastblur.pipeline.shards.table.files.PIECE_BYTES", 10_000)
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


def layout(data: bytes | None) -> list[Any]:
    """Return what pyarrow tells of how a Parquet file is written."""
    assert data is not None
    file = pq.ParquetFile(io.BytesIO(data))
    told: list[Any] = [file.metadata.format_version, str(file.schema).splitlines()[1:]]
    group = file.metadata.row_group(0)
    for leaf in (group.column(number) for number in range(group.num_columns)):
        told.append((leaf.path_in_schema, leaf.physical_type, leaf.compression, leaf.has_dictionary_page))
        told.append(leaf.has_offset_index)
    return told


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "none", "use_dictionary": False},
        {"compression": {"image.bytes": "none", "label": "zstd", "caption": "gzip"}, "use_dictionary": ["caption"]},
        {"compression": "brotli", "version": "2.4"},
        {"compression": "lz4", "version": "1.0"},
        {"store_schema": False},
        {"use_compliant_nested_type": False},
        {"use_deprecated_int96_timestamps": True},
        {"use_deprecated_int96_timestamps": True, "store_schema": False},
        {"write_page_index": True},
    ],
    ids=str,
)
def test_a_parquet_file_keeps_its_layout(options: dict[str, Any]) -> None:
    more = {
        "when": pa.array(range(0, 40_000, 1000), pa.timestamp("ns")),
        "count": pa.array(range(40), pa.uint32()),
        "tags": pa.array([["a"]] * 40),
        "deep": pa.array([[[{"x": n}]] for n in range(40)]),
    }
    table = pa.table({**{name: TABLE[name] for name in TABLE.schema.names}, **more})
    data = parquet(table, row_group_size=8, **options)
    done = run(data, "x.parquet", same)
    assert layout(done.file) == layout(data)
    new, old = read(done.file), read(data)
    assert new.equals(old)
    assert new.schema.equals(old.schema, check_metadata=True)


def test_types_of_other_writers_survive_a_file_that_says_version_1() -> None:
    # Several writers put version 1 into files with types of version 2; written as version 1, ns would become us.
    table = pa.table(
        {"image": [b"x"], "when": pa.array([1_234_567], pa.timestamp("ns")), "n": pa.array([7], pa.uint32())}
    )
    for store in (True, False):
        data = bytearray(parquet(table, store_schema=store))
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        assert data[footer : footer + 2] == b"\x15\x04", "the version is the first field of the footer"
        data[footer + 1] = 2  # zigzag for 1
        assert pq.ParquetFile(io.BytesIO(data)).metadata.format_version == "1.0"
        done = run(bytes(data), "x.parquet", same)
        assert done.broken == ""
        assert read(done.file).equals(table)
        assert pq.ParquetFile(io.BytesIO(done.file or b"")).schema.equals(pq.ParquetFile(io.BytesIO(data)).schema)


def test_field_ids_and_extension_types_are_kept() -> None:
    fields = [
        pa.field("image", pa.binary(), nullable=False, metadata={b"PARQUET:field_id": b"7"}),
        pa.field("tensor", pa.fixed_shape_tensor(pa.float32(), (2, 2))),
        pa.field(
            "mine", pa.int32(), metadata={b"ARROW:extension:name": b"some.one", b"ARROW:extension:metadata": b"x"}
        ),
    ]
    tensor = pa.ExtensionArray.from_storage(fields[1].type, pa.array([[1, 2, 3, 4]] * 4, pa.list_(pa.float32(), 4)))
    columns = [pa.array([b"a", b"b", b"c", b"d"]), tensor, pa.array([1, 2, 3, 4], pa.int32())]
    table = pa.Table.from_arrays(columns, schema=pa.schema(fields, {b"k": b"v"}))
    for name, data in {"x.parquet": parquet(table), "x.arrow": arrow(table), "y.arrow": arrow(table, "file")}.items():
        old = read(data, name)
        done = run(data, name, lambda item: None if item.data == b"b" else item.data)
        assert done.broken == ""
        new = read(done.file, name)
        assert new.schema.equals(old.schema, check_metadata=True)
        assert new.equals(pa.concat_tables([old.slice(0, 1), old.slice(2)]))


def test_types_that_pyarrow_cannot_filter_lose_rows_all_the_same() -> None:
    n = 6
    columns = {
        "image": pa.array([bytes([i]) for i in range(n)]),
        "view": pa.array([f"a string of more than twelve letters {i}" for i in range(n)], pa.string_view()),
        "list_view": pa.array([[i] * i for i in range(n)], pa.list_view(pa.int32())),
        "runs": pa.RunEndEncodedArray.from_arrays([3, 6], ["a", "b"]),
        "union": pa.UnionArray.from_dense(
            pa.array([0, 1] * 3, pa.int8()),
            pa.array([0, 0, 1, 1, 2, 2], pa.int32()),
            [pa.array([1, 2, 3]), pa.array(["x"] * 3)],
        ),
    }
    table = pa.table(columns)
    for kind in ("stream", "file"):
        done = run(arrow(table, kind), "x.arrow", lambda item: None if item.data in (b"\1", b"\4") else item.data)
        new = read(done.file, "x.arrow")
        new.validate(full=True)
        assert new.to_pylist() == [row for row in table.to_pylist() if row["image"] not in (b"\1", b"\4")]
        assert new.schema.equals(table.schema)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_dictionaries_that_change_from_group_to_group(name: str) -> None:
    schema = pa.schema([("image", pa.binary()), ("kind", pa.dictionary(pa.int8(), pa.string(), ordered=True))])
    buffer = io.BytesIO()
    kinds = [["a", "b"], ["c", None], ["b", "a"]]
    with (pq.ParquetWriter if name == "x.parquet" else pa.ipc.new_stream)(buffer, schema) as writer:
        for kind in kinds:
            array = pa.DictionaryArray.from_arrays(
                pa.array([0, None if kind[1] is None else 1], pa.int8()), [each or "z" for each in kind], ordered=True
            )
            writer.write_table(pa.Table.from_arrays([pa.array([b"x", b"y"]), array], schema=schema))
    done = run(buffer.getvalue(), name, same)
    new = read(done.file, name)
    assert new["kind"].to_pylist() == [each for kind in kinds for each in kind]
    assert new.schema.equals(schema)


def test_metadata_of_record_batches_is_kept() -> None:
    schema = pa.schema([("image", pa.binary())])
    for new_file, open_file in ((pa.ipc.new_stream, pa.ipc.open_stream), (pa.ipc.new_file, pa.ipc.open_file)):
        buffer = io.BytesIO()
        with new_file(buffer, schema) as writer:
            batch = pa.RecordBatch.from_arrays([pa.array([b"x"])], schema=schema)
            writer.write_batch(batch, custom_metadata={"a": "b"})
            writer.write_batch(batch)
        done = run(buffer.getvalue(), "x.arrow", same)
        reader = open_file(io.BytesIO(done.file))
        if new_file is pa.ipc.new_file:
            told = [reader.get_batch_with_custom_metadata(number).custom_metadata for number in range(2)]
        else:
            told = [reader.read_next_batch_with_custom_metadata().custom_metadata for _ in range(2)]
        assert [dict(each or {}) for each in told] == [{b"a": b"b"}, {}]


def test_names_with_dots_are_not_parts_of_structs() -> None:
    table = pa.table(
        {
            "image.width": [1, 2],
            "image": pa.array([{"bytes": b"x", "path": "p"}, {"bytes": b"y", "path": "q"}]),
            "a.b": ["one", "two"],
            "a": pa.array([{"c": 1}, {"c": 2}]),
        }
    )
    done = run(parquet(table), "x.parquet", same)
    assert read(done.file).equals(table)


def test_a_large_row_group_is_not_held_whole() -> None:
    piece = RANDOM.randbytes(1 << 20)
    images = [piece[: 250_000 + n] for n in range(400)]
    options = {"compression": "none", "use_dictionary": False, "write_batch_size": 8}
    data = parquet(pa.table({"image": pa.array(images)}), **options)
    assert len(data) > 100_000_000
    assert len(group_rows(data)) == 1
    reads = []

    class Counted(io.BytesIO):
        def read(self, *arguments: Any) -> bytes:
            got = super().read(*arguments)
            reads.append(len(got))
            return got

    before = pa.total_allocated_bytes()
    seen, most = 0, 0
    for batch in TableShard("x.parquet", lambda: Counted(data), "").batches(32):
        most = max(most, pa.total_allocated_bytes() - before)
        assert [item.data for item in batch.items] == images[seen : seen + len(batch.items)]
        seen += len(batch.items)
    assert seen == 400
    assert most < 45_000_000, "a page, and PIECE_BYTES of images"
    assert max(reads) < 5_000_000

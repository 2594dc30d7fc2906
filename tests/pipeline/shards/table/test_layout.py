"""How table files are laid out: types, codecs, dictionaries and metadata stay."""

import io
import random
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
import pyarrow.parquet as pq  # noqa: E402

from fastblur.pipeline.shards.table.shard import TableShard  # noqa: E402
from tests.pipeline.shards.shard_cases import same  # noqa: E402
from tests.pipeline.shards.table.table_cases import TABLE, arrow, group_rows, parquet, read, run  # noqa: E402

RANDOM = random.Random(6)


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

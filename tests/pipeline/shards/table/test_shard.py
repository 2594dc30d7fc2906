"""Tables through a shard and its output: what is new, what is kept, what is left out."""

import datetime
import decimal
import io
import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
import pyarrow.parquet as pq  # noqa: E402

from fastblur.pipeline.shards.interfaces import Item  # noqa: E402
from fastblur.pipeline.shards.table import shard as tables  # noqa: E402
from fastblur.pipeline.shards.table.shard import TableShard, is_table_name  # noqa: E402
from fastblur.pipeline.storage.paths import open_file  # noqa: E402
from tests.pipeline.shards.shard_cases import marked  # noqa: E402
from tests.pipeline.shards.table.table_cases import arrow, group_rows, parquet, read, run  # noqa: E402

ROWS = 23
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FEATURES = {
    "info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}
}

# name: how the file is written, with 5 rows in each row group or record batch
FILES = {
    "a/x.parquet": partial(parquet, row_group_size=5),
    "a/stream.arrow": partial(arrow, kind="stream", rows=5),
    "a/file.arrow": partial(arrow, kind="file", rows=5),
    "x.feather": partial(arrow, kind="file", rows=5, options=pa.ipc.IpcWriteOptions(compression="lz4")),
    "x.IPC": partial(arrow, kind="stream", rows=5),
}
GROUPS = [5, 5, 5, 5, 3]


@pytest.fixture(scope="module")
def photographs(shared: Path) -> list[bytes]:
    paths = sorted((shared / "imagenet-sample" / "train").rglob("*.JPEG"))[:ROWS]
    return [path.read_bytes() for path in paths]


def structs(data: list[bytes | None]) -> Any:
    """Return an image column as Hugging Face writes it."""
    return pa.array([{"bytes": each, "path": f"n01440764/{n}.JPEG"} for n, each in enumerate(data)], IMAGE)


def around(image: Any) -> Any:
    """Return a table with columns of many types around an image column."""
    n = len(image)
    columns = {
        "label": pa.array([None if i % 7 == 3 else i % 2 for i in range(n)], pa.int64()),
        "image": image,
        "caption": pa.array([None if i % 5 == 1 else f"a cätion {i}" for i in range(n)]),
        "kind": pa.array([("cat", "dog", None)[i % 3] for i in range(n)]).dictionary_encode(),
        "time": pa.array([datetime.datetime(2021, 3, 6, 1, 2, 3, i) for i in range(n)], pa.timestamp("us", "UTC")),
        "tags": pa.array([None if i % 6 == 2 else [f"t{j}" for j in range(i % 4)] for i in range(n)]),
        "size": pa.array(
            [{"w": i, "of": {"h": None if i % 4 == 0 else float(i)}} for i in range(n)],
            pa.struct([("w", pa.uint32()), ("of", pa.struct([("h", pa.float32())]))]),
        ),
        "price": pa.array([decimal.Decimal(i) / 4 for i in range(n)], pa.decimal128(9, 2)),
        "text": pa.array([f"large {i}" for i in range(n)], pa.large_string()),
        "vector": pa.array([[i, i + 1, i + 2] for i in range(n)], pa.list_(pa.float32(), 3)),
        "map": pa.array([[("k", i)] for i in range(n)], pa.map_(pa.string(), pa.int32())),
        "half": pa.array([i % 2 == 0 for i in range(n)]),
        "nothing": pa.nulls(n),
        "sha256": pa.array([bytes([i] * 32) for i in range(n)], pa.binary(32)),
        "raw": pa.array([bytes([i]) for i in range(n)], pa.binary()),
    }
    table = pa.table(columns)
    schema = table.schema
    place = schema.get_field_index("label")
    schema = schema.set(place, schema.field(place).with_metadata({b"unit": b"class"}))
    return table.cast(schema.with_metadata({b"huggingface": json.dumps(FEATURES).encode(), b"own": b"\xff\x00"}))


def images(table: Any) -> list[bytes | None]:
    rows = table.column("image").to_pylist()
    return [row["bytes"] if isinstance(row, dict) else row for row in rows]


def assert_kept(new: Any, old: Any) -> None:
    """Assert that all but the images' bytes is the same, types, nulls and metadata included."""
    assert new.schema.equals(old.schema, check_metadata=True)
    assert new.drop_columns(["image"]).equals(old.drop_columns(["image"]), check_metadata=True)
    for column in new.columns:
        column.validate(full=True)
    if pa.types.is_struct(old.schema.field("image").type):
        paths = [[row and row["path"] for row in table["image"].to_pylist()] for table in (new, old)]
        assert paths[0] == paths[1]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 8, 64])
def test_images_are_new_and_all_else_is_kept(photographs: list[bytes], name: str, size: int) -> None:
    data = FILES[name](around(structs(photographs)))
    done = run(data, name, size=size)
    assert done.broken == ""
    assert [item.data for item in done.items] == photographs
    assert [item.name for item in done.items] == [f"{name}/{row}" for row in range(ROWS)]
    assert [item.key for item in done.items] == [f"n01440764/{row}.JPEG" for row in range(ROWS)]
    assert all(len(batch) == size for batch in done.batches[:-1]), "batches are full across row groups"
    new, old = read(done.file, name), read(data, name)
    assert images(new) == [b"new " + each for each in photographs]
    assert_kept(new, old)
    assert group_rows(done.file, name) == group_rows(data, name) == GROUPS


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("type", [pa.binary(), pa.large_binary(), pa.binary_view()], ids=str)
def test_a_plain_binary_column(photographs: list[bytes], name: str, type: Any) -> None:
    data = FILES[name](around(pa.array(photographs, type)))
    done = run(data, name)
    assert [item.key for item in done.items] == [f"{name}/{row}" for row in range(ROWS)]
    new = read(done.file, name)
    assert images(new) == [b"new " + each for each in photographs]
    assert_kept(new, read(data, name))
    assert group_rows(done.file, name) == GROUPS


@pytest.mark.parametrize("name", FILES)
def test_rows_that_fail_are_left_out(photographs: list[bytes], name: str) -> None:
    cells: list[bytes | None] = list(photographs)
    cells[12] = None
    column = structs(cells).to_pylist()
    column[12], column[17] = {"bytes": None, "path": None}, None
    data = FILES[name](around(pa.array(column, IMAGE)))
    failing = {0, 3, 5, 6, 7, 8, 9, 22}  # all of the second group

    def change(item: Item) -> bytes | None:
        return None if int(item.name.rpartition("/")[2]) in failing else marked(item)

    done = run(data, name, change)
    assert not done.problems
    assert {int(item.name.rpartition("/")[2]) for item in done.items} == set(range(ROWS)) - {12, 17}
    kept = [row for row in range(ROWS) if row not in failing]  # 12 and 17 have no image, and stay
    new, old = read(done.file, name), read(data, name)
    assert images(new) == [None if row in (12, 17) else b"new " + photographs[row] for row in kept]
    assert_kept(new, pa.concat_tables([old.slice(row, 1) for row in kept]))
    assert group_rows(done.file, name) == [3, 5, 5, 2]


@pytest.mark.parametrize("name", FILES)
def test_no_row_is_kept(name: str) -> None:
    table = pa.table({"image": structs([b"x"] * 12)})
    done = run(FILES[name](table), name, lambda item: None)
    new = read(done.file, name)
    assert new.schema.equals(table.schema)
    assert group_rows(done.file, name) == []


@pytest.mark.parametrize("name", [*FILES, "one/group.parquet"])
def test_the_bytes_do_not_depend_on_the_batches(
    photographs: list[bytes], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = FILES.get(name, parquet)(around(structs(photographs)))
    for module in ("parquet", "arrow"):  # several pieces in a row group
        monkeypatch.setattr(f"fastblur.pipeline.shards.table.{module}.PIECE_ROWS", 2)

    def change(item: Item) -> bytes | None:
        return None if item.name.endswith("3") else marked(item)

    files = {run(data, name, change, size=size).file for size in (1, 3, 8, 100)}
    (file,) = files
    new, old = read(file, name), read(data, name)
    kept = [row for row in range(ROWS) if row % 10 != 3]
    assert images(new) == [b"new " + photographs[row] for row in kept]
    assert_kept(new, pa.concat_tables([old.slice(row, 1) for row in kept]))


@pytest.mark.parametrize("name", FILES)
def test_a_table_without_rows(name: str) -> None:
    table = around(structs([]))
    data = FILES[name](table)
    done = run(data, name)
    assert done.items == []
    assert_kept(read(done.file, name), read(data, name))
    assert group_rows(done.file, name) == group_rows(data, name)


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_empty_groups_among_others(name: str) -> None:
    buffer = io.BytesIO()
    schema = pa.schema([("image", IMAGE), ("kind", pa.dictionary(pa.int32(), pa.string()))])
    parts = [
        pa.table({"image": structs([b"x"] * n), "kind": pa.array(["k"] * n, pa.string()).dictionary_encode()}, schema)
        for n in (0, 2, 0, 1, 0)
    ]
    if name == "x.parquet":
        with pq.ParquetWriter(buffer, schema) as writer:
            for part in parts:
                writer.write_table(part)
    else:
        with pa.ipc.new_stream(buffer, schema) as writer:
            for part in parts:
                arrays = [column.combine_chunks() for column in part.columns]
                writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    assert group_rows(buffer.getvalue(), name) == [0, 2, 0, 1, 0]
    done = run(buffer.getvalue(), name)
    assert group_rows(done.file, name) == [0, 2, 0, 1, 0]
    assert images(read(done.file, name)) == [b"new x"] * 3


def test_a_parquet_file_without_row_groups() -> None:
    buffer = io.BytesIO()
    table = around(structs([]))
    pq.ParquetWriter(buffer, table.schema).close()
    done = run(buffer.getvalue())
    assert done.file is not None
    assert group_rows(done.file) == []
    assert_kept(read(done.file), read(buffer.getvalue()))


def test_a_batch_holds_no_more_bytes_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH_BYTES", 1000)
    lengths = [400, 400, 400, 5000, 1, 999, 1, 1]
    table = pa.table({"image": pa.array([bytes(length) for length in lengths])})
    done = run(parquet(table), size=6)
    assert [[len(item.data or b"") for item in batch] for batch in done.batches] == [
        [400, 400], [400], [5000], [1, 999], [1, 1]
    ]  # fmt: skip
    assert images(read(done.file)) == [b"new " + bytes(length) for length in lengths]


def test_paths_that_repeat_or_are_empty_or_no_text() -> None:
    paths = pa.array([b"a.jpg", b"a.jpg", b"", None, b"\xff.jpg"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 5, paths.buffers())  # which pyarrow's readers do not check either
    column = pa.StructArray.from_arrays([pa.array([b"x"] * 5), text], fields=list(IMAGE))
    done = run(parquet(pa.table({"image": column})))
    assert [item.key for item in done.items] == ["a.jpg", "a.jpg", "a/0001.parquet/2", "a/0001.parquet/3", "\udcff.jpg"]
    new = read(done.file).column("image").combine_chunks()
    assert new.field("path").cast(pa.binary()).to_pylist() == [b"a.jpg", b"a.jpg", b"", None, b"\xff.jpg"]


def test_boxes_come_with_the_rows(photographs: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastblur.pipeline.shards.table.parquet.PIECE_ROWS", 3)  # several pieces in a row group
    rows = [[[0.1, 0.2, 0.5, 0.75], [0.0, 0.0, 1.0, 1.0]], [], None, [[0.1, float("nan"), 0.5, 0.6]], [[0.1, 0.2, 0.3]]]
    rows += [
        [[0.1, 0.2, 0.3, float("inf")]],
        [[0.1, 0.2, 0.3, -1e300]],
        [[0.1, 0.2, None, 0.4]],
        [None],
        [[0, 0.5, 1, 1]],
    ]
    table = pa.table({"jpg": photographs[: len(rows)], "boxes": pa.array(rows, pa.list_(pa.list_(pa.float64())))})
    for size in (3, 100):
        done = run(parquet(table, row_group_size=4), size=size, boxes="boxes", box_format="xyxyn")
        problems = {int(item.name.rpartition("/")[2]): item.problem for item in done.items if item.problem}
        assert problems.keys() == {2, 3, 4, 5, 6, 7, 8}
        assert problems.pop(2) == "the row has no boxes"
        assert all("expected four finite numbers" in (problem or "") for problem in problems.values())
        given = {row: done.items[row].boxes for row in (0, 1, 9)}
        assert all(done.items[row].relative for row in given)
        for row, boxes in given.items():
            assert boxes is not None
            assert boxes.dtype == np.float32
            assert np.array_equal(boxes, np.array(rows[row], np.float32).reshape(-1, 4))
        new = read(done.file)
        assert new["jpg"].to_pylist() == [b"new " + photographs[row] for row in given]
        assert new["boxes"].to_pylist() == [rows[row] for row in given]


def test_boxes_that_are_not_asked_for_are_a_column_like_any_other() -> None:
    table = pa.table({"jpg": [b"x"], "boxes": [[[0.1, 0.2, 0.3, 0.4]]]})
    (item,) = run(parquet(table)).items
    assert item.boxes is None
    assert not item.relative


def test_names_of_tables() -> None:
    assert all(map(is_table_name, ["a/b.parquet", "b.ARROW", "x.feather", "x.ipc"]))
    assert not any(map(is_table_name, ["a.tar", "parquet", "a.parquet.gz", "b.jpg", "arrow/b.csv"]))


def test_a_shard_is_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet(pa.table({"image": [b"x", b"y"]})))
    shard = TableShard("x.parquet", partial(open_file, str(path)), "17 3")
    assert shard.name == "x.parquet"
    assert shard.fingerprint() == "17 3"
    again = pickle.loads(pickle.dumps(shard))  # as it goes to other processes
    assert [item.data for batch in again.batches(8) for item in batch.items] == [b"x", b"y"]
    path.unlink()
    with pytest.raises(FileNotFoundError):
        next(shard.batches(8))

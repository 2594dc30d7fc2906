"""Image columns of every type: several in a table, lists, dictionaries, fixed sizes, empty cells."""

import io
from functools import partial
from typing import Any

import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from fastblur.pipeline.shards.interfaces import Item  # noqa: E402
from fastblur.pipeline.shards.table.cells import split_cells  # noqa: E402
from fastblur.pipeline.shards.table.shard import TableShard  # noqa: E402
from tests.pipeline.shards.shard_cases import marked, run_shard, same  # noqa: E402
from tests.pipeline.shards.table.table_cases import arrow, group_rows, parquet, read, run  # noqa: E402

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FILES = {
    "x.parquet": partial(parquet, row_group_size=3),
    "stream.arrow": partial(arrow, kind="stream", rows=3),
    "file.arrow": partial(arrow, kind="file", rows=3),
}


def image(number: int, path: str | None = None) -> dict[str, Any]:
    return {"bytes": b"image %d" % number, "path": path}


VALUES: dict[str, Any] = {
    "binary": pa.array([b"0", None, b"1", b"", b"2"]),
    "view": pa.array([b"0", None, b"1", b"2 that is longer than the others", b"3"], pa.binary_view()),
    "structs": pa.array([image(0, "a"), None, {"bytes": None, "path": ""}, image(1), image(2, "b")], IMAGE),
    "lists": pa.array([[b"0", b"1"], None, [], [b"2", None, b"3"], [b"4"]], pa.list_(pa.binary())),
    "large lists": pa.array([[b"0"], [], None, [b"1", b"2"], [None]], pa.large_list(pa.large_binary())),
    "lists of structs": pa.array([[image(0, "a"), None], [], None, [image(1)], [image(2), image(3)]], pa.list_(IMAGE)),
    "lists of a size": pa.array([[b"0", b"1"], None, [b"2", None], [b"3", b"4"], [None] * 2], pa.list_(pa.binary(), 2)),
    "lists of lists": pa.array(
        [[[b"0"], [b"1", b"2"]], [], None, [[], None, [b"3"]], [[b"4"]]], pa.list_(pa.list_(pa.binary()))
    ),
    "dictionary": pa.array([b"0", b"1", None, b"0", b"1"], pa.dictionary(pa.int8(), pa.binary())),
}  # fmt: skip


def changed(value: Any) -> Any:
    """Return a cell with new images."""
    if isinstance(value, list):
        return [changed(each) for each in value]
    if isinstance(value, dict):
        return {**value, "bytes": changed(value["bytes"])}
    return None if value is None else b"new " + value


@pytest.mark.parametrize("kind", VALUES)
def test_cells_are_taken_apart_and_put_together(kind: str) -> None:
    array = VALUES[kind]
    for part in (array, array[1:], array[2:4], array[:0]):
        cells = split_cells(part)
        assert len(cells.counts) == len(part)
        assert cells.rebuild(list(cells.data)).to_pylist() == part.to_pylist()
        new = cells.rebuild([None if data is None else b"new " + data for data in cells.data])
        new.validate(full=True)
        assert new.type == array.type
        assert new.to_pylist() == changed(part.to_pylist())


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_tables_with_such_a_column(kind: str, name: str, size: int) -> None:
    table = pa.table({"label": range(5), "image": VALUES[kind]})
    data = FILES[name](table)
    done = run(data, name, size=size) if size > 4 else run_any_size(data, name, size)
    if kind == "dictionary" and name == "file.arrow":
        assert "is a dictionary, expected a stream" in done.broken
        return
    new = read(done.file, name)
    assert new.schema.equals(read(data, name).schema)
    assert new["image"].to_pylist() == changed(table["image"].to_pylist())
    assert new["label"].to_pylist() == list(range(5))
    assert group_rows(done.file, name) == [3, 2]
    assert read(run(data, name, same, size=100).file, name).equals(read(data, name))


def run_any_size(data: bytes, name: str, size: int) -> Any:
    """Take a table through its output; the images of a row stay together, also where that is more than the size."""
    return run_shard(TableShard(name, lambda: io.BytesIO(data), ""), marked, size)


def test_names_and_keys_say_column_and_place() -> None:
    table = pa.table({"image": VALUES["structs"], "views": VALUES["lists of structs"], "image_bytes": VALUES["binary"]})
    done = run(parquet(table), "x.parquet", size=100)
    assert {item.name: item.key for item in done.items} == {
        "x.parquet/0/image": "a", "x.parquet/0/views/0": "a", "x.parquet/0/image_bytes": "x.parquet/0/image_bytes",
        "x.parquet/2/image_bytes": "x.parquet/2/image_bytes",
        "x.parquet/3/image": "x.parquet/3/image", "x.parquet/3/views/0": "x.parquet/3/views/0",
        "x.parquet/3/image_bytes": "x.parquet/3/image_bytes",
        "x.parquet/4/image": "b", "x.parquet/4/views/0": "x.parquet/4/views/0",
        "x.parquet/4/views/1": "x.parquet/4/views/1", "x.parquet/4/image_bytes": "x.parquet/4/image_bytes",
    }  # fmt: skip
    for name in table.column_names:
        assert read(done.file)[name].to_pylist() == changed(table[name].to_pylist())


def test_a_row_is_left_out_whole() -> None:
    table = pa.table({"image": [b"0", b"1", b"2"], "views": pa.array([[b"3", b"4"], [b"5"], []])})

    def change(item: Item) -> bytes | None:
        return None if item.data == b"4" else marked(item)

    done = run_refusing(parquet(table), change)
    assert [changed(list(row.values())) for row in table.to_pylist()[1:]] == [
        list(row.values()) for row in read(done.file).to_pylist()
    ]
    assert done.refused == dict.fromkeys(
        ("x.parquet/0/image", "x.parquet/0/views/0"), "its row is left out because 'x.parquet/0/views/1' failed"
    )


def run_refusing(data: bytes, change: Any = marked, **options: Any) -> Any:
    options = {"columns": ("image", "views"), **options}
    return run_shard(TableShard("x.parquet", lambda: io.BytesIO(data), "", **options), change, 3)


def test_rows_without_an_image_are_kept() -> None:
    cells = [image(0), None, {"bytes": None, "path": None}, image(1)]
    table = pa.table({"image": pa.array(cells, IMAGE), "label": range(4)})
    for change, kept in ((marked, [0, 1, 2, 3]), (lambda item: None, [1, 2])):
        done = run(parquet(table), change=change)
        assert read(done.file)["label"].to_pylist() == kept
        assert read(done.file)["image"].to_pylist() == changed([cells[row] for row in kept])
    only = pa.table({"image": pa.array([None] * 5, IMAGE), "label": range(5)})
    assert read(run(parquet(only, row_group_size=2)).file).equals(only)


class TestFixedSize:
    """A column whose values all have so many bytes."""

    TABLE = pa.table({"image": pa.array([b"12345678", b"abcdefgh", None], pa.binary(8)), "label": range(3)})

    def test_shorter_images_are_filled_up(self) -> None:
        done = run(parquet(self.TABLE), change=lambda item: (item.data or b"")[:5])
        assert read(done.file).to_pylist() == [
            {"image": b"12345\0\0\0", "label": 0}, {"image": b"abcde\0\0\0", "label": 1}, {"image": None, "label": 2},
        ]  # fmt: skip

    def test_longer_ones_fail(self) -> None:
        done = run_refusing(
            parquet(self.TABLE),
            lambda item: (item.data or b"") * (2 if item.data == b"abcdefgh" else 1),
            columns=("image",),
        )
        assert done.refused == {"x.parquet/1": "write: a new image has 16 bytes, the column 'image' takes 8"}
        assert read(done.file)["label"].to_pylist() == [0, 2]

"""Columns that are not searched: what may hold images in them does not pass, unless the user says so."""

import base64
import io
from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from fastblur.pipeline.shards.table.columns import unsearched_rows  # noqa: E402
from fastblur.pipeline.shards.table.shard import TableShard  # noqa: E402
from tests.pipeline.shards.shard_cases import Done, run_shard  # noqa: E402
from tests.pipeline.shards.table.table_cases import arrow, parquet, read  # noqa: E402

JPEG = b"\xff\xd8\xff\xe0 a JPEG" + bytes(99)
PIXELS = np.random.default_rng(2).integers(0, 255, (9, 8, 3), np.uint8)
HOLDING: dict[str, tuple[Any, str]] = {
    "an image": (pa.array([b"text", JPEG]), "an image"),
    "an archive": (pa.array([b"text", b"PK\x03\x04" + bytes(99)]), "a ZIP archive"),
    "raw pixels": (pa.array([b"", PIXELS.tobytes()]), "of a kind that is not known"),
    "a dictionary": (pa.array([b"text", JPEG]).dictionary_encode(), "an image"),
    "a list": (pa.array([[], [b"x", JPEG]]), "an image"),
    "a struct": (pa.array([{"bytes": b"x", "n": 1}, {"bytes": JPEG, "n": 1}]), "an image"),
    "another struct": (pa.array([None, {"of": {"thumbnail": JPEG}}]), "an image"),
    "a map": (pa.array([[], [("a", JPEG)]], pa.map_(pa.string(), pa.binary())), "an image"),
    "base64": (pa.array(["text", base64.b64encode(JPEG).decode()]), "text with an image in it"),
    "a data URL": (pa.array([None, "data:image/png;base64,xyz"], pa.string_view()), "text with an image in it"),
    "texts in lists": (pa.array([["a"], ["b", base64.b64encode(JPEG).decode()]]), "text with an image in it"),
    "lists of bytes": (pa.array([[], PIXELS.ravel().tolist()], pa.list_(pa.uint8())), "a list of numbers that may be"),
    "lists of rows": (pa.array([None, PIXELS.tolist()], pa.list_(pa.list_(pa.list_(pa.int32())))), "a list of numbers"),
}
PLAIN: dict[str, Any] = {
    "numbers": pa.array([1, 2]),
    "texts": pa.array(["a caption", None]),
    "hashes": pa.array([bytes(range(32)), bytes(range(100, 132))], pa.binary(32)),
    "text as bytes": pa.array([b"a caption", b'{"json": 1}']),
    "boxes": pa.array([[[1.0, 2.0, 3.0, 4.0]] * 30, []]),
    "a vector": pa.array([[0.5] * 512] * 2, pa.list_(pa.float32(), 512)),
    "tokens": pa.array([[7] * 512, []], pa.list_(pa.int64())),
    "few bytes": pa.array([[1, 2, 3], []], pa.list_(pa.uint8())),
    "tags": pa.array([["cat", "dog"], None]),
    "nothing": pa.nulls(2),
}


@pytest.mark.parametrize(("array", "kind"), HOLDING.values(), ids=HOLDING)
def test_what_may_hold_images(array: Any, kind: str) -> None:
    found = unsearched_rows(array)
    assert list(found) == [1]
    assert found[1].startswith(kind)
    assert unsearched_rows(array[:1]) == {}


@pytest.mark.parametrize("array", PLAIN.values(), ids=PLAIN)
def test_what_holds_none(array: Any) -> None:
    assert unsearched_rows(array) == {}


def run(data: bytes, name: str = "x.parquet", **options: Any) -> Done:
    shard = TableShard(name, lambda: io.BytesIO(data), "", columns=("image",), **options)
    return run_shard(shard, lambda item: None if item.problem is not None else b"new " + (item.data or b""))


TABLE = pa.table({"image": [b"0", b"1", None, b"3"], "other": [b"", JPEG, JPEG, b"text"], "label": range(4)})


@pytest.mark.parametrize("name", ["x.parquet", "x.arrow"])
def test_by_default_the_row_fails(name: str) -> None:
    done = run(parquet(TABLE) if name == "x.parquet" else arrow(TABLE), name)
    assert read(done.file, name)["label"].to_pylist() == [0, 3]
    reason = (
        "its column 'other' is an image, which is not searched, expected --others copy or skip to go on without that"
    )
    assert done.problems == {f"{name}/1": reason, f"{name}/2/other": reason}


def test_it_is_copied() -> None:
    done = run(parquet(TABLE), others="copy")
    assert not done.problems
    assert read(done.file).to_pylist() == [
        {**row, "image": row["image"] and b"new " + row["image"]} for row in TABLE.to_pylist()
    ]


@pytest.mark.parametrize("pieces", [1, 3, 256])
def test_or_the_cell_is_emptied(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("parquet", "arrow"):
        monkeypatch.setattr(f"fastblur.pipeline.shards.table.{module}.PIECE_ROWS", pieces)
    for name, data in {"x.parquet": parquet(TABLE), "x.arrow": arrow(TABLE)}.items():
        done = run(data, name, others="skip")
        assert not done.problems
        assert read(done.file, name)["other"].to_pylist() == [b"", None, None, b"text"]
        assert read(done.file, name)["label"].to_pylist() == [0, 1, 2, 3]


def test_a_column_that_must_not_be_empty_is_not_emptied() -> None:
    schema = TABLE.schema.set(1, pa.field("other", pa.binary(), nullable=False))
    done = run(parquet(TABLE.cast(schema)), others="skip")
    assert "the column 'other' must not be emptied" in done.broken


def test_a_column_that_shows_images_late_does_not_pass() -> None:
    rows = 100  # more than are looked at to find the image columns
    table = pa.table({"image": [b"x"] * rows, "content": [b"text"] * (rows - 1) + [JPEG]})
    data = parquet(table)
    shard = TableShard("x.parquet", lambda: io.BytesIO(data), "")
    done = run_shard(shard, lambda item: None if item.problem else b"new x")
    assert list(done.problems) == [f"x.parquet/{rows - 1}"]
    assert JPEG not in read(done.file)["content"].to_pylist()


def test_a_column_of_boxes_is_for_one_image() -> None:
    table = pa.table({"image": [b"x"], "views": [[b"y"]], "boxes": pa.array([[[0.1, 0.1, 0.2, 0.2]]])})
    data = parquet(table)
    for columns in (("image", "views"), ("views",)):
        shard = TableShard("x.parquet", lambda: io.BytesIO(data), "", columns=columns, boxes="boxes")
        done = run_shard(shard)
        assert "the boxes column 'boxes' is for one image a row" in done.broken
        assert done.file is None

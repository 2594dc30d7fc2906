"""Which column of a table has the images, and which one boxes."""

from typing import Any

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
from fastblur.pipeline.shards.table.columns import NAMES, check_box_column, image_columns  # noqa: E402
from tests.pipeline.shards.table.table_cases import parquet, read, run  # noqa: E402

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
LARGE = pa.struct([("path", pa.large_string()), ("bytes", pa.large_binary())])


LISTS = [pa.list_(IMAGE), pa.large_list(pa.binary()), pa.list_(pa.binary(), 2), pa.list_(pa.list_(IMAGE))]


def columns_of(schema: Any, *given: str, **first: Any) -> list[str]:
    """Return the image columns of a table, of which some columns begin with these arrays."""
    return image_columns(schema, given, lambda names: ((name, first[name]) for name in names if name in first))


@pytest.mark.parametrize("name", [*sorted(NAMES), "JPG", "Image", "images"])
@pytest.mark.parametrize(
    "type",
    [
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.binary(99),
        pa.dictionary(pa.int8(), pa.binary()),
        *LISTS[1:3],
    ],
    ids=str,
)
def test_a_binary_column_is_found_by_its_name(name: str, type: Any) -> None:
    schema = pa.schema([("label", pa.int64()), ("hash", pa.binary()), (name, type), ("img_path", pa.string())])
    assert columns_of(schema) == [name]


@pytest.mark.parametrize("type", [IMAGE, LARGE, *LISTS[::3]], ids=str)
def test_a_struct_is_found_by_its_fields(type: Any) -> None:
    assert columns_of(pa.schema([("label", pa.int64()), ("anything", type)])) == ["anything"]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([None, b"\xff\xd8\xff\xe0 a JPEG"]),
        pa.array([b"text", b"GIF89a"], pa.large_binary()),
        pa.array([[], [b"\x89PNG\r\n\x1a\n"]]),
        pa.array([b"x", b"\x89PNG\r\n\x1a\n"]).dictionary_encode(),
        pa.array([{"bytes": b"\xff\xd8\xff\xe0", "n": 1}]),
    ],
    ids=lambda array: str(array.type),
)
def test_a_column_is_found_by_what_it_holds(array: Any) -> None:
    schema = pa.schema([("image", pa.binary()), ("thumbnail", array.type), ("hash", pa.binary())])
    assert columns_of(schema, thumbnail=array, hash=pa.array([b"no image"])) == ["image", "thumbnail"]
    assert columns_of(schema, thumbnail=array[:1][:0]) == ["image"]


def test_all_that_look_like_images_are_searched() -> None:
    schema = pa.schema([("jpg", pa.binary()), ("label", pa.int64()), ("views", LISTS[0]), ("image", IMAGE)])
    assert columns_of(schema) == ["jpg", "views", "image"]


@pytest.mark.parametrize(
    "columns", [[("label", pa.int64()), ("content", pa.binary())], [("image", pa.string())], []], ids=str
)
def test_none_is_refused(columns: list[Any]) -> None:
    with pytest.raises(ValueError, match="no column looks like images") as caught:
        columns_of(pa.schema(columns))
    assert "--image-column" in str(caught.value)
    assert all(repr(name) in str(caught.value) for name, _ in columns)


@pytest.mark.parametrize(
    "type", [pa.binary(), pa.large_binary(), IMAGE, LARGE, pa.struct([("bytes", pa.binary())]), *LISTS], ids=str
)
def test_columns_are_taken_by_their_names(type: Any) -> None:
    schema = pa.schema([("image", IMAGE), ("thumbnail", type)])
    assert columns_of(schema, "thumbnail") == ["thumbnail"]
    assert columns_of(schema, "thumbnail", "image") == ["image", "thumbnail"], "in the order of the table"


def test_a_column_given_wrong_is_refused() -> None:
    schema = pa.schema([("image", IMAGE), ("label", pa.int64())])
    with pytest.raises(ValueError, match=r"no column is called 'jpg'.*'image'.*'label'.*--image-column"):
        columns_of(schema, "image", "jpg")
    with pytest.raises(ValueError, match="'label' is of the type int64, expected binary"):
        columns_of(schema, "label")


@pytest.mark.parametrize("column", ["jpg", "label"])
def test_a_table_with_no_such_column_makes_no_file(column: str) -> None:
    done = run(parquet(pa.table({"image": [b"x"], "label": [1]})), columns=(column,))
    assert repr(column) in done.broken
    assert done.items == []
    assert done.file is None


def test_a_struct_without_paths_and_with_more() -> None:
    for fields in (
        {"bytes": b"x"},
        {"bytes": b"x", "path": "p", "n": 1},
        {"n": [1], "bytes": b"x", "path": b"no text"},
    ):
        table = pa.table({"anything": pa.array([fields])})
        done = run(parquet(table), columns=("anything",))
        assert done.items[0].key == ("p" if fields.get("path") == "p" else "a/0001.parquet/0")
        assert done.file is not None
        assert read(done.file)["anything"].to_pylist() == [{**fields, "bytes": b"new x"}]


BOXES = [
    pa.list_(pa.list_(pa.float64())),
    pa.large_list(pa.list_(pa.float32())),
    pa.list_(pa.list_(pa.float32(), 4)),
    pa.list_(pa.list_(pa.float16())),
    pa.list_view(pa.list_(pa.float32())),
    pa.list_(pa.null()),
    pa.list_(pa.list_(pa.null())),
    pa.null(),
]
NO_BOXES = [
    pa.list_(pa.float32()),
    pa.list_(pa.list_(pa.bool_())),
    pa.list_(pa.list_(pa.list_(pa.float32()))),
    pa.float32(),
    pa.string(),
    pa.list_(pa.struct([("x0", pa.float32())])),
]


@pytest.mark.parametrize("type", BOXES, ids=str)
def test_a_column_of_boxes(type: Any) -> None:
    check_box_column(pa.schema([("image", IMAGE), ("boxes", type)]), "boxes")


@pytest.mark.parametrize("type", NO_BOXES, ids=str)
def test_a_column_of_something_else(type: Any) -> None:
    with pytest.raises(ValueError, match=r"the boxes column 'boxes' is of the type .*expected list<list<double>>"):
        check_box_column(pa.schema([("image", IMAGE), ("boxes", type)]), "boxes")


def test_a_column_of_boxes_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no column is called 'faces', expected one of image, boxes"):
        check_box_column(pa.schema([("image", IMAGE), ("boxes", BOXES[0])]), "faces")


@pytest.mark.parametrize("type", BOXES[:5], ids=str)
def test_boxes_of_every_type_are_read(type: Any) -> None:
    number = np.float16 if "halffloat" in str(type) else float  # which older pyarrows want
    rows = [[[number(0.25), number(0.5), number(0.75), number(1.0)]], [], None]
    table = pa.table({"image": [b"x", b"y", b"z"], "boxes": pa.array(rows, type)})
    items = run(parquet(table), boxes="boxes", box_format="xyxyn").items
    assert [None if item.boxes is None else item.boxes.tolist() for item in items] == rows
    assert [item.relative for item in items] == [True, True, False]
    assert [item.problem for item in items] == [None, None, "the row has no boxes"]


@pytest.mark.parametrize("type", [pa.int32(), pa.uint16(), pa.int64(), pa.float32()], ids=str)
def test_boxes_of_every_format_and_of_whole_numbers_are_read(type: Any) -> None:
    corners = [[10.0, 20.0, 40.0, 60.0]]
    for format, row in (("xyxy", [10, 20, 40, 60]), ("xywh", [10, 20, 30, 40]), ("cxcywh", [25, 40, 30, 40])):
        column = pa.array([[row], []], pa.list_(pa.list_(type)))
        table = pa.table({"image": [b"x", b"y"], "boxes": column})
        first, second = run(parquet(table), boxes="boxes", box_format=format).items
        assert first.boxes is not None
        assert (first.boxes.tolist(), first.relative) == (corners, False)
        assert second.boxes is not None
        assert len(second.boxes) == 0
    reversed_ = pa.table({"image": [b"x"], "boxes": pa.array([[[40, 60, -30, -40]]], pa.list_(pa.list_(pa.int64())))})
    (item,) = run(parquet(reversed_), boxes="boxes", box_format="xywh").items
    assert "expected a width and height of 0 or more" in str(item.problem)


@pytest.mark.parametrize("others", ["fail", "skip", "copy"])
def test_a_row_with_a_path_in_place_of_bytes_is_kept_without_the_path(others: str) -> None:
    """As Hugging Face's datasets refer to files: whoever loads the table would be shown the picture there."""
    cells = [{"bytes": b"x", "path": "x.jpg"}, {"bytes": None, "path": "/data/y.jpg"}, {"bytes": None, "path": None}]
    for column in (cells, [[cell] for cell in cells]):
        done = run(parquet(pa.table({"image": column, "label": [0, 1, 2]})), columns=("image",), others=others)
        assert done.file is not None
        table = read(done.file)
        assert table["label"].to_pylist() == [0, 1, 2]
        assert len(done.items) == 1
        found = [cell[0] if isinstance(cell, list) else cell for cell in table["image"].to_pylist()]
        assert found[0]["path"] == "x.jpg"
        assert found[1:] == (cells[1:] if others == "copy" else [cells[2]] * 2)


def test_lists_that_are_all_empty_say_that_there_are_no_faces() -> None:
    table = pa.table({"image": [b"x", b"y"], "boxes": pa.array([[], None], pa.list_(pa.null()))})
    items = run(parquet(table), boxes="boxes").items
    assert items[0].boxes is not None
    assert items[0].boxes.shape == (0, 4)
    assert items[1].problem == "the row has no boxes"


NUMBERS = pa.list_(pa.list_(pa.float64()))
STRUCTS = [
    pa.struct([("bbox", NUMBERS), ("category", pa.list_(pa.int64()))]),
    pa.struct([("boxes", pa.large_list(pa.list_(pa.float32(), 4)))]),
    pa.list_(pa.struct([("bbox", pa.list_(pa.int64())), ("category_id", pa.int64())])),
]


@pytest.mark.parametrize("type", STRUCTS)
def test_a_column_of_structs_with_boxes(type: Any) -> None:
    check_box_column(pa.schema([("image", IMAGE), ("boxes", type)]), "boxes")


@pytest.mark.parametrize(
    "type",
    [
        pa.struct([("x", NUMBERS)]),
        pa.struct([("bbox", pa.list_(pa.float64()))]),
        pa.list_(pa.struct([("bbox", pa.string())])),
        pa.list_(pa.struct([("bbox", NUMBERS)])),
    ],
)
def test_a_column_of_other_structs(type: Any) -> None:
    with pytest.raises(ValueError, match=r"expected list<list<double>> with four numbers a box, or structs with those"):
        check_box_column(pa.schema([("image", IMAGE), ("boxes", type)]), "boxes")


CORNERS = [[10.0, 20.0, 40.0, 60.0]]
COCO = {"bbox": [[10.0, 20, 30, 40]], "category": [1]}
WIDER = {"bbox": [[10.0, 20, 30, 40]], "blur": [1]}


@pytest.mark.parametrize(
    ("rows", "format"),
    [
        ([COCO, {"bbox": [], "category": []}], None),
        ([COCO, {"bbox": [], "category": []}], "xywh"),
        ([WIDER, {"bbox": [], "blur": []}], "xywh"),
        ([{"boxes": CORNERS}, {"boxes": []}], None),
        ([[{"bbox": [10, 20, 30, 40], "category_id": 1}], []], None),
    ],
)
def test_structs_with_boxes_are_read(rows: list[Any], format: Any) -> None:
    first, second = run(parquet(pa.table({"image": [b"x", b"y"], "f": rows})), boxes="f", box_format=format).items
    assert (first.problem, first.boxes.tolist(), first.relative) == (None, CORNERS, False)
    assert (second.problem, second.boxes.tolist()) == (None, [])


@pytest.mark.parametrize(
    ("row", "format", "problem"),
    [
        (WIDER, None, "does not say whether its bbox has corners or a width and height"),
        (COCO, "xyxy", "the row has boxes in the format 'xywh', and box_format is 'xyxy'"),
        ({"bbox": None, "category": [1]}, None, "the row has no boxes"),
        ({"bbox": [[1.0, 2, None, 4]], "category": [1]}, None, "expected four finite numbers"),
    ],
)
def test_structs_that_do_not_fit_fail_their_row(row: Any, format: Any, problem: str) -> None:
    rows = [{**row, "bbox": [[1.0, 2, 3, 4]]}, row]
    *_, last = run(parquet(pa.table({"image": [b"x", b"y"], "f": rows})), boxes="f", box_format=format).items
    assert last.boxes is None
    assert problem in str(last.problem)


def test_a_picture_next_to_the_boxes_in_a_struct_fails_its_row() -> None:
    rows = [{**COCO, "crop": [b"\xff\xd8\xff\xe0" + bytes(100)]}, {**COCO, "crop": []}]
    first, second = run(parquet(pa.table({"image": [b"x", b"y"], "f": rows})), boxes="f").items
    assert "its column 'f' is an image, which is not searched" in str(first.problem)
    assert second.boxes.tolist() == CORNERS

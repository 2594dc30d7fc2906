"""Box files as people have them: blank lines, numbers written as 7.0, sizes of 0, names twice, categories."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastblur.annotations.coco import read_coco
from fastblur.annotations.readers import is_detections, read_detections

CATEGORIES = [{"id": 1, "name": "person"}, {"id": 2.0, "name": "face"}, {"id": 3, "name": "face of a dog"}]


def annotation(image: object, left: float, category: object = 2) -> dict[str, Any]:
    return {"image_id": image, "bbox": [left, 0, 2, 4], "category_id": category}


def coco(folder: Path, **change: Any) -> Path:
    content = {
        "categories": CATEGORIES,
        "images": [{"id": 7, "file_name": "a.jpg"}, {"id": "x", "file_name": "b.jpg"}],
        "annotations": [annotation(7, 1), annotation(7, 5, 1), annotation("x", 9, 3)],
    }
    path = folder / "boxes.json"
    path.write_text(json.dumps(content | change))
    return path


def lefts(path: Path, *categories: str) -> dict[str, list[float]]:
    """Return the left sides of each image's boxes."""
    return {key: boxes[:, 0].tolist() for key, boxes, _ in read_coco(path, categories)}


@pytest.mark.parametrize("end", ["\n", "\n\n", "\n \n\t\n", "\r\n\r\n", ""])
def test_blank_lines_are_passed(tmp_path: Path, end: str) -> None:
    path = tmp_path / "boxes.jsonl"
    path.write_text('\n{"path": "a.jpg", "boxes": [[1, 2, 3, 4]]}\n\n{"path": "b.jpg", "boxes": []}' + end)
    read = [(key, None if boxes is None else boxes.tolist()) for key, boxes, _ in read_detections(path)]
    assert read == [("a.jpg", [[1, 2, 3, 4]]), ("b.jpg", [])]


def test_whole_numbers_may_be_written_as_floats(tmp_path: Path) -> None:
    images = [{"id": 7.0, "file_name": "a.jpg", "width": 500.0, "height": 375}]
    path = coco(tmp_path, images=images, annotations=[annotation(7, 1), annotation(7.0, 5)])
    ((key, boxes, size),) = read_coco(path)
    assert (key, boxes[:, 0].tolist(), size) == ("a.jpg", [1, 5], (500, 375))
    assert all(type(side) is int for side in size or ())


@pytest.mark.parametrize("value", [7.5, True, None, [7], 1e400])
@pytest.mark.parametrize("place", ["id", "image_id", "category_id"])
def test_what_is_no_id_is_refused(tmp_path: Path, place: str, value: object) -> None:
    images = [{"id": value if place == "id" else 7, "file_name": "a.jpg"}]
    path = coco(tmp_path, images=images, annotations=[annotation(7, 1) | ({place: value} if place != "id" else {})])
    with pytest.raises(ValueError, match=rf"boxes\.json has the {place} .*, expected a whole number or a text"):
        list(read_coco(path, ("face",)))


@pytest.mark.parametrize(("width", "height"), [(0, 0), (0.0, 0.0), (None, 3), (3, None)])
def test_a_size_of_0_is_none(tmp_path: Path, width: object, height: object) -> None:
    images = [{"id": 7, "file_name": "a.jpg", "width": width, "height": height}]
    path = coco(tmp_path, images=images, annotations=[annotation(7, 1)])
    assert [size for _, _, size in read_coco(path)] == [None]


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0.0), (-3, 4), (4.5, 4), ("5", 5), (True, 1), (2**31, 1)])
def test_what_is_no_size_is_refused(tmp_path: Path, width: object, height: object) -> None:
    path = coco(tmp_path, images=[{"id": 7, "file_name": "a.jpg", "width": width, "height": height}])
    with pytest.raises(ValueError, match=r"entry 0 of 'images' .* has the width .*, expected pixels"):
        list(read_coco(path))


@pytest.mark.parametrize("name", ["annotations", "images", "info"])
def test_a_list_that_comes_twice_is_refused(tmp_path: Path, name: str) -> None:
    path = coco(tmp_path)
    path.write_text(path.read_text()[:-1] + f', "info": 1, "{name}": []}}')
    with pytest.raises(ValueError, match=f"the name {name!r} comes twice"):
        list(read_coco(path))


class TestCategories:
    """Of COCO's categories, those that are asked for."""

    @pytest.mark.parametrize(
        ("categories", "expected"),
        [
            ((), {"a.jpg": [1, 5], "b.jpg": [9]}),
            (("face",), {"a.jpg": [1], "b.jpg": []}),
            (("2",), {"a.jpg": [1], "b.jpg": []}),
            (("face", "person"), {"a.jpg": [1, 5], "b.jpg": []}),
            (("face of a dog",), {"a.jpg": [], "b.jpg": [9]}),
        ],
    )
    def test_by_name_or_id(self, tmp_path: Path, categories: tuple[str, ...], expected: dict[str, list[float]]) -> None:
        assert lefts(coco(tmp_path), *categories) == expected

    def test_the_list_of_categories_may_come_last(self, tmp_path: Path) -> None:
        path = coco(tmp_path)
        content = json.loads(path.read_text())
        path.write_text(json.dumps({name: content[name] for name in ("annotations", "images", "categories")}))
        assert lefts(path, "face") == {"a.jpg": [1], "b.jpg": []}

    @pytest.mark.parametrize("category", ["Face", "4", "", "fac"])
    def test_one_that_is_not_there_is_refused(self, tmp_path: Path, category: str) -> None:
        with pytest.raises(ValueError, match=rf"has no category {category!r}, expected one of 'person', 'face', "):
            list(read_coco(coco(tmp_path), ("face", category)))

    def test_a_file_without_categories(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="has no category 'face', expected one of none"):
            list(read_coco(coco(tmp_path, categories=[]), ("face",)))
        path = coco(tmp_path, annotations=[{"image_id": 7, "bbox": [1, 0, 2, 4]}])
        assert lefts(path) == {"a.jpg": [1], "b.jpg": []}
        with pytest.raises(ValueError, match='expected a "category_id", which was asked for'):
            list(read_coco(path, ("face",)))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.jsonl", "anything", True),
        ("x.JSONL", "", True),
        ("pipe", '{"path": "a.jpg", "boxes": []}', True),
        ("pipe", '\n{ "path" : "a.jpg"', True),
        ("x.json", '{"images": []', False),
        ("x.json", '[{"path": "a.jpg"}]', False),
        ("x.json", "", False),
    ],
)
def test_lines_of_detect_are_known_by_name_or_begin(tmp_path: Path, name: str, text: str, expected: bool) -> None:
    (tmp_path / name).write_text(text)
    assert is_detections(tmp_path / name) is expected

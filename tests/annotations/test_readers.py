import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastblur.annotations.coco import is_coco, read_coco
from fastblur.annotations.readers import read_detections, read_ilsvrc


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def entry(url: object = "a.jpg", **box: object) -> dict[str, object]:
    return {"url": url, "bboxes": [{"x0": 1, "y0": 2, "x1": 3, "y1": 4} | box]}


def test_keys_and_boxes_come_in_order(tmp_path: Path) -> None:
    two = {
        "url": "t/b é.JPEG",
        "bboxes": [{"x0": 1.5, "y0": 2, "x1": 3, "y1": 4, "score": 1}, {"x0": 0, "y0": 0, "x1": 9, "y1": 8}],
    }
    read = list(read_ilsvrc(write(tmp_path / "boxes.json", [{"url": "t/a.JPEG", "bboxes": []}, two])))
    assert [key for key, _ in read] == ["t/a.JPEG", "t/b é.JPEG"]
    assert [boxes.dtype for _, boxes in read] == [np.float32, np.float32]
    assert read[0][1].shape == (0, 4)
    assert read[1][1].tolist() == [[1.5, 2, 3, 4], [0, 0, 9, 8]]


def test_degenerate_boxes_are_passed_on(tmp_path: Path) -> None:
    ((_, boxes),) = read_ilsvrc(write(tmp_path / "boxes.json", [entry(x1=1)]))
    assert boxes.tolist() == [[1, 2, 1, 4]]


def test_the_imagenet_sample(shared: Path) -> None:
    read = dict(read_ilsvrc(shared / "imagenet-sample" / "face_annotations.json"))
    assert len(read) == 250
    assert sum(len(boxes) > 0 for boxes in read.values()) == 80
    assert sum(len(boxes) for boxes in read.values()) == 125
    assert all((shared / "imagenet-sample" / key).is_file() for key in read)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("[{]", "JSON"),
        ("[" * 100_000, "JSON|nested"),
        ({"a.jpg": []}, "expected a list"),
        ([["a.jpg", []]], "entry 0"),
        ([{"url": "a.jpg"}], "bboxes"),
        ([{"bboxes": []}], "url"),
        ([entry(), entry(7)], "entry 1.*7"),
        ([entry("")], "relative path"),
        ([entry("/etc/a.jpg")], "/etc/a.jpg"),
        ([entry("\\\\server\\a.jpg")], "server"),
        ([entry("C:/a.jpg")], "C:/a.jpg"),
        ([entry("t/../../a.jpg")], r'without "\.\."'),
        ([entry("t\\..\\a.jpg")], r'without "\.\."'),
        ([{"url": "a.jpg", "bboxes": {"x0": 1}}], "expected a list"),
        ([{"url": "a.jpg", "bboxes": [[1, 2, 3, 4]]}], "x0, y0, x1 and y1"),
        ([{"url": "a.jpg", "bboxes": [{"x0": 1, "y0": 2, "x1": 3}]}], "x0, y0, x1 and y1"),
        ([entry(x0="1")], "finite numbers"),
        ([entry(x0=True)], "finite numbers"),
        ([entry(x0=None)], "finite numbers"),
        ('[{"url": "a.jpg", "bboxes": [{"x0": NaN, "y0": 2, "x1": 3, "y1": 4}]}]', "nan"),
        ('[{"url": "a.jpg", "bboxes": [{"x0": 1, "y0": 2, "x1": Infinity, "y1": 4}]}]', "inf"),
        ('[{"url": "a.jpg", "bboxes": [{"x0": 1, "y0": 2, "x1": 1e300, "y1": 4}]}]', "finite numbers"),
        ('[{"url": "a.jpg", "bboxes": [{"x0": 1, "y0": 2, "x1": 1' + "0" * 400 + ', "y1": 4}]}]', "finite numbers"),
    ],
)
def test_another_form_is_refused_in_one_sentence(tmp_path: Path, content: object, word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        list(read_ilsvrc(write(tmp_path / "boxes.json", content)))
    assert "boxes.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "boxes.json").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(ValueError, match="JSON"):
        list(read_ilsvrc(tmp_path / "boxes.json"))


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_ilsvrc(tmp_path / "boxes.json"))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_where_the_file_is_cut_to_be_read_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    content = [entry("é/]},{.jpg", x0=-1.25e-2), {"url": 'a"b\\c.jpg', "bboxes": [], "more": [[], {"x": "]"}]}, entry()]
    path = write(tmp_path / "boxes.json", json.dumps(content, ensure_ascii=False, indent=1))
    whole = [(key, boxes.tolist()) for key, boxes in read_ilsvrc(path)]
    assert [key for key, _ in whole] == ["é/]},{.jpg", 'a"b\\c.jpg', "a.jpg"]
    monkeypatch.setattr("fastblur.annotations.json_stream.CHUNK", chunk)
    assert [(key, boxes.tolist()) for key, boxes in read_ilsvrc(path)] == whole


@pytest.mark.parametrize("kept", [1, 30, -40, -1])
def test_a_file_that_is_cut_is_refused(tmp_path: Path, kept: int) -> None:
    path = write(tmp_path / "boxes.json", json.dumps([entry(), entry("b.jpg")])[:kept])
    with pytest.raises(ValueError, match=r"boxes\.json is not JSON"):
        list(read_ilsvrc(path))


def test_the_entry_where_json_breaks_is_named(tmp_path: Path) -> None:
    whole = json.dumps([entry(f"{i}.jpg") for i in range(9)])
    with pytest.raises(ValueError, match=r"boxes\.json is not JSON.* at entry 7 "):
        list(read_ilsvrc(write(tmp_path / "boxes.json", whole.replace('"7.jpg"', '"7.jpg'))))


def test_what_follows_the_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="goes on after its end"):
        list(read_ilsvrc(write(tmp_path / "boxes.json", "[] [")))


@pytest.mark.slow
def test_a_long_file_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "boxes.json", [entry(f"{i:09}.jpg") for i in range(50_000)])
    monkeypatch.setattr("fastblur.annotations.json_stream.CHUNK", 1 << 16)
    tracemalloc.start()
    count = sum(1 for _ in read_ilsvrc(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 50_000
    assert path.stat().st_size > 3_500_000
    assert peak < 1_000_000


COCO = {
    "info": {"year": 2017},
    "annotations": [
        {"image_id": 2, "bbox": [10, 20, 30, 40.5], "segmentation": [[1, 2, 3, 4]], "iscrowd": 0},
        {"image_id": 1, "bbox": [0, 0, 5, 5]},
        {"image_id": 2, "bbox": [1, 1, 0, 3]},
    ],
    "images": [
        {"id": 1, "file_name": "a.jpg", "width": 9},
        {"id": 2, "file_name": "t/b.jpg", "width": 640, "height": 480},
        {"id": 3, "file_name": "c"},
    ],
    "categories": [],
}


def test_coco(tmp_path: Path) -> None:
    path = write(tmp_path / "boxes.json", COCO)
    assert is_coco(path)
    assert [size for _, _, size in read_coco(path)] == [None, (640, 480), None]
    read = {key: boxes.tolist() for key, boxes, _ in read_coco(path)}
    assert read == {"a.jpg": [[0, 0, 5, 5]], "t/b.jpg": [[10, 20, 40, 60.5], [1, 1, 1, 4]], "c": []}
    assert not is_coco(write(tmp_path / "list.json", [COCO]))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"annotations": []}, "images but no annotations"),
        ({"images": []}, "lists no images"),
        ({"images": [], "annotations": []}, "lists no images"),
        ({"images": [{"id": 1}]}, "file_name"),
        ({"images": [{"id": 1, "file_name": "../a"}]}, r'without "\.\."'),
        ({"images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]}, "entry 1 of 'images'.*of its own"),
        ({"annotations": [{"image_id": 9, "bbox": [0, 0, 1, 1]}]}, "the image 9"),
        ({"annotations": [{"bbox": [0, 0, 1, 1]}]}, "image_id"),
        ({"annotations": [{"image_id": 1, "bbox": [0, 0, 1]}]}, "x, y, width and height"),
        ({"annotations": [{"image_id": 1, "bbox": [0, 0, float("nan"), 1]}]}, "nan"),
        ({"annotations": [{"image_id": 1, "bbox": [9, 9, -3, 1]}]}, "of 0 or more"),
        ({"annotations": [{"image_id": 1, "bbox": [9, 9, 3, -1]}]}, "of 0 or more"),
        ({"annotations": [{"image_id": [], "bbox": [0, 0, 1, 1]}]}, "image_id"),
    ],
)
def test_coco_of_another_form_is_refused_in_one_sentence(tmp_path: Path, change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=word) as caught:
        list(read_coco(write(tmp_path / "boxes.json", COCO | change)))
    assert "boxes.json" in str(caught.value)


def test_coco_images_without_annotations_are_not_images_without_faces(tmp_path: Path) -> None:
    # COCO's own lists of test images look so; taken as "no boxes", all would be copied unblurred.
    path = write(tmp_path / "boxes.json", {name: COCO[name] for name in ("info", "images")})
    with pytest.raises(ValueError, match="images but no annotations"):
        list(read_coco(path))


@pytest.mark.parametrize("content", ["{[1]: 2}", "{{}: 2}", "{1: 2}", "{", "{}", '{"images"}', '{"images": [}', "[1]"])
def test_what_is_not_coco_at_all_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(ValueError, match=r"boxes\.json"):
        list(read_coco(write(tmp_path / "boxes.json", content)))


def test_detections(tmp_path: Path) -> None:
    lines = [
        {"path": "t/a é.jpg", "width": 9, "height": 9, "boxes": [[1, 2, 3, 4.5], [0, 0, 9, 9]], "scores": [0.9, 0.5]},
        {"path": "b.jpg", "boxes": []},
        {"path": "c.jpg", "error": "decode: broken"},
        {"path": "d.jpg", "boxes": [], "error": "detect: died"},
    ]
    path = write(tmp_path / "boxes.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    assert [size for _, _, size in read_detections(path)] == [(9, 9), None, None, None]
    read = [(key, None if boxes is None else boxes.tolist()) for key, boxes, _ in read_detections(path)]
    assert read == [
        ("t/a é.jpg", [[1, 2, 3, 4.5], [0, 0, 9, 9]]),
        ("b.jpg", []),
        ("c.jpg", None),  # not "no boxes": nobody has looked
        ("d.jpg", None),
    ]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("{", "JSON"),
        ('{"path": "a.jpg", "boxes": [[1, 2, 3', "JSON"),
        ("[" * 100_000, "JSON"),
        ('{"path": "a.jpg", "boxes": [[1, 2, 3, 4]], "boxes": []}', "twice"),
        ("[]", "expected"),
        ({"path": "a.jpg"}, '"boxes"'),
        ({"boxes": []}, '"path"'),
        ({"path": 7, "boxes": []}, "relative path"),
        ({"path": "../a.jpg", "boxes": []}, r'without "\.\."'),
        ({"path": "/a.jpg", "error": "x"}, r'without "\.\."'),
        ({"path": "a.jpg", "boxes": {}}, "expected a list"),
        ({"path": "a.jpg", "boxes": None}, "expected a list"),
        ({"path": "a.jpg", "boxes": [], "width": "9", "height": 9}, "expected pixels"),
        ({"path": "a.jpg", "boxes": [], "width": 0, "height": 9}, "expected pixels"),
        ({"path": "a.jpg", "boxes": [[1, 2, 3]]}, "four finite numbers"),
        ({"path": "a.jpg", "boxes": [{"x0": 1}]}, "four finite numbers"),
        ({"path": "a.jpg", "boxes": [[1, 2, 3, None]]}, "four finite numbers"),
        ({"path": "a.jpg", "boxes": [[1, 2, 3, float("nan")]]}, "four finite numbers"),
        ({"path": "a.jpg", "boxes": [[1, 2, 3, float("inf")]]}, "four finite numbers"),
    ],
)
def test_a_line_of_another_form_is_refused_by_its_number(tmp_path: Path, line: object, word: str) -> None:
    text = line if isinstance(line, str) else json.dumps(line)
    path = write(tmp_path / "boxes.jsonl", '{"path": "z.jpg", "boxes": []}\n' + text + "\n")
    with pytest.raises(ValueError, match=rf"line 2 of boxes file .*boxes\.jsonl .*{word}"):
        list(read_detections(path))

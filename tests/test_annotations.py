import json
from pathlib import Path

import numpy as np
import pytest

from fastblur.annotations import read_ilsvrc


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
        ("", "JSON"),
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

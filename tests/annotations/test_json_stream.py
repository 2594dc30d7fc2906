"""The stream reader of JSON, against the standard library's."""

import json
from pathlib import Path

import pytest

from fastblur.annotations.json_stream import entries

WHOLE = [
    "[1.5, -2e10, 3, null, true, [], {}]",
    '{"info": 1.25, "list": [1, 2.5e-1], "none": [], "deep": {"a": [1]}, "last": 12}',
    "[]",
    "{}",
    ' [ "a]" , {"b": "}"} ] ',
]
BROKEN = [
    '{"a": [],}',
    '[{"a": [1], "b": 2, "a": []}]',
    "[1,]",
    "{7: 1}",
    '{"a" 1}',
    "[1 2]",
    '["a"',
    '{"a": 1',
    "[1] 2",
    "12",
    '"a"',
    "",
    "[1.]",
    "[-]",
]


def expected(text: str) -> list[object]:
    content = json.loads(text)
    if isinstance(content, list):
        return [(None, entry) for entry in content]
    return [
        pair
        for name, value in content.items()
        for pair in ([(name, entry) for entry in value] if isinstance(value, list) else [(name, value)])
    ]


@pytest.mark.parametrize("chunk", [1, 2, 3, 1 << 22])
@pytest.mark.parametrize("text", WHOLE)
def test_the_same_as_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, chunk: int) -> None:
    monkeypatch.setattr("fastblur.annotations.json_stream.CHUNK", chunk)
    (tmp_path / "x.json").write_text(text)
    assert list(entries(tmp_path / "x.json")) == expected(text)


@pytest.mark.parametrize("chunk", [1, 1 << 22])
@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_json_list_or_object_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, chunk: int
) -> None:
    monkeypatch.setattr("fastblur.annotations.json_stream.CHUNK", chunk)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"expected|Expecting|delimiter|Unterminated|goes on|it holds|twice"):
        list(entries(tmp_path / "x.json"))

"""The interface of sinks, and the sink of a destination."""

import errno
import inspect
from pathlib import Path
from typing import Any

import pytest

from fastblur.pipeline.storage.local import LocalSink
from fastblur.pipeline.storage.paths import error_reason, is_name_error, strip_file_scheme
from fastblur.pipeline.storage.remote import RemoteSink
from fastblur.pipeline.storage.sink import Sink, open_sink

METHODS = [name for name in vars(Sink) if not name.startswith("_")]


@pytest.mark.parametrize("kind", [LocalSink, RemoteSink])
def test_sinks_have_the_methods_of_the_interface_and_no_others(kind: Any) -> None:
    assert {name for name in vars(kind) if not name.startswith("_")} == set(METHODS)
    for name in METHODS:
        ours, theirs = (list(inspect.signature(getattr(each, name)).parameters) for each in (kind, Sink))
        assert ours == theirs


def test_a_path_is_a_folder_and_a_url_is_not(tmp_path: Path) -> None:
    for destination in (tmp_path / "out", str(tmp_path / "out"), f"file://{tmp_path}/out"):
        sink = open_sink(destination)
        assert isinstance(sink, LocalSink)
        assert sink.root == tmp_path / "out"
    assert isinstance(open_sink("memory://bucket/out"), RemoteSink)
    assert sorted(path.name for path in (tmp_path / "out/.fastblur").iterdir()) == ["tmp"]


def test_one_image_alone_leaves_no_record(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "out", alone=True, rename="b.jpg")
    sink.write("a.jpg", b"x")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.jpg"]


@pytest.mark.parametrize(
    ("path", "plain"),
    [("file:///a/b", "/a/b"), ("/a/b", "/a/b"), ("s3://a/b", "s3://a/b"), ("file://host/a", "file://host/a")],
)
def test_the_scheme_of_files_of_this_machine_goes(path: str, plain: str) -> None:
    assert strip_file_scheme(path) == plain


def test_errors_about_a_name_and_what_went_wrong() -> None:
    assert is_name_error(OSError(errno.ENAMETOOLONG, "File name too long", "x"))
    assert is_name_error(ValueError("leads out"))
    assert not is_name_error(OSError(errno.ENOSPC, "No space left on device"))
    assert not is_name_error(OSError("without a number"))
    assert error_reason(OSError(errno.ENOSPC, "No space left on device", "/x")) == "No space left on device"
    assert error_reason(OSError("without a number")) == "without a number"
    assert error_reason(ValueError("leads out")) == "leads out"

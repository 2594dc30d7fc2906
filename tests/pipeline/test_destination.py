"""Where the output of a run goes, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from fastblur.errors import UsageError
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.destination import Destination, check_destination
from fastblur.pipeline.shards.source import Source


def place(path: Path, source: Source, **options: Any) -> Destination:
    return check_destination(RunConfig(tuple(tree.location for tree in source.inputs), str(path), **options), source)


class TestPlaces:
    """Where the output goes, and what is refused."""

    @pytest.fixture
    def src(self, tmp_path: Path) -> Path:
        (tmp_path / "src" / "sub").mkdir(parents=True)
        (tmp_path / "src" / "sub" / "a.jpg").write_bytes(b"x")
        return tmp_path / "src"

    def test_a_folder_goes_to_a_new_or_empty_folder(self, src: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for name in ("new", "empty", "new/deep", "src2"):
            assert place(tmp_path / name, Source(src), overwrite=False) == Destination(str(tmp_path / name))
        assert not (tmp_path / "new").exists(), "nothing is made by asking"

    def test_a_file_goes_anywhere_but_to_its_own_folder(self, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "a.tar").touch()
        source = Source(tmp_path / "src" / "a.tar")
        for name in ("src/out", "out"):
            assert place(tmp_path / name, source, overwrite=False) == Destination(str(tmp_path / name))
        with pytest.raises(UsageError, match="is the folder of SRC"):
            place(tmp_path / "src", source, overwrite=True)

    @pytest.mark.parametrize(
        ("name", "word"),
        [
            ("src", "is SRC"),
            ("src/out", "lies in SRC"),
            ("src/sub", "lies in SRC"),
            ("src/../src", "is SRC"),
            (".", "holds SRC"),
            ("link", "is SRC"),
            ("link/out", "lies in SRC"),
            ("full", "is not empty"),
            ("file", "is a file"),
        ],
    )
    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_folder_is_refused(self, src: Path, tmp_path: Path, name: str, word: str, overwrite: bool) -> None:
        (tmp_path / "link").symlink_to(src)
        (tmp_path / "file").touch()
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "b.jpg").touch()
        if overwrite and name == "full":
            assert place(tmp_path / name, Source(src), overwrite=True) == Destination(str(tmp_path / name))
            return
        with pytest.raises(UsageError, match=word):
            place(tmp_path / name, Source(src), overwrite=overwrite)

    def test_a_file_goes_to_a_folder_or_to_a_new_name(self, src: Path, tmp_path: Path) -> None:
        source = Source(src / "sub" / "a.jpg")
        assert place(tmp_path / "out", source, overwrite=False) == Destination(str(tmp_path / "out"))
        assert place(tmp_path, source, overwrite=False) == Destination(str(tmp_path))
        assert place(src / "sub" / "b.JPG", source, overwrite=False) == Destination(str(src / "sub"), "b.JPG")
        (tmp_path / "folder.jpg").mkdir()
        assert place(tmp_path / "folder.jpg", source, overwrite=False) == Destination(str(tmp_path / "folder.jpg"))

    def test_a_file_is_refused(self, src: Path, tmp_path: Path) -> None:
        source = Source(src / "sub" / "a.jpg")
        (tmp_path / "b.jpg").write_bytes(b"y")
        (tmp_path / "hard.jpg").hardlink_to(src / "sub" / "a.jpg")
        (tmp_path / "file").touch()
        for name, word in (
            ("src/sub/a.jpg", "replace SRC itself"),
            ("src/sub", "replace SRC itself"),
            ("hard.jpg", "replace SRC itself"),
            ("b.png", "another suffix"),
            ("file", "a file"),
            ("file/c.jpg", "a file"),
        ):
            with pytest.raises(UsageError, match=word):
                place(tmp_path / name, source, overwrite=True)
        with pytest.raises(UsageError, match="already there"):
            place(tmp_path / "b.jpg", source, overwrite=False)
        assert place(tmp_path / "b.jpg", source, overwrite=True) == Destination(str(tmp_path), "b.jpg")


def test_a_report_goes_to_a_folder_that_is_there_or_into_the_output(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    source, out, boxes = Source(tmp_path / "src"), tmp_path / "out", str(tmp_path / "b.json")

    def report(path: Path) -> None:
        place(out, source, boxes=boxes, report=str(path))

    report(tmp_path / "a.json")
    report(out / "a.json")
    for bad in (tmp_path / "src" / "a.png", tmp_path / "b.json"):
        with pytest.raises(UsageError, match="expected a name of its own"):
            report(bad)
    for bad in (tmp_path, out, tmp_path / "absent" / "a.json"):
        with pytest.raises(UsageError, match="the summary cannot be written"):
            report(bad)


def test_a_report_of_a_run_to_a_url_lies_on_this_machine(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    source = Source(tmp_path / "src")
    config = RunConfig((str(tmp_path / "src"),), "memory://out", report=str(tmp_path / "a.json"))
    assert check_destination(config, source) == Destination("memory://out")

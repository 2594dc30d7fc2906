import errno
import os
from pathlib import Path

import pytest

from fastblur.pipeline.sink import Sink, place
from fastblur.pipeline.source import Source
from tests.pipeline.conftest import failures, files_below


def test_files_come_with_their_folders_and_the_usual_mode(tmp_path: Path) -> None:
    sink = Sink(tmp_path / "new" / "out")
    sink.write("a b/ü/c.jpg", b"one")
    sink.write("d.jpg", b"two" * 1_000_000)
    assert files_below(sink.root) == {"a b/ü/c.jpg", "d.jpg"}
    assert (sink.root / "a b/ü/c.jpg").read_bytes() == b"one"
    assert (sink.root / "d.jpg").read_bytes() == b"two" * 1_000_000
    (tmp_path / "usual").touch()
    assert (sink.root / "d.jpg").stat().st_mode == (tmp_path / "usual").stat().st_mode
    sink.flush()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink(tmp_path)
    real = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) <= 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:5])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        sink.write("a.jpg", b"0123456789")
    assert files_below(tmp_path) == set()


def test_a_write_in_pieces_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink(tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    sink.write("a.jpg", b"0123456789")
    assert (tmp_path / "a.jpg").read_bytes() == b"0123456789"


def test_nothing_is_replaced_unless_asked(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"old")
    with pytest.raises(FileExistsError, match="already there"):
        Sink(tmp_path).write("a.jpg", b"new")
    assert (tmp_path / "a.jpg").read_bytes() == b"old"
    Sink(tmp_path, overwrite=True).write("a.jpg", b"new")
    assert (tmp_path / "a.jpg").read_bytes() == b"new"


def test_overwriting_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "original.jpg").write_bytes(b"original")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg").symlink_to(tmp_path / "original.jpg")
    Sink(out, overwrite=True).write("a.jpg", b"new")
    assert (tmp_path / "original.jpg").read_bytes() == b"original"
    assert not (out / "a.jpg").is_symlink()
    assert (out / "a.jpg").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg", "b//a.jpg", "./a.jpg", "b/..", "", "b/"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    sink = Sink(tmp_path / "out")
    with pytest.raises(ValueError, match="below DST"):
        sink.write(name, b"x")
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, overwrite: bool) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.jpg").write_bytes(b"original")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(elsewhere)
    sink = Sink(tmp_path / "out", overwrite=overwrite)
    for name in ("sub/a.jpg", "sub/deep/a.jpg"):
        with pytest.raises(ValueError, match="is a link or a file"):
            sink.write(name, b"new")
        sink.fail(name, "reason")
    assert files_below(elsewhere) == {"a.jpg"}
    assert (elsewhere / "a.jpg").read_bytes() == b"original"


def test_failures_are_listed_with_any_name(tmp_path: Path) -> None:
    sink = Sink(tmp_path)
    assert not sink.failures.exists()
    names = ["a b.jpg", "é.jpg", 'quote".jpg', "two\nlines.jpg", "\udcff.jpg"]
    for name in names:
        sink.fail(name, "the reason")
    assert failures(tmp_path) == dict.fromkeys(names, "the reason")
    assert os.fsencode(list(failures(tmp_path))[-1]) == b"\xff.jpg"


def test_a_new_sink_forgets_the_failures_of_the_last_run(tmp_path: Path) -> None:
    Sink(tmp_path).fail("a.jpg", "the reason")
    assert not Sink(tmp_path).failures.exists()


def test_a_failure_leaves_no_older_output_where_overwriting(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"old")
    Sink(tmp_path).fail("a.jpg", "the reason")
    assert (tmp_path / "a.jpg").read_bytes() == b"old"
    Sink(tmp_path, overwrite=True).fail("a.jpg", "the reason")
    assert not (tmp_path / "a.jpg").exists()
    (tmp_path / "b.jpg" / "c.jpg").mkdir(parents=True)
    Sink(tmp_path, overwrite=True).fail("b.jpg", "the reason")
    assert failures(tmp_path)["b.jpg"].startswith("the reason; what was there before may still be")


def test_a_root_that_cannot_be_made_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written: Not a directory"):
        Sink(tmp_path / "file" / "out")
    # Permissions do not stop root, so the refusal is the test's own.
    real = os.open

    def read_only(path: str, flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system", path)
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OSError, match="cannot be written: Read-only file system"):
        Sink(tmp_path)


class TestPlace:
    """Where the output goes, and what is refused."""

    @pytest.fixture
    def src(self, tmp_path: Path) -> Path:
        (tmp_path / "src" / "sub").mkdir(parents=True)
        (tmp_path / "src" / "sub" / "a.jpg").write_bytes(b"x")
        return tmp_path / "src"

    def test_a_folder_goes_to_a_new_or_empty_folder(self, src: Path, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for name in ("new", "empty", "new/deep", "src2"):
            assert place(tmp_path / name, Source(src), overwrite=False) == (tmp_path / name, None)
        assert not (tmp_path / "new").exists(), "nothing is made by asking"

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
            assert place(tmp_path / name, Source(src), overwrite=True) == (tmp_path / name, None)
            return
        with pytest.raises(ValueError, match=word):
            place(tmp_path / name, Source(src), overwrite=overwrite)

    def test_a_file_goes_to_a_folder_or_to_a_new_name(self, src: Path, tmp_path: Path) -> None:
        source = Source(src / "sub" / "a.jpg")
        assert place(tmp_path / "out", source, overwrite=False) == (tmp_path / "out", None)
        assert place(tmp_path, source, overwrite=False) == (tmp_path, None)
        assert place(src / "sub" / "b.JPG", source, overwrite=False) == (src / "sub", "b.JPG")
        (tmp_path / "folder.jpg").mkdir()
        assert place(tmp_path / "folder.jpg", source, overwrite=False) == (tmp_path / "folder.jpg", None)

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
            with pytest.raises(ValueError, match=word):
                place(tmp_path / name, source, overwrite=True)
        with pytest.raises(ValueError, match="already there"):
            place(tmp_path / "b.jpg", source, overwrite=False)
        assert place(tmp_path / "b.jpg", source, overwrite=True) == (tmp_path, "b.jpg")

import errno
import os
from pathlib import Path

import pytest

from fastblur.pipeline.storage.local import LocalSink
from tests.pipeline.helpers import files_below


def test_files_come_with_their_folders_and_the_usual_mode(tmp_path: Path) -> None:
    sink = LocalSink(tmp_path / "new" / "out")
    sink.write("a b/ü/c.jpg", b"one")
    sink.write("d.jpg", b"two" * 1_000_000)
    assert files_below(sink.root) == {"a b/ü/c.jpg", "d.jpg"}
    assert (sink.root / "a b/ü/c.jpg").read_bytes() == b"one"
    assert (sink.root / "d.jpg").read_bytes() == b"two" * 1_000_000
    (tmp_path / "usual").touch()
    assert (sink.root / "d.jpg").stat().st_mode == (tmp_path / "usual").stat().st_mode
    sink.flush()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = LocalSink(tmp_path)
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
    sink = LocalSink(tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    sink.write("a.jpg", b"0123456789")
    assert (tmp_path / "a.jpg").read_bytes() == b"0123456789"


def test_what_is_there_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"old")
    sink = LocalSink(tmp_path)
    real = os.replace
    seen = []

    def replace(temporary: str, target: str) -> None:
        seen.append(((tmp_path / "a.jpg").read_bytes(), Path(temporary).read_bytes()))
        real(temporary, target)

    monkeypatch.setattr(os, "replace", replace)
    sink.write("a.jpg", b"new")
    assert seen == [(b"old", b"new")]
    assert (tmp_path / "a.jpg").read_bytes() == b"new"
    assert list((tmp_path / ".fastblur/tmp").iterdir()) == []


def test_what_is_written_once_stays_and_reaches_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = LocalSink(tmp_path)
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(os.fstat(descriptor).st_ino), real(descriptor)))
    sink.write_once("a/b.jsonl", b"first")
    assert synced == [(tmp_path / "a/b.jsonl").stat().st_ino]
    sink.write_once("a/b.jsonl", b"second")
    assert sink.read("a/b.jsonl") == b"first"
    assert list((tmp_path / ".fastblur/tmp").iterdir()) == []


def test_where_there_are_no_links_it_is_written_once_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    sink = LocalSink(tmp_path)
    sink.write_once("a.jsonl", b"first")
    sink.write_once("a.jsonl", b"second")
    assert sink.read("a.jsonl") == b"first"
    assert list((tmp_path / ".fastblur/tmp").iterdir()) == []


def test_a_file_that_is_begun_appears_when_it_is_committed(tmp_path: Path) -> None:
    sink = LocalSink(tmp_path)
    new, other = sink.create("a/b.tar"), sink.create("a/c.tar")
    for each in (new, other):
        each.file.write(b"content" * 1000)
    assert files_below(tmp_path) == set()
    new.commit()
    other.abort()
    other.abort()
    assert files_below(tmp_path) == {"a/b.tar"}
    assert sink.read("a/b.tar") == b"content" * 1000
    assert list((tmp_path / ".fastblur/tmp").iterdir()) == []


def test_cleaning_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    killed = LocalSink(tmp_path)
    killed.create("a.tar").file.write(b"half")
    assert len(list((tmp_path / ".fastblur/tmp").iterdir())) == 1
    sink = LocalSink(tmp_path)
    sink.clean()
    assert list((tmp_path / ".fastblur/tmp").iterdir()) == []
    sink.write("a.jpg", b"x")
    assert files_below(tmp_path) == {"a.jpg"}


def test_reading_listing_adding_and_removing(tmp_path: Path) -> None:
    sink = LocalSink(tmp_path)
    assert sink.names("journal") == []
    with pytest.raises(FileNotFoundError):
        sink.read("journal/a")
    sink.remove("journal/a")
    for name in ("journal/b", "journal/a"):
        sink.append(name, b"one")
        sink.append(name, b"two")
    assert sink.names("journal") == ["a", "b"]
    assert sink.read("journal/a") == b"onetwo"
    sink.remove("journal/a")
    assert sink.names("journal") == ["b"]
    assert sink.path("journal/b") == str(tmp_path / "journal" / "b")


def test_a_name_for_the_only_output_is_not_one_for_the_records(tmp_path: Path) -> None:
    sink = LocalSink(tmp_path / "out", rename="b.jpg")
    sink.write("sub/a.jpg", b"x")
    sink.append(".fastblur/failures.jsonl", b"y")
    sink.close()
    assert files_below(tmp_path / "out") == {"b.jpg"}
    assert sink.read(".fastblur/failures.jsonl") == b"y"
    sink.remove("sub/a.jpg")
    assert files_below(tmp_path / "out") == set()


def test_overwriting_replaces_a_link_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "original.jpg").write_bytes(b"original")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.jpg").symlink_to(tmp_path / "original.jpg")
    LocalSink(out).write("a.jpg", b"new")
    assert (tmp_path / "original.jpg").read_bytes() == b"original"
    assert not (out / "a.jpg").is_symlink()
    assert (out / "a.jpg").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg", "b//a.jpg", "./a.jpg", "b/..", "", "b/"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    sink = LocalSink(tmp_path / "out")
    with pytest.raises(ValueError, match="below DST"):
        sink.write(name, b"x")
    assert files_below(tmp_path) == set()


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.jpg").write_bytes(b"original")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "sub").symlink_to(elsewhere)
    sink = LocalSink(tmp_path / "out")
    for name in ("sub/a.jpg", "sub/deep/a.jpg"):
        for change in (
            lambda name: sink.write(name, b"new"),
            sink.remove,
            sink.create,
            lambda name: sink.append(name, b"new"),
        ):
            with pytest.raises(ValueError, match="is a link or a file"):
                change(name)
    assert files_below(elsewhere) == {"a.jpg"}
    assert (elsewhere / "a.jpg").read_bytes() == b"original"


def test_a_root_that_cannot_be_made_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot be written: Not a directory"):
        LocalSink(tmp_path / "file" / "out")
    # Permissions do not stop root, so the refusal is the test's own.
    real = os.open

    def read_only(path: str, flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, "Read-only file system", path)
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(OSError, match="cannot be written: Read-only file system"):
        LocalSink(tmp_path)


@pytest.mark.parametrize("link", [".fastblur", ".fastblur/tmp"])
def test_a_link_is_not_emptied(tmp_path: Path, link: str) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "keep").touch()
    (tmp_path / "out" / link).parent.mkdir(parents=True)
    (tmp_path / "out" / link).symlink_to(tmp_path / "precious")
    with pytest.raises(ValueError, match="is a link, expected a folder"):
        LocalSink(tmp_path / "out")
    assert (tmp_path / "precious" / "keep").exists()

"""Files that are written whole or not at all."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from fastblur.files import AtomicFile, atomic_write, regular_file, sha256


def left_over(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class TestAtomicFile:
    """A file that is written piece by piece."""

    def test_it_has_its_name_at_the_end(self, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b.bin"  # in a folder that is made
        with AtomicFile(path) as file:
            file.write(b"one ")
            assert not path.exists()
            file.write(b"two")
        assert path.read_bytes() == b"one two"
        assert left_over(path.parent) == {"b.bin"}

    def test_an_exception_leaves_what_was_there(self, tmp_path: Path) -> None:
        path = tmp_path / "a.bin"
        path.write_bytes(b"old")

        def write_half() -> None:
            with AtomicFile(path) as file:
                file.write(b"new")
                raise RuntimeError("half way")

        with pytest.raises(RuntimeError, match="half way"):
            write_half()
        assert path.read_bytes() == b"old"
        assert left_over(tmp_path) == {"a.bin"}

    def test_a_commit_that_fails_leaves_no_temporary_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int) -> None:
            raise OSError("no space left")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space left"), AtomicFile(tmp_path / "a.bin") as file:
            file.write(b"new")
        assert left_over(tmp_path) == set()

    def test_names_that_are_long_or_of_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        for name in ("x" * 255, b"\xff\xfe.bin".decode("utf-8", "surrogateescape")):
            with AtomicFile(tmp_path / name) as file:
                file.write(b"x")
            assert (tmp_path / name).read_bytes() == b"x"


class TestAtomicWrite:
    """A file that is written at once."""

    def test_it_replaces(self, tmp_path: Path) -> None:
        for content in (b"", b"one", b"two" * 1_000_000):
            atomic_write(tmp_path / "a.bin", content)
            assert (tmp_path / "a.bin").read_bytes() == content
        assert left_over(tmp_path) == {"a.bin"}

    def test_where_it_cannot_have_its_name_nothing_is_left(self, tmp_path: Path) -> None:
        (tmp_path / "folder" / "full").mkdir(parents=True)
        with pytest.raises(OSError, match=r"directory|exists"):
            atomic_write(tmp_path / "folder", b"x")
        assert left_over(tmp_path) == {"folder"}

    @pytest.mark.parametrize("durable", [True, False])
    def test_it_is_on_the_disk_before_it_has_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
    ) -> None:
        steps: list[str] = []
        fsync, replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("fsync"), fsync(descriptor)))
        monkeypatch.setattr(os, "replace", lambda *names: (steps.append("replace"), replace(*names)))
        atomic_write(tmp_path / "a.bin", b"x", durable=durable)
        assert steps == ["fsync", "replace"][not durable :]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_mode_is_the_users_and_the_umask_is_never_changed(tmp_path: Path) -> None:
    before = os.umask(0o027)
    modes: list[int] = []
    try:
        stop = threading.Event()

        def watch() -> None:
            while not stop.is_set():  # a file that another thread makes meanwhile keeps the mask
                (tmp_path / "other").touch()
                modes.append((tmp_path / "other").stat().st_mode & 0o777)
                (tmp_path / "other").unlink()

        thread = threading.Thread(target=watch)
        thread.start()
        for number in range(100):
            atomic_write(tmp_path / "a.bin", b"x", durable=False)
            with AtomicFile(tmp_path / f"{number}.bin") as file:
                file.write(b"x")
        stop.set()
        thread.join()
    finally:
        os.umask(before)
    assert {(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {0o640}
    assert set(modes) == {0o640}


def test_sha256(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    (tmp_path / "a.bin").write_bytes(content)
    assert sha256(tmp_path / "a.bin") == sha256(str(tmp_path / "a.bin")) == hashlib.sha256(content).hexdigest()
    with pytest.raises(FileNotFoundError):
        sha256(tmp_path / "none")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
def test_a_device_without_an_end_is_refused() -> None:
    with pytest.raises(OSError, match="is a device, expected a file or a pipe"), regular_file(Path("/dev/zero")):
        pass

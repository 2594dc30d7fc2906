"""What sinks on this machine and at a URL do alike, and what only a URL does: appending to objects."""

from pathlib import Path

import pytest

from fastblur.pipeline.storage.local import LocalSink
from fastblur.pipeline.storage.remote import RemoteSink


class TestAppending:
    """Objects cannot grow: what is appended to is written again, but not at every flush."""

    @pytest.fixture
    def sent(self, url: str, monkeypatch: pytest.MonkeyPatch) -> tuple[RemoteSink, list[int]]:
        """A sink, and the lengths of what it writes."""
        sink, sent = RemoteSink(url), []
        real = sink.write
        monkeypatch.setattr(sink, "write", lambda name, data: (real(name, data), sent.append(len(data))))
        return sink, sent

    def test_it_is_written_when_it_has_doubled(self, sent: tuple[RemoteSink, list[int]]) -> None:
        sink, lengths = sent
        for _ in range(1000):
            sink.append("list", b"1\n")
            sink.flush()
            sink.flush()
            assert 2 * len(sink.read("list")) > lengths[-1] + 1
        assert lengths == [2 << power for power in range(10)]
        sink.close()
        sink.close()
        assert lengths[10:] == [2000]
        assert sink.read("list") == b"1\n" * 1000

    def test_what_is_there_already_is_kept_and_counts(self, sent: tuple[RemoteSink, list[int]]) -> None:
        sink, lengths = sent
        sink.write("list", b"0\n" * 10)
        sink.append("list", b"1\n")
        sink.flush()
        assert lengths == [20]
        sink.close()
        assert sink.read("list") == b"0\n" * 10 + b"1\n"

    def test_a_write_that_fails_is_tried_again(
        self, sent: tuple[RemoteSink, list[int]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sink, _ = sent
        sink.append("list", b"1\n")
        with monkeypatch.context() as patched:
            patched.setattr(sink, "write", lambda name, data: (_ for _ in ()).throw(OSError("gone")))
            with pytest.raises(OSError, match="gone"):
                sink.flush()
        sink.close()
        assert sink.read("list") == b"1\n"

    def test_objects_of_two_names_are_kept_apart_and_forgotten(self, sent: tuple[RemoteSink, list[int]]) -> None:
        sink, _ = sent
        sink.append("a", b"1\n")
        sink.append("b", b"2\n")
        sink.remove("a")
        sink.close()
        assert (sink.names(""), sink.read("b")) == (["b"], b"2\n")


class TestSinks:
    """What both sinks do in the same way."""

    @pytest.fixture(params=["folder", "memory"])
    def sink(self, request: pytest.FixtureRequest, tmp_path: Path, url: str) -> LocalSink | RemoteSink:
        return LocalSink(tmp_path / "out") if request.param == "folder" else RemoteSink(url)

    def test_files_are_written_read_listed_and_removed(self, sink: LocalSink | RemoteSink) -> None:
        assert sink.names("a") == []
        sink.write("a/c é.jpg", b"one")
        sink.write("a/b.jpg", b"two")
        sink.write("a/b.jpg", b"three")
        sink.write("a/d/e.jpg", b"four")
        assert sink.names("a") == ["b.jpg", "c é.jpg", "d"]
        assert sink.read("a/b.jpg") == b"three"
        sink.remove("a/b.jpg")
        sink.remove("a/b.jpg")
        assert sink.names("a") == ["c é.jpg", "d"]
        with pytest.raises(FileNotFoundError):
            sink.read("a/b.jpg")

    def test_a_file_is_written_once(self, sink: LocalSink | RemoteSink) -> None:
        sink.write_once("a", b"one")
        sink.write_once("a", b"two")
        assert sink.read("a") == b"one"

    def test_a_file_that_is_begun_appears_whole(self, sink: LocalSink | RemoteSink) -> None:
        new, other = sink.create("a/b.tar"), sink.create("a/c.tar")
        for each in (new, other):
            each.file.write(b"x" * 100_000)
        assert "b.tar" not in sink.names("a")
        new.commit()
        other.abort()
        other.abort()
        assert sink.names("a") == ["b.tar"]
        assert sink.read("a/b.tar") == b"x" * 100_000

    def test_what_is_added_is_there_at_the_end(self, sink: LocalSink | RemoteSink) -> None:
        for part in (b"1\n", b"2\n"):
            sink.append("list", part)
            sink.flush()
        sink.append("list", b"3\n")
        sink.close()
        assert sink.read("list") == b"1\n2\n3\n"
        sink.remove("list")
        sink.append("list", b"4\n")
        sink.flush()
        assert sink.read("list") == b"4\n"

    @pytest.mark.parametrize(
        "name", ["../a.jpg", "/etc/a.jpg", "b/../../a.jpg", "b//a.jpg", "./a.jpg", "b/..", "", "b/"]
    )
    def test_names_that_lead_out_are_refused(self, sink: LocalSink | RemoteSink, name: str) -> None:
        for change in (lambda: sink.write(name, b"x"), lambda: sink.create(name), lambda: sink.remove(name)):
            with pytest.raises(ValueError, match="below DST"):
                change()

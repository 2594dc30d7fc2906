import io
import threading
import time
from pathlib import Path

import pytest

from fastblur.pipeline import progress
from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.summary import Tally


@pytest.fixture
def tally() -> Tally:
    tally = Tally()
    for _ in range(6):
        tally.add({"images": 1, "with_regions": 1, "regions": 2})
    tally.add({"images": 4, "copied": 3, "failed": 1})
    return tally


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_lines_come_every_few_seconds_with_rate_and_time_left(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(), io.StringIO()
    monkeypatch.setattr(progress, "time", clock)
    with progress.shown(stream) as show:
        show(tally, None)
        clock.now = 104.0
        show(tally, None)
        assert stream.getvalue() == ""
        clock.now = 105.0
        show(tally, None)
        show(tally, None)
        assert stream.getvalue() == "10 of ? images, 1 failed, 2.0 a second\n"
        clock.now = 120.0
        show(tally, 2500)
    assert stream.getvalue().splitlines()[1:] == ["10 of 2500 images, 1 failed, 0.5 a second, 1:23:00 left"]


def test_a_terminal_gets_a_bar(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with progress.shown(stream) as show:
        show(tally, None)
        show(tally, 40)
    assert "10/40" in stream.getvalue()
    assert "images a second, 1 failed" in stream.getvalue()


def test_the_tally_adds_up(tally: Tally) -> None:
    assert (tally.images, tally.with_regions, tally.regions, tally.copied, tally.failed) == (10, 6, 12, 3, 1)


def test_many_threads_add_to_the_tally() -> None:
    tally = Tally()

    def add() -> None:
        for _ in range(2000):
            tally.add({"images": 1, "copied": 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tally.images, tally.copied) == (8000, 8000)


def test_the_number_of_images_is_shown_once_they_are_counted(tmp_path: Path, tally: Tally) -> None:
    seen: list[tuple[int, int | None]] = []
    assert progress.ticking(None, tally, Source(tmp_path)) is None
    for name in ("a.jpg", "b/c.png", "b/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    tick = progress.ticking(lambda tally, total: seen.append((tally.images, total)), tally, Source(tmp_path))
    assert tick is not None
    limit = time.monotonic() + 60
    while (not seen or seen[-1][1] is None) and time.monotonic() < limit:
        tick()
        time.sleep(0.01)
    assert seen[-1] == (10, 2)
    assert {total for _, total in seen} <= {None, 2}


def test_a_url_is_not_listed_twice(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.pipe_file("/progress/a.jpg", b"")
    listed = []
    monkeypatch.setattr(Source, "__iter__", lambda self: iter(listed.append(self.path) or ()))
    seen: list[int | None] = []
    tick = progress.ticking(lambda tally, total: seen.append(total), tally, Source("memory://progress"))
    assert tick is not None
    tick()
    assert (seen, listed) == ([None], [])

"""The stages by themselves, with batches that are numbers: order, bound, errors, interrupts, and no thread left."""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from fastblur.pipeline.execution.stages import Stage, Stages

LIMIT = 60  # seconds that no test may wait


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before and "fastblur" in thread.name]
    assert left == []


def nothing(batch: int) -> None:
    """Do a stage's work at once."""


def run(line: Stages[int], source: Iterator[int], tick: Callable[[], None] | None = None) -> BaseException | None:
    """Run the line in the calling thread, and return what it raised."""
    try:
        line.run(source, tick)
    except BaseException as error:
        return error
    return None


def test_every_batch_goes_through_every_stage_once_and_in_the_stages_order() -> None:
    log: list[tuple[int, str]] = []
    random_ = random.Random(0)

    def stage(name: str, threads: int) -> Stage[int]:
        def work(batch: int) -> None:
            time.sleep(random_.random() / 1000)
            log.append((batch, name))

        return Stage(name, work, threads)

    names = ["read", "decode", "detect", "write"]
    line = Stages([stage(name, threads) for name, threads in zip(names, (3, 0, 1, 0), strict=True)], 3, 8)
    line.run(iter(range(200)))
    by_batch: dict[int, list[str]] = {}
    for batch, name in log:
        by_batch.setdefault(batch, []).append(name)
    assert by_batch == dict.fromkeys(range(200), names)
    report = line.report()
    assert list(report) == ["list", *names, "idle workers"]
    assert all(report[name]["batches"] == 200 and report[name]["seconds"] > 0 for name in names)


def test_with_one_thread_the_batch_that_has_come_furthest_is_done_first() -> None:
    log: list[str] = []
    fed = threading.Event()

    def source() -> Iterator[int]:
        yield from range(3)
        fed.set()

    def first(batch: int) -> None:
        fed.wait(LIMIT)
        log.append(f"first {batch}")

    Stages([Stage("first", first), Stage("second", lambda batch: log.append(f"second {batch}"))], 1, 10).run(source())
    assert log == ["first 0", "second 0", "first 1", "second 1", "first 2", "second 2"]


@pytest.mark.parametrize("max_in_flight", [1, 2, 7])
def test_no_more_batches_are_in_flight_than_allowed(max_in_flight: int) -> None:
    lock = threading.Lock()
    in_flight = largest = 0

    def source() -> Iterator[int]:
        nonlocal in_flight, largest
        for batch in range(100):
            with lock:
                in_flight += 1
                largest = max(largest, in_flight)
            yield batch

    def last(batch: int) -> None:
        nonlocal in_flight
        time.sleep(0.001)
        with lock:
            in_flight -= 1

    Stages([Stage("a", nothing, 4), Stage("b", nothing), Stage("c", last)], 4, max_in_flight).run(source())
    assert in_flight == 0
    assert largest == max_in_flight, "the bound is kept to, and room is used"


def test_batches_that_a_stage_keeps_back_are_in_flight_until_they_go_on() -> None:
    kept: list[int] = []
    largest = 0
    ended: list[int] = []

    def keep(batch: int) -> list[int]:
        nonlocal largest
        kept.append(batch)
        largest = max(largest, len(kept))
        if len(kept) < 3 and batch != 99:
            return []
        onward = kept.copy()
        kept.clear()
        return onward

    line = Stages([Stage("keep", keep, 1), Stage("end", ended.append)], 2, 3)
    line.run(iter(range(100)))
    assert sorted(ended) == list(range(100))
    assert (largest, kept) == (3, [])


def test_the_source_is_not_asked_before_there_is_space() -> None:
    asked = 0
    go = threading.Event()

    def source() -> Iterator[int]:
        nonlocal asked
        for batch in range(10):
            asked += 1
            yield batch

    def tick() -> None:
        if asked >= 2:
            seen.append(asked)
            if len(seen) > 3:
                go.set()

    seen: list[int] = []
    Stages([Stage("wait", lambda batch: go.wait(LIMIT) and None)], 1, 2).run(source(), tick)
    assert set(seen[:4]) == {2}
    assert asked == 10


def test_an_empty_source_ends_at_once() -> None:
    assert run(Stages([Stage("a", nothing), Stage("b", nothing, 2)], 2, 4), iter(())) is None


@pytest.mark.parametrize("place", ["source", "own", "worker", "last"])
@pytest.mark.parametrize("kind", [RuntimeError, OSError, MemoryError, KeyboardInterrupt])
def test_an_error_ends_everything_and_is_raised(place: str, kind: type[BaseException]) -> None:
    error = kind("this one")
    done: Counter[str] = Counter()

    def source() -> Iterator[int]:
        for batch in itertools.count():  # would never end
            if place == "source" and batch == 20:
                raise error
            yield batch

    def stage(name: str, threads: int = 0) -> Stage[int]:
        def work(batch: int) -> None:
            done[name] += 1
            if name == place and batch == 20:
                raise error

        return Stage(name, work, threads)

    line = Stages([stage("own", 2), stage("worker"), stage("last")], 3, 6)
    start = time.monotonic()
    assert run(line, source()) is error
    assert time.monotonic() - start < LIMIT
    assert done["last"] <= 21 + 6


def test_a_source_is_closed_when_an_error_ends_the_run() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(threading.current_thread().name)

    def work(batch: int) -> None:
        raise ValueError(f"batch {batch}")

    assert str(run(Stages([Stage("a", work)], 2, 3), source())).startswith("batch ")
    assert closed == ["fastblur-list"]


def test_an_error_at_the_beginning_of_a_thread_is_raised() -> None:
    def begin() -> None:
        raise OSError("no thread today")

    error = run(Stages([Stage("a", nothing)], 2, 3, begin), iter(range(5)))
    assert isinstance(error, OSError)


def test_an_error_of_the_tick_ends_the_run_and_is_raised() -> None:
    def tick() -> None:
        raise ValueError("cannot draw")

    error = run(Stages([Stage("a", nothing)], 2, 3), itertools.count(), tick)
    assert isinstance(error, ValueError)


def test_an_interrupt_finishes_the_batches_in_flight_and_begins_no_other() -> None:
    begun: list[int] = []
    ended: list[int] = []
    closed: list[bool] = []

    def source() -> Iterator[int]:
        try:
            for batch in itertools.count():
                begun.append(batch)
                yield batch
        finally:
            closed.append(True)

    def slow(batch: int) -> None:
        time.sleep(0.02)

    def tick() -> None:
        if len(ended) > 3:
            raise KeyboardInterrupt("now")

    line = Stages([Stage("slow", slow), Stage("end", ended.append)], 2, 6)
    error = run(line, source(), tick)
    assert isinstance(error, KeyboardInterrupt)
    assert error.args == ("now",), "the interrupt itself, which may know the signal"
    assert sorted(ended) == begun
    assert closed == [True]


def test_a_second_interrupt_ends_without_finishing(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    waits = 0
    begun = threading.Event()

    def slow(batch: int) -> None:
        begun.set()
        time.sleep(0.02)

    line = Stages([Stage("slow", slow), Stage("end", ended.append)], 1, 50)
    real = line._wait

    def wait(tick: Callable[[], None] | None, act: Callable[[], None]) -> None:
        nonlocal waits
        waits += 1
        begun.wait(LIMIT)
        if waits <= 2:
            raise KeyboardInterrupt(f"number {waits}")
        real(tick, act)

    monkeypatch.setattr(line, "_wait", wait)
    error = run(line, itertools.count())
    assert isinstance(error, KeyboardInterrupt)
    assert error.args == ("number 2",)
    assert len(ended) < 10


def test_an_interrupt_while_the_threads_start_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    real = threading.Thread.start
    started = 0

    def start(self: threading.Thread) -> None:
        nonlocal started
        started += 1
        if started == 3:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    outcome: list[BaseException | None] = []
    line = Stages([Stage("own", nothing, 4), Stage("end", nothing)], 1, 3)
    # In a thread of the test's own, so that a run that never ends fails the test instead of holding it up.
    runner = threading.Thread(target=lambda: outcome.append(run(line, itertools.count())), daemon=True)
    real(runner)
    runner.join(LIMIT)
    if runner.is_alive():
        line._on_failure(RuntimeError("the test is over"))
        runner.join(LIMIT)
        pytest.fail("the run did not end")
    assert isinstance(outcome[0], KeyboardInterrupt)


def test_waiting_is_reported_where_a_stage_is_slow() -> None:
    line = Stages([Stage("quick", nothing, 1), Stage("slow", lambda batch: time.sleep(0.005), 1)], 1, 8)
    line.run(iter(range(40)))
    report = line.report()
    assert report["slow"]["waiting"] > 3 > report["quick"]["waiting"]
    assert report["slow"]["seconds"] > 0.15

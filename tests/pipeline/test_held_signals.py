"""Signals that come while threads work act where no lock is half taken."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from fastblur.pipeline.execution.signals import held_signals
from fastblur.pipeline.execution.stages import Stage, Stages

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Python's own handler of SIGINT, whatever the test run inherited."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_signals_wait_and_those_together_are_one() -> None:
    with held_signals() as act:
        send()
        send()
        with pytest.raises(KeyboardInterrupt):
            act()
        act()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_that_came_last_acts_at_the_end() -> None:
    reached = []

    def block() -> None:
        with held_signals():
            send()
            reached.append(True)

    with pytest.raises(KeyboardInterrupt):
        block()
    assert reached


def test_one_after_an_interruption_is_dropped() -> None:
    def block() -> None:
        with held_signals():
            send()
            raise KeyboardInterrupt("first")

    with pytest.raises(KeyboardInterrupt, match="first"):
        block()


def test_another_thread_changes_nothing() -> None:
    seen = []

    def work() -> None:
        with held_signals() as act:
            act()
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_stages_stop_at_many_signals_at_any_moment() -> None:
    """The first lets what is in flight end; a later one ends everything; neither leaves a thread behind."""
    for _ in range(50):
        begun = threading.Event()

        def work(_: int, begun: threading.Event = begun) -> None:
            begun.set()

        def source(begun: threading.Event = begun) -> Iterator[int]:
            while True:
                yield 1
                if begun.is_set():
                    send()

        stages: Stages[int] = Stages([Stage("work", work)], workers=2, max_in_flight=4)
        with pytest.raises(KeyboardInterrupt):
            stages.run(source())
        assert not [one for one in threading.enumerate() if one.name.startswith("fastblur")]

"""Signals that wait for a moment at which the threads' locks are whole."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

HELD = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], Any]


@contextmanager
def held_signals() -> Iterator[Callable[[], None]]:
    """Hold back signals during the block; the function given raises what their handlers raise, if any came since.

    A handler that raises does so between any two steps of the main thread: between taking a lock and being ready to
    release it, too, after which all threads wait for ever. Signals that came together count as one, the first: a
    terminal and a program that passes it on both send theirs. One that came after the last call acts at the end of the
    block, unless the block has ended by one before. In other threads than the main one, which get no signals, and for
    signals that are ignored or end the process, nothing changes.
    """
    came: list[int] = []
    handlers: dict[int, Handler] = {}
    if threading.current_thread() is threading.main_thread():
        for number in HELD:
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, lambda number, _frame: came.append(number))

    def act() -> None:
        if came:
            first = came[0]
            came.clear()
            handlers[first](first, None)

    try:
        yield act
    except KeyboardInterrupt:
        came.clear()
        raise
    finally:
        for held, before in handlers.items():
            signal.signal(held, before)
    act()

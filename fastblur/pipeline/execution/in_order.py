"""Items that arrive in any order, handed out in the order of their indexes."""

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class InOrder(Generic[T]):
    """Hands items out by their indexes 0, 1, 2, .., to one thread at a time; none waits for another.

    todo = queue.push(index, item)
    while todo:
        ...  # do these, in order
        todo = queue.pop()
    """

    def __init__(self) -> None:
        self._waiting: dict[int, T] = {}
        self._next = 0
        self._handed_out = False
        self._lock = threading.Lock()

    def push(self, index: int, item: T) -> list[T]:
        """Add an item; return those that the caller has to do now.

        These are none while an earlier item is missing, or while another thread is at work, which `pop` will give them.
        """
        with self._lock:
            self._waiting[index] = item
            return [] if self._handed_out else self._take()

    def pop(self) -> list[T]:
        """Return the items that follow those that the caller has done; none ends its turn."""
        with self._lock:
            return self._take()

    def _take(self) -> list[T]:
        items = []
        while self._next in self._waiting:
            items.append(self._waiting.pop(self._next))
            self._next += 1
        self._handed_out = bool(items)
        return items

"""Items handed out in order, by one thread and by many."""

import itertools
import random
import sys
import threading
from collections.abc import Iterator

import pytest

from fastblur.pipeline.execution.in_order import InOrder


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_one_thread_gets_each_item_as_soon_as_all_before_it_are_there(order: tuple[int, ...]) -> None:
    queue: InOrder[str] = InOrder()
    done: list[str] = []
    there: set[int] = set()
    for index in order:
        todo = queue.push(index, f"item {index}")
        while todo:
            done += todo
            todo = queue.pop()
        there.add(index)
        ready = next(count for count in range(5) if count not in there)
        assert done == [f"item {number}" for number in range(ready)]


def test_while_one_thread_is_at_work_the_others_get_nothing() -> None:
    queue: InOrder[str] = InOrder()
    assert queue.push(0, "a") == ["a"]
    assert queue.push(1, "b") == []
    assert queue.push(3, "d") == []
    assert queue.pop() == ["b"], "the thread that is at work gets what came meanwhile"
    assert queue.push(2, "c") == []
    assert queue.pop() == ["c", "d"]
    assert queue.pop() == []
    assert queue.push(4, "e") == ["e"]


@pytest.fixture
def _threads_change_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_threads_change_often")
def test_many_threads_do_every_item_once_in_order_and_one_at_a_time() -> None:
    for seed in range(20):
        queue: InOrder[int] = InOrder()
        done: list[int] = []
        at_work = threading.Lock()
        together = threading.Barrier(8)
        order = random.Random(seed).sample(range(40), 40)

        def some(
            part: list[int], queue: InOrder[int] = queue, done: list[int] = done, at_work: threading.Lock = at_work,
            together: threading.Barrier = together,
        ) -> None:  # fmt: skip
            together.wait(60)
            for index in part:
                todo = queue.push(index, index)
                while todo:
                    assert at_work.acquire(blocking=False), "two threads at work"
                    done += todo
                    at_work.release()
                    todo = queue.pop()

        threads = [threading.Thread(target=some, args=(order[first::8],)) for first in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done == list(range(40))

"""The stages that batches go through, one after the other, and the threads that do them.

Stages that need a processor share the workers: a worker takes the batch that has come furthest, so that what is begun
is finished, and no worker waits while there is anything to do. A stage that waits for something else (reading, a
device, the disk) has threads of its own. Batches in flight are counted from the source to the last stage, and no more
than `max_in_flight` are let in: that is what bounds the memory, whatever the input. Nothing in the standard library
does this: an executor takes what was submitted first, not what has come furthest.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fastblur.pipeline.execution.signals import held_signals

T = TypeVar("T")

SOURCE = "list"  # what the source is called among the stages


class StageReport(dict[str, dict[str, float]]):
    """For each stage its batches, seconds (summed over threads) and mean number of batches that waited for it."""

    def add(self, other: Mapping[str, Mapping[str, float]]) -> None:
        """Add what other threads, processes or machines took."""
        for stage, values in other.items():
            row = self.setdefault(stage, {})
            for name, value in values.items():
                row[name] = row.get(name, 0) + value


@dataclass
class Stage(Generic[T]):
    """One stage.

    Attributes:
        name: of the stage.
        work: does the stage on one batch and returns the batches to pass on; None for the given one itself.
        threads: how many threads the stage has of its own; 0: the workers do it.
        seconds: what its work has taken so far, summed over threads.
        batches: how many batches it has done.
        waiting: the sum, over those, of how many batches waited for it when each was taken.
    """

    name: str
    work: Callable[[T], list[T] | None]
    threads: int = 0
    seconds: float = 0.0
    batches: int = 0
    waiting: int = 0
    queue: deque[T] = field(default_factory=deque)


class Stages(Generic[T]):
    """Lets batches go through stages.

    Args:
        stages: at least one.
        workers: threads for the stages that have none of their own.
        max_in_flight: batches between the source and the end of the last stage.
        thread_init: called first in each thread.
    """

    def __init__(
        self,
        stages: Sequence[Stage[T]],
        workers: int,
        max_in_flight: int,
        thread_init: Callable[[], None] = lambda: None,
    ) -> None:
        self.stages = list(stages)
        self.max_in_flight = max_in_flight
        self.idle = 0.0
        self.listing = 0.0
        self._workers = workers
        self._thread_init = thread_init
        self._lock = threading.Lock()
        self._space = threading.Condition(self._lock)  # for another batch in flight
        shared = threading.Condition(self._lock)
        self._ready = {
            stage.name: threading.Condition(self._lock) if stage.threads else shared for stage in self.stages
        }
        self._ended = threading.Event()
        self._in_flight = 0
        self._exhausted = self._stopping = False
        self._error: BaseException | None = None

    def run(self, source: Iterator[T], on_tick: Callable[[], None] | None = None) -> None:
        """Take every batch of the source through all stages; `on_tick` is called a few times a second.

        KeyboardInterrupt in the calling thread stops the source; it is raised again when the batches in flight are
        done. An exception in the source or a stage ends everything at once, and is raised here.
        """
        with held_signals() as act_on_signals:
            self._run(source, on_tick, act_on_signals)

    def _run(self, source: Iterator[T], on_tick: Callable[[], None] | None, act_on_signals: Callable[[], None]) -> None:
        threads = [threading.Thread(target=self._admit, args=(source,), name=f"fastblur-{SOURCE}")]
        shared = [stage for stage in self.stages if stage.threads == 0]
        if shared:
            threads += [
                threading.Thread(target=self._work, args=(shared,), name=f"fastblur-{n}") for n in range(self._workers)
            ]
        for stage in self.stages:
            threads += [
                threading.Thread(target=self._work, args=([stage],), name=f"fastblur-{stage.name}-{n}")
                for n in range(stage.threads)
            ]
        interrupt: KeyboardInterrupt | None = None
        try:
            for thread in threads:
                thread.start()
            try:
                self._wait(on_tick, act_on_signals)
            except KeyboardInterrupt as caught:
                interrupt = caught
                with self._lock:
                    self._stopping = True
                    self._space.notify_all()
                self._wait(None, act_on_signals)
        finally:
            if not self._ended.is_set():  # interrupted for a second time, or before all threads had begun
                self._on_failure(KeyboardInterrupt())
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        if self._error is not None:
            raise self._error
        if interrupt is not None:
            raise interrupt

    def report(self) -> StageReport:
        """Return what the stages have taken so far."""
        rows = StageReport({SOURCE: {"seconds": round(self.listing, 3)}})
        for stage in self.stages:
            waiting = stage.waiting / stage.batches if stage.batches else 0.0
            rows[stage.name] = {
                "batches": stage.batches, "seconds": round(stage.seconds, 3), "waiting": round(waiting, 2)
            }  # fmt: skip
        rows["idle workers"] = {"seconds": round(self.idle, 3)}
        return rows

    def _wait(self, on_tick: Callable[[], None] | None, act_on_signals: Callable[[], None]) -> None:
        while not self._ended.wait(0.1):
            act_on_signals()
            if on_tick is not None:
                on_tick()

    def _end_if_over(self) -> None:
        """Let all threads end if there is nothing more to do; the lock is held."""
        if self._error is not None or (self._exhausted and self._in_flight == 0):
            self._ended.set()
            for condition in (self._space, *self._ready.values()):
                condition.notify_all()

    def _on_failure(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
            self._end_if_over()

    def _admit(self, source: Iterator[T]) -> None:
        """Let in the batches of the source, as there is space for them."""
        try:
            self._thread_init()
            while True:
                with self._lock:
                    while self._in_flight >= self.max_in_flight and not self._stopping and self._error is None:
                        self._space.wait()
                    if self._stopping or self._error is not None:
                        break
                start = time.perf_counter()
                batch = next(source, None)
                self.listing += time.perf_counter() - start
                if batch is None:
                    break
                with self._lock:
                    self._in_flight += 1
                    self._queue(self.stages[0], [batch])
            getattr(source, "close", lambda: None)()  # what the source holds open
        except BaseException as error:
            self._on_failure(error)
        finally:
            with self._lock:
                self._exhausted = True
                self._end_if_over()

    def _work(self, stages: list[Stage[T]]) -> None:
        try:
            self._thread_init()
            while (taken := self._take(stages)) is not None:
                stage, batch = taken
                start = time.perf_counter()
                onward = stage.work(batch)
                seconds = time.perf_counter() - start
                self._pass_on(stage, [batch] if onward is None else onward, seconds)
        except BaseException as error:
            self._on_failure(error)

    def _take(self, stages: list[Stage[T]]) -> tuple[Stage[T], T] | None:
        """Return the batch that has come furthest, waiting for one; None at the end."""
        with self._lock:
            while True:
                if self._ended.is_set():
                    return None
                for stage in reversed(stages):
                    if stage.queue:
                        stage.waiting += len(stage.queue)
                        return stage, stage.queue.popleft()
                start = time.perf_counter()
                self._ready[stages[0].name].wait()
                if stages[0].threads == 0:
                    self.idle += time.perf_counter() - start

    def _pass_on(self, stage: Stage[T], batches: list[T], seconds: float) -> None:
        with self._lock:
            stage.seconds += seconds
            stage.batches += 1
            following = self.stages.index(stage) + 1
            if following < len(self.stages):
                self._queue(self.stages[following], batches)
            else:
                self._in_flight -= len(batches)
                self._space.notify(1)
                self._end_if_over()

    def _queue(self, stage: Stage[T], batches: list[T]) -> None:
        stage.queue.extend(batches)
        self._ready[stage.name].notify(len(batches))

"""Batches done by processes of this machine, one for each CPU, which Python's lock does not bind to each other.

A process gets the items of a batch, takes them through all stages from reading on, writes those results that may be
written in any order, and sends the fates back. All else (listing, tar and table files, the journal) stays with the run.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from fastblur.pipeline.config import Job
from fastblur.pipeline.errors import RunStopped, stopped
from fastblur.pipeline.execution.forkserver import begin
from fastblur.pipeline.execution.shard_flow import put_results
from fastblur.pipeline.execution.stages import Stage, Stages
from fastblur.pipeline.images.task import Hand, Opened
from fastblur.pipeline.shards.folder import FolderOutput
from fastblur.pipeline.shards.interfaces import Batch
from fastblur.pipeline.storage.sink import open_sink

READY, END, LOST = -1, -2, -3  # what a process tells beside its answers
AHEAD = 3  # batches that each process has in hand: one is read while another is worked on


class Processes:
    """As many processes as there are workers; `do` takes a batch through one of them.

    Args:
        workers: how many processes.
        job: what they do.
        destination: the output folder or URL.
        readers: threads of each that wait for files.
        stages: gets what their stages took, summed, when they end.

    Attributes:
        threads: how many threads may call `do` at once.
        most: batches in hand that keep all processes busy.
    """

    def __init__(
        self, workers: int, job: Job, destination: str, readers: int, stages: dict[str, dict[str, float]]
    ) -> None:
        self.most = AHEAD * workers + 2
        self.threads = AHEAD * workers
        self._stages = stages
        self._lock = threading.Lock()
        made = begin(detecting=job.detects)
        self._processes = [_Process(made, job, destination, readers) for _ in range(workers)]

    def do(self, hand: Hand) -> None:
        """Decide the fates of a batch's images; raises RunStopped where the run cannot go on."""
        with self._lock:
            process = min(self._processes, key=lambda one: one.in_hand)
            process.in_hand += 1
        try:
            process.do(hand)
        finally:
            with self._lock:
                process.in_hand -= 1

    def __enter__(self) -> "Processes":
        """Return the processes, which end with the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Let the processes end, and take what their stages took."""
        processes, self._processes = self._processes, []
        for process in processes:
            process.end()
        for process in processes:
            process.join(self._stages)

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that the job goes by, once a process is ready; raises as `Job.work`."""
        return self._processes[0].ready()


class _Process:
    """One process, as the run sees it."""

    def __init__(self, made: Any, job: Job, destination: str, readers: int) -> None:
        self.in_hand = 0
        self._pipe, there = made.Pipe()
        self._process = made.Process(target=_main, args=(there, job, destination, readers), daemon=True)
        self._process.start()
        there.close()
        self._sending = threading.Lock()
        self._answers: dict[int, tuple[threading.Event, list[Any]]] = {}
        self._lost: Exception | None = None
        self._report: dict[str, dict[str, float]] = {}
        self._next = 0
        self._ready = threading.Event()
        self._parameters: dict[str, Any] = {}
        self._receiver = threading.Thread(target=self._receive, daemon=True)
        self._receiver.start()

    def ready(self) -> dict[str, Any]:
        self._ready.wait()
        if self._lost is not None:
            raise self._lost
        return dict(self._parameters)

    def do(self, hand: Hand) -> None:
        answered, answer = threading.Event(), [None]
        with self._sending:
            ticket = self._next
            self._next += 1
            self._answers[ticket] = answered, answer
            with suppress(OSError):  # the receiver says what has happened
                self._pipe.send((ticket, hand.batch.items, hand.anywhere))
            if self._lost is not None:
                answered.set()
        answered.wait()
        told: Any = answer[0]
        if told is None:
            raise self._lost or RunStopped("the run stopped: a worker process was lost")
        if isinstance(told, RunStopped):
            raise told
        for one, fate in zip(hand.images, told, strict=True):
            one.boxes, one.scores, one.degenerate, one.reason = fate[2:]
            one.end(fate[0], fate[1])
        hand.is_put = hand.anywhere

    def end(self) -> None:
        with suppress(OSError):
            self._pipe.send(None)

    def join(self, stages: dict[str, dict[str, float]]) -> None:
        self._receiver.join(10)
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
        for stage, values in self._report.items():
            row = stages.setdefault(stage, {})
            for name, value in values.items():
                row[name] = row.get(name, 0) + value

    def _receive(self) -> None:
        try:
            while True:
                ticket, told = self._pipe.recv()
                if ticket == READY:
                    self._parameters = told
                    self._ready.set()
                    continue
                if ticket == END:
                    self._report = told
                    return
                if ticket == LOST:
                    self._lose(told)
                    return
                answered, answer = self._answers.pop(ticket)
                answer[0] = told
                answered.set()
        except (EOFError, OSError):
            self._lose(
                RunStopped(
                    "the run stopped because a worker process was lost (was it killed, or is memory short?); the same "
                    "command goes on with it"
                )
            )

    def _lose(self, reason: Exception) -> None:
        with self._sending:
            self._lost = reason
            self._ready.set()
            for answered, _ in self._answers.values():
                answered.set()


def _main(pipe: Connection, job: Job, destination: str, readers: int) -> None:
    """Do batches until the run says that there are no more, or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the run decides what becomes of them
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    job.one_thread()
    sending = threading.Lock()

    def send(ticket: int, told: Any) -> None:
        with sending, suppress(OSError):  # a run that is gone wants no answer
            pipe.send((ticket, told))

    def received() -> Iterator[Hand]:
        with suppress(EOFError, OSError):
            while (message := pipe.recv()) is not None:
                ticket, items, anywhere = message
                hand = Hand(Batch(items), anywhere)
                hand.part = ticket
                yield hand

    try:
        work, parameters = job.work()
        send(READY, parameters)

        @cache  # made when the first batch is there, and with it the folder
        def output() -> FolderOutput:
            return FolderOutput(open_sink(destination))

        def answer(hand: Hand) -> None:
            if hand.anywhere:
                try:
                    put_results(output(), hand)
                except OSError as error:
                    send(hand.part, stopped(error))
                    return
            send(hand.part, [_told(one, hand.anywhere) for one in hand.images])

        stages = [Stage(name, function, threads) for name, function, threads in work.stages(readers, job.device)]
        line = Stages([*stages, Stage("write", answer)], 1, AHEAD, job.one_thread)
        line.run(received())
        send(END, line.report())
    except Exception as error:
        send(LOST, error)


def _end_with_the_run() -> None:
    """End this process at once when the run is killed: what it has in hand must not meet what the next run writes."""
    run = parent_process()
    assert run is not None
    run.join()
    os._exit(1)


def _told(one: Opened, anywhere: bool) -> tuple[Any, ...]:
    """Return what the run has to know of an image."""
    return one.fate, None if anywhere else one.result, one.boxes, one.scores, one.degenerate, one.reason

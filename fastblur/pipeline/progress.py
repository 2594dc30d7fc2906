"""Showing how far a run is: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from fastblur.pipeline.shards.source import Source
from fastblur.pipeline.storage.paths import is_url
from fastblur.pipeline.summary import Tally

LINE_SECONDS = 5.0

Show = Callable[[Tally, int | None], None]
"""Takes the counters and the number of images there are, None until they are counted; called a few times a second."""


def ticking(progress: Show | None, tally: Tally, source: Source) -> Callable[[], None] | None:
    """Return a function that shows the counters and the number of images, None without `progress`.

    To know that number while the run goes on, a thread lists the source for a second time. At a URL, where a listing
    takes time and costs requests, it does not: the number is shown at the end only.
    """
    if progress is None:
        return None
    total: list[int | None] = []
    if not any(is_url(tree.location) for tree in source.inputs):
        threading.Thread(target=lambda: total.append(source.images()), name="fastblur-count", daemon=True).start()
    return lambda: progress(tally, total[0] if total else None)


@contextmanager
def shown(stream: TextIO | None = None) -> Iterator[Show]:
    """Give a function that shows progress on `stream` (default: standard error): a bar on a terminal, else lines."""
    stream = stream or sys.stderr
    with bar(stream) if stream.isatty() else lines(stream) as show:
        yield show


@contextmanager
def bar(stream: TextIO) -> Iterator[Show]:
    """Give a function that draws a progress bar with rate and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=stream, force_terminal=True)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.1f} images a second, {task.fields[failed]} failed, left"),
        TimeRemainingColumn(),
    )
    start = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("images", total=None, rate=0.0, failed=0)

        def show(tally: Tally, total: int | None) -> None:
            rate = tally.images / max(time.monotonic() - start, 1e-9)
            progress.update(task, completed=tally.images, total=total, rate=rate, failed=tally.failed)

        yield show


@contextmanager
def lines(stream: TextIO, seconds: float = LINE_SECONDS) -> Iterator[Show]:
    """Give a function that prints a line every `seconds`."""
    start = last = time.monotonic()

    def show(tally: Tally, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < seconds:
            return
        last = now
        rate = tally.images / (now - start)
        text = f"{tally.images} of {'?' if total is None else total} images, {tally.failed} failed, {rate:.1f} a second"
        if total is not None and rate > 0:
            left = int(max(total - tally.images, 0) / rate)
            text += f", {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
        print(text, file=stream, flush=True)

    yield show

"""How many workers, readers and images at once."""

import os

from fastblur.pipeline.storage.paths import is_url

# Images that go through the detector at once. On the CPU a batch of more makes it no faster; the operator's share of
# Python is what is saved, and more would leave workers idle at the end of a small folder.
BATCH = {"cpu": 8, "cuda": 32}
READERS = {"local": 2, "remote": 16}  # threads that wait for files


def readers(source: str) -> int:
    """Return how many threads read files of a source."""
    return READERS["remote" if is_url(source) else "local"]


def check_workers(workers: int | None) -> None:
    """Raise ValueError for a number of workers that no machine has."""
    if workers is not None and not 1 <= workers <= 1024:
        raise ValueError(f"workers is {workers}, expected 1 to 1024")


def default_workers() -> int:
    """Return the number of CPUs that the process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1

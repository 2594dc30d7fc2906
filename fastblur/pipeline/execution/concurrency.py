"""How many workers, readers, images and batches at once."""

import os
from collections.abc import Sequence

from fastblur.pipeline.storage.paths import is_url

# Images that go through the detector at once. On the CPU a larger batch makes it no faster: what is saved is the
# operator's share of Python, and more would leave workers idle at the end of a small folder.
BATCH = {"cpu": 8, "cuda": 32}
AHEAD = 3  # batches for each worker at once: one is read while another is worked on
READERS = {"local": 2, "remote": 16}  # threads that wait for files


def default_workers() -> int:
    """Return the number of CPUs that the process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def readers(sources: Sequence[str]) -> int:
    """Return how many threads read files of sources, each a path or URL."""
    return READERS["remote" if any(map(is_url, sources)) else "local"]


def max_in_flight(workers: int) -> int:
    """Return how many batches may be between listing and writing: no worker waits for one, and memory is bounded."""
    return AHEAD * workers + 4

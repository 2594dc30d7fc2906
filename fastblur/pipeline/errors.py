"""What ends a run, and what fails an image."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from fastblur.errors import FastblurError


class RunStopped(FastblurError, RuntimeError):
    """A run that cannot go on, for the reason that it states; the same call resumes it."""


class Failure(Exception):
    """An image that must not be written, with the reason for the list of failures."""


@contextmanager
def stopping_the_run() -> Iterator[None]:
    """Turn an OSError of the output, raised in the block, into RunStopped."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunStopped(
            f"the run stopped because DST cannot be written: {reason}; once that is mended the same command goes on "
            "from here"
        ) from error


class Interruption:
    """Whether and how a block was interrupted.

    Attributes:
        signal: the number of the signal, 0 for none.
    """

    signal = 0


@contextmanager
def until_interrupted() -> Iterator[Interruption]:
    """End the block at KeyboardInterrupt, and say which signal it was: its attribute `signal`, by default SIGINT."""
    interruption = Interruption()
    try:
        yield interruption
    except KeyboardInterrupt as error:
        interruption.signal = int(getattr(error, "signal", signal.SIGINT))

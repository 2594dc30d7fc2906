"""How a command ends: its exit status, and what the user reads where it fails."""

import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from fastblur.errors import FastblurError

STOPPED, WRONG_USAGE, BUG = 1, 2, 70
"""A run that had to stop; wrong usage; a bug (EX_SOFTWARE of sysexits.h). Signals end with 128 + their number."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""

    signal = signal.SIGTERM


@contextmanager
def exits(*, debug: bool = False, status: int = WRONG_USAGE) -> Iterator[None]:
    """Turn whatever the block raises into text on standard error and an exit status.

    An error that fastblur raises on purpose is printed as one sentence and exits with `status`, a RunStopped with 1.
    Any other exception is a bug: its traceback is printed, and the exit status is 70.

    Args:
        debug: whether the traceback of the first kind is printed too.
        status: that of an error raised on purpose.
    """
    try:
        yield
    except FastblurError as error:
        if debug:
            traceback.print_exc()
        typer.echo(f"fastblur: {error}", err=True)
        raise typer.Exit(STOPPED if isinstance(error, RuntimeError) else status) from None
    except KeyboardInterrupt as error:
        if debug:
            traceback.print_exc()
        raise typer.Exit(128 + getattr(error, "signal", signal.SIGINT)) from None
    except Exception as error:
        traceback.print_exc()
        kind = type(error).__name__
        typer.echo(f"fastblur: this {kind} is a bug of fastblur: please report it with the lines above", err=True)
        raise typer.Exit(BUG) from None


@contextmanager
def stopping_at_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: the images that are being worked on are finished.

    SIGINT keeps the disposition that the process started with: where it was ignored, it stays ignored.
    """

    def terminate(_number: int, _frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

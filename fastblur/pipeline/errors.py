"""What ends a run, and what fails an image."""


class RunStopped(RuntimeError):
    """A run that cannot go on, for the reason that is said; it can be taken up again."""


def stopped(error: OSError) -> RunStopped:
    """Return what stops a run whose output cannot be written."""
    reason = error.strerror or str(error)
    return RunStopped(
        f"the run stopped because DST cannot be written: {reason}; when that is mended the same command goes on with it"
    )


class Failure(Exception):
    """An image that must not be written, with the reason for the list of failures."""

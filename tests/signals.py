"""What processes that tests start do on signals, whatever the test run itself inherited."""

import signal


def default_signals() -> None:
    """Reset SIGINT and SIGTERM, as `preexec_fn`: a test run in the background of a script has SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def ignored_sigint() -> None:
    """Ignore SIGINT, as `preexec_fn`: what a script's background processes inherit."""
    default_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

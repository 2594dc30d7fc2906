"""Starting worker processes from one that has loaded what they all need.

Nothing heavy is imported here, so that the command can start that process before it loads its own packages.
"""

import multiprocessing
from multiprocessing.context import BaseContext

PRELOAD = "fastblur.pipeline.execution.preload"
PRELOAD_DETECT = "fastblur.pipeline.execution.preload_detect"


def start(*, detecting: bool) -> BaseContext:
    """Return the context to start processes with: a fork server, which loads at once, or "spawn" where none can be.

    Args:
        detecting: whether the processes will run a detector.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD_DETECT if detecting else PRELOAD])
    forkserver.ensure_running()
    return context

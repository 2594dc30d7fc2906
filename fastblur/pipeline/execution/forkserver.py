"""How the worker processes of a run are started; apart from them, because it loads nothing and so can begin early."""

import multiprocessing
from multiprocessing.context import BaseContext


def begin(*, detecting: bool) -> BaseContext:
    """Return how to start processes; where it can be, from one that begins at once to load what they all need.

    Args:
        detecting: whether they will run a detector.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"fastblur.pipeline.execution.{'preload_detect' if detecting else 'preload'}"])
    forkserver.ensure_running()
    return context

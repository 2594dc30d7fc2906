"""Forked processes: torch's threads stay behind in the parent, and a child that hands them work waits for ever."""

import os
import sys

_threads = False  # whether this process had threads when it was last forked
_lost = False  # whether the threads that this process believes to have are its parent's, and not replaced yet


def use_one_thread_if_forked() -> None:
    """Let torch use one thread in a process that was forked from one with threads; every entry to torch calls this.

    As the workers of a DataLoader do. It is done once, so that a later `torch.set_num_threads` counts.
    """
    global _lost
    if _lost:
        import torch

        torch.set_num_threads(1)
        _lost = False


def _before() -> None:
    global _threads
    try:
        _threads = len(os.listdir("/proc/self/task")) > 1  # OpenMP's too, which Python does not know
    except OSError:  # not Linux
        _threads = True


def _in_child() -> None:
    global _lost
    _lost = _lost or _threads


def _is_forked_with_torch() -> bool:
    """Return whether multiprocessing forked this process when torch was loaded: fastblur was not, or it would know."""
    multiprocessing = sys.modules.get("multiprocessing")
    if "torch" not in sys.modules or multiprocessing is None or multiprocessing.parent_process() is None:
        return False
    kind = type(multiprocessing.current_process()).__name__  # "Process" where the default way was taken
    return kind == "ForkProcess" or (kind == "Process" and bool(multiprocessing.get_start_method() == "fork"))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_child=_in_child)
    _lost = _is_forked_with_torch()

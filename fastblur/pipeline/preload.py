"""What the worker processes of a run all need, loaded once by the process that they are forked from."""

import torch

from fastblur.pipeline import processes
from fastblur.pipeline.hiding import make_hide

__all__ = ["processes"]

torch.set_num_threads(1)  # a process with threads must not be forked
make_hide("blur", "cpu")  # reads the compiled loops from the disk

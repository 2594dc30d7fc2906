"""As `preload`, for worker processes that also detect."""

import torch

from fastblur.pipeline.execution import preload

__all__ = ["preload"]

torch.set_num_threads(1)  # a process with threads must not be forked

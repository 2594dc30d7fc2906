"""Shards done by threads of this process."""

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.execution.concurrency import BATCH, max_in_flight, readers
from fastblur.pipeline.execution.engine import RunContext
from fastblur.pipeline.execution.shard_flow import ShardFlow, batch_stages
from fastblur.pipeline.shards.interfaces import Shard
from fastblur.torch_threads import one_torch_thread


class ThreadEngine:
    """Threads of this process: for a few images, and to feed a CUDA device.

    Args:
        config: the run's options.
        workers: how many threads.

    Raises as `RunConfig.build_stages`.
    """

    name = "threads"

    def __init__(self, config: RunConfig, workers: int) -> None:
        self.workers = workers
        self._config = config
        self._stages, self._parameters = config.build_stages()

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that decide the result."""
        return dict(self._parameters)

    def process(self, shards: Iterator[Shard], context: RunContext) -> None:
        """Do the shards; raises as `Engine.process`."""
        config = self._config
        stages = batch_stages(self._stages.stages(readers(config.sources), config.device))
        flow = ShardFlow(
            context,
            stages,
            workers=self.workers,
            batch_size=BATCH[config.device],
            max_in_flight=max_in_flight(self.workers),
            thread_init=config.use_one_torch_thread,
        )
        with one_torch_thread() if config.detects else nullcontext():
            flow.run(shards)

    def close(self) -> None:
        """Do nothing: the threads end with `process`."""

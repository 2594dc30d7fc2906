"""Shards through the stages: batches in, results written, finished shards made durable and recorded."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from fastblur.pipeline.errors import RunStopped, stopping_the_run
from fastblur.pipeline.execution.engine import RunContext
from fastblur.pipeline.execution.journal import count
from fastblur.pipeline.execution.shard_run import BatchTask, ShardPart, ShardRun
from fastblur.pipeline.execution.stages import Stage, Stages
from fastblur.pipeline.images.task import ImageStage, Outcome
from fastblur.pipeline.shards.interfaces import Batch, Shard
from fastblur.pipeline.storage.paths import error_reason


class ShardFlow:
    """Takes shards through stages of this process, and writes and records what comes out of them.

    Args:
        context: the run.
        stages: what is done to a batch before its results are written.
        workers: threads that share the stages without threads of their own.
        batch_size: images that go through the stages together.
        max_in_flight: batches at once; each more costs memory.
        thread_init: called first in each thread.
    """

    def __init__(
        self,
        context: RunContext,
        stages: Sequence[Stage[BatchTask]],
        *,
        workers: int,
        batch_size: int,
        max_in_flight: int,
        thread_init: Callable[[], None] = lambda: None,
    ) -> None:
        self._context = context
        self._batch_size = batch_size
        self._open: set[ShardRun] = set()
        written = [Stage("write", self._write), Stage("commit", self._commit, threads=1)]
        self._stages = Stages([*stages, *written], workers, max_in_flight, thread_init)

    def run(self, shards: Iterator[Shard]) -> None:
        """Do the shards; raises as `Stages.run`, and RunStopped where the sink fails."""
        try:
            self._stages.run(self._batches(shards), self._context.on_tick)
        finally:
            self._context.stages.add(self._stages.report())
            for shard in self._open:
                shard.output.abort()

    def _batches(self, shards: Iterator[Shard]) -> Iterator[BatchTask]:
        for shard in shards:
            run = ShardRun(shard, shard.output(self._context.sink))
            self._open.add(run)
            held: Batch | None = None  # back, until it is known whether it is the last
            index = 0
            for batch in _until_broken(run, self._batch_size):
                if held is not None:
                    yield self._task(held, ShardPart(run, index, is_last=False))
                    index += 1
                held = batch
            yield self._task(Batch([]) if held is None else held, ShardPart(run, index, is_last=True))

    def _task(self, batch: Batch, part: ShardPart) -> BatchTask:
        return BatchTask(replace(batch, items=[self._context.assign_boxes(item) for item in batch.items]), part)

    def _write(self, task: BatchTask) -> list[BatchTask]:
        with stopping_the_run():
            written = task.part.run.write(task)
        for each in written:
            self._context.tally.add(count(each.images))
            for image in each.images:
                if image.outcome is Outcome.FAILED:
                    self._failed(image.item.name, image.reason)
        return written

    def _commit(self, task: BatchTask) -> None:
        if not task.finishes_shard:
            return
        run, context = task.part.run, self._context
        if run.broken:
            run.counts["failed"] += 1
            run.counts["images"] += 1
            context.tally.add({"images": 1, "failed": 1})
            self._failed(run.shard.name, run.broken)
        with stopping_the_run():
            run.output.commit()
            if context.journal is not None:
                context.journal.finish(run.shard, run.counts, run.broken, run.lines())
        context.tally.add({"shards": 1})
        self._open.discard(run)

    def _failed(self, name: str, reason: str) -> None:
        with stopping_the_run():
            self._context.record_failure(name, reason)
        if self._context.config.on_error == "stop":
            raise RunStopped(f"the run stopped at {name!r}: {reason}")


def _until_broken(run: ShardRun, batch_size: int) -> Iterator[Batch]:
    """Yield a shard's batches; where it ends too early, the reason goes to `run.broken`."""
    try:
        yield from run.shard.batches(batch_size)
    except (ValueError, OSError) as error:
        run.broken = error_reason(error)


def batch_stages(stages: Sequence[ImageStage]) -> list[Stage[BatchTask]]:
    """Return the stages of images as stages of batches."""

    def on_batch(stage: ImageStage) -> Stage[BatchTask]:
        return Stage(stage.name, lambda task: stage.work(task.images), stage.threads)

    return [on_batch(stage) for stage in stages]

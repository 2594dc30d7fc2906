"""The choice of the engine of a run."""

from fastblur.errors import UsageError
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.execution import forkserver
from fastblur.pipeline.execution.concurrency import default_workers
from fastblur.pipeline.execution.engine import Engine
from fastblur.pipeline.execution.processes import ProcessEngine
from fastblur.pipeline.execution.threads import ThreadEngine
from fastblur.pipeline.shards.source import Source


def start_engine(config: RunConfig, source: Source) -> Engine:
    """Return the engine that does a run, its workers starting.

    Raises UsageError where the engine asked for cannot do the source, and as `RunConfig.build_stages`.
    """
    if source.is_image and config.engine not in ("auto", "threads"):
        raise UsageError(f"engine is {config.engine!r} for one image, expected 'auto'")
    workers = config.workers or default_workers()
    name = config.engine
    if name == "auto":
        alone = config.device == "cuda" or workers == 1 or config.in_memory or source.is_image or source.is_small()
        alone |= config.detects and callable(config.detector)  # which other processes may not be able to import
        name = "threads" if alone else "processes"
    if name == "processes":
        return ProcessEngine(config, workers, forkserver.start(detecting=config.detects))
    if name == "threads":
        return ThreadEngine(config, workers)
    from fastblur.pipeline.execution.ray import RayEngine

    return RayEngine(config)

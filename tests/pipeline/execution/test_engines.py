"""Which engine does a run."""

from pathlib import Path
from typing import Any

import pytest

from fastblur.errors import UsageError
from fastblur.pipeline.config import RunConfig
from fastblur.pipeline.execution import engines
from fastblur.pipeline.shards.source import FEW, Source


class Started:
    """In the place of an engine: how it was made."""

    def __init__(self, config: RunConfig, workers: int, *context: object) -> None:
        self.workers, self.context = workers, context


class Threads(Started):
    """In the place of ThreadEngine."""


class Processes(Started):
    """In the place of ProcessEngine."""


@pytest.fixture(autouse=True)
def _nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ThreadEngine", Threads)
    monkeypatch.setattr(engines, "ProcessEngine", Processes)
    monkeypatch.setattr(engines.forkserver, "start", lambda detecting: f"detecting: {detecting}")
    monkeypatch.setattr(engines, "default_workers", lambda: 7)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of more images than are done by threads."""
    root = tmp_path_factory.mktemp("many")
    for number in range(FEW + 1):
        (root / f"{number}.jpg").touch()
    return root


def started(root: Path, **options: Any) -> Any:
    config = RunConfig((str(root),), "dst", **options)
    return engines.start_engine(config, Source(config.sources))


def test_processes_for_many_images(many: Path) -> None:
    engine = started(many)
    assert isinstance(engine, Processes)
    assert (engine.workers, engine.context) == (7, ("detecting: True",))
    assert started(many, workers=3, boxes="boxes.json").context == ("detecting: False",)
    assert started(many, workers=3).workers == 3


@pytest.mark.parametrize("options", [{"workers": 1}, {"device": "cuda"}, {"engine": "threads"}])
def test_threads_where_processes_do_not_pay(many: Path, options: dict[str, Any]) -> None:
    assert isinstance(started(many, **options), Threads)


def test_threads_for_few_images_unless_asked_otherwise(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert isinstance(started(tmp_path), Threads)
    assert isinstance(started(tmp_path, engine="processes"), Processes)
    assert isinstance(started(tmp_path / "a.jpg"), Threads)


def test_threads_for_what_only_this_process_sees(many: Path) -> None:
    config = RunConfig((str(many),), "memory://out")
    assert isinstance(engines.start_engine(config, Source(config.sources)), Threads)


@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_one_image_is_done_by_this_process(tmp_path: Path, engine: str) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UsageError, match=f"engine is '{engine}' for one image, expected 'auto'"):
        started(tmp_path / "a.jpg", engine=engine)

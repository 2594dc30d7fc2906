"""What the suites share: the workload, the device, and how a side is timed."""

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch

from benchmarks.common.measure import DATA
from benchmarks.common.workloads import Workload, load
from fastblur.pipeline.execution.concurrency import default_workers

if (DATA / "weights").is_dir():
    os.environ.setdefault("FASTBLUR_WEIGHTS", str(DATA / "weights"))


def pytest_report_header() -> str:
    return f"workload: {load().source}; one thread where a test does not say more, of {default_workers()}"


@pytest.fixture(scope="session")
def workload() -> Workload:
    return load()


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no CUDA device"))])  # fmt: skip
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def timed(benchmark: Any) -> Callable[..., Any]:
    """Return a function that calls a side once to warm up, then measures it in a group of the table."""

    def run(group: str, side: Callable[[], Any], device: str = "cpu") -> Any:
        def synchronized() -> Any:
            result = side()
            torch.cuda.synchronize()
            return result

        benchmark.group = group
        measured = side if device == "cpu" else synchronized
        measured()
        return benchmark(measured)

    return run


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)

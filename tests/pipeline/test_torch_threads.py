"""What is done to many images in parallel lets torch use one thread meanwhile, and leaves it as it was."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from fastblur.audit import audit
from fastblur.pipeline import correct, detect, run
from tests.audit.correct_cases import judged


@pytest.fixture
def three() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def in_new_thread() -> int:
    """Return how many threads torch uses in a thread that begins now."""
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


JOBS: dict[str, Callable[[Path, Path, Path], object]] = {
    "run": lambda source, out, judgements: run(source / "a", out.with_name("new"), engine="threads"),
    "detect": lambda source, out, judgements: detect(source / "a", out.with_name("found.jsonl")),
    "audit": lambda source, out, judgements: audit(out, out.with_name("report"), source=source, sample=2, gallery=0),
    "correct": lambda source, out, judgements: correct(source, out, judgements),
}


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("job", JOBS)
def test_torch_has_as_many_threads_as_before(tmp_path: Path, job: str) -> None:
    source, out, judgements = judged(tmp_path, "folder")
    JOBS[job](source, out, judgements)
    assert (torch.get_num_threads(), in_new_thread()) == (3, 3)


@pytest.mark.usefixtures("three")
def test_batches_of_ray_too(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import numpy as np

    from fastblur.integrations.ray_data import HideFaces

    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    column = np.empty(1, object)
    column[0] = (tmp_path / "a.png").read_bytes()
    boxes = np.empty(1, object)
    boxes[0] = [[5, 5, 20, 20]]
    HideFaces(box_column="boxes")({"image": column, "boxes": boxes})
    assert (torch.get_num_threads(), in_new_thread()) == (3, 3)

"""Shards done by Ray's actors: the same bytes as a run on this machine, whatever is lost on the way."""

import io
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastblur.pipeline import run

pytestmark = [pytest.mark.slow, pytest.mark.ray]

ray = pytest.importorskip("ray", reason="the package ray is absent (the extra fastblur[ray])")

SHARDS, IMAGES = 6, 1400


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A tree of images of noise with a box each, in six shards, and their boxes file; two of them are broken."""
    root = tmp_path_factory.mktemp("tree")
    rng = np.random.default_rng(0)
    files = []
    for _ in range(7):
        file = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    entries = []
    for i in range(IMAGES):
        path = root / "images" / f"{i % 4}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[i % 7] if i not in (17, 1000) else files[0][:2000])
        boxes = [{"x0": 10, "y0": 20, "x1": 70 + i % 50, "y1": 90}] if i % 3 else []
        entries.append({"url": f"images/{i % 4}/{i:05}.jpg", "bboxes": boxes})
    (root / "boxes.json").write_text(json.dumps(entries))
    return root


@pytest.fixture(scope="module")
def expected(tree, tmp_path_factory):
    """What a run on this machine makes of the tree."""
    out = tmp_path_factory.mktemp("expected") / "out"
    summary = run(tree / "images", out, boxes=tree / "boxes.json", engine="threads", workers=2)
    assert (summary.images, summary.failed) == (IMAGES, 2)
    return content(out)


def content(out: Path) -> dict[str, bytes]:
    """The files of an output and of its journal; the lists of failures as sets of lines."""
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    failures = files.pop(".fastblur/failures.jsonl", b"").splitlines()
    files[".fastblur/failures.jsonl"] = b"\n".join(sorted(failures))
    del files[".fastblur/run.json"]
    return files


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of two nodes of this machine, one CPU each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    node = started.add_node(num_cpus=1)
    ray.init(address=started.address, log_to_driver=False, configure_logging=False)
    yield started, node
    ray.shutdown()
    started.shutdown()


def workers() -> list[int]:
    """The processes of the actors."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::ShardWorker"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def when_shards_are_done(out: Path, count: int, act) -> threading.Thread:
    """Call `act` when the journal has so many shards."""

    def wait() -> None:
        limit = time.monotonic() + 60
        while time.monotonic() < limit and len(list(out.glob(".fastblur/journal/*"))) < count:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_the_result_is_that_of_a_run_on_this_machine_and_survives_a_killed_worker_and_a_lost_node(
    tree, expected, cluster, tmp_path
):
    started, node = cluster
    seen = []
    summary = run(
        tree / "images", tmp_path / "a", boxes=tree / "boxes.json", engine="ray",
        progress=lambda tally, _: seen.append(tally.images),
    )  # fmt: skip
    assert (summary.images, summary.failed, summary.shards) == (IMAGES, 2, SHARDS)
    assert seen == sorted(seen)
    assert seen[-1] == IMAGES
    assert {"read", "decode", "hide", "encode", "write"} <= summary.stages.keys()
    assert content(tmp_path / "a") == expected

    killed = []

    def kill() -> None:
        for pid in workers()[:1]:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    thread = when_shards_are_done(tmp_path / "b", 1, kill)
    summary = run(tree / "images", tmp_path / "b", boxes=tree / "boxes.json", engine="ray")
    thread.join()
    assert killed
    assert (summary.images, summary.failed) == (IMAGES, 2)
    assert content(tmp_path / "b") == expected

    thread = when_shards_are_done(tmp_path / "c", 1, lambda: started.remove_node(node, allow_graceful=False))
    summary = run(tree / "images", tmp_path / "c", boxes=tree / "boxes.json", engine="ray")
    thread.join()
    assert (summary.images, summary.failed) == (IMAGES, 2)
    assert content(tmp_path / "c") == expected

    again = run(tree / "images", tmp_path / "c", boxes=tree / "boxes.json", engine="threads")
    assert (again.images, again.resumed, again.failed) == (IMAGES, IMAGES, 2)


def test_one_image_is_refused(tree, tmp_path):
    with pytest.raises(ValueError, match="engine is 'ray' for one image"):
        run(tree / "images" / "0" / "00000.jpg", tmp_path / "out", engine="ray")

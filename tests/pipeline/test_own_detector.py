"""A user's own detector in a run: named, imported by worker processes, checked, and in the journal."""

import hashlib
import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fastblur.cli import app
from fastblur.errors import UsageError
from fastblur.pipeline import detect, run
from fastblur.pipeline.config import RunConfig
from tests.pipeline.helpers import decoded, encoded, failures, files_below

BOX = [20.0, 10.0, 60.0, 50.0]
MODULE = """
import os

class Counting:
    __version__ = "4.2"

    def __init__(self):
        open({log!r}, "a").write(f"made in {{os.getpid()}}\\n")

    def __call__(self, images):
        assert all(image.shape[0] == 3 and image.dtype.is_floating_point is False for image in images)
        large = [image.shape[2] > 50 for image in images]
        return [[{box!r}] if one else [] for one in large], [[0.9] if one else [] for one in large]

def plain(images):
    return [[{box!r}]] * len(images)

def wrong(images):
    return [[[0.1, 0.1, 0.5, 0.5]]] * len(images)

detector = plain
"""


@pytest.fixture
def src(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (80, 100, 3), np.uint8)
        (folder / f"{number}.png").write_bytes(encoded(pixels, "PNG"))
    (folder / "small.png").write_bytes(encoded(np.full((30, 30, 3), 9, np.uint8), "PNG"))
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the module own_faces, and the package where its classes log that they were made."""
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "own_faces.py").write_text(MODULE.format(log=str(tmp_path / "log"), box=BOX))
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("own_faces", None)
    return folder


def hidden_is_right(source: Path, out: Path, names: set[str]) -> None:
    for name in files_below(source):
        before, after = decoded(source / name), decoded(out / name)
        changed = (before != after).any(-1)
        if name not in names:
            assert not changed.any()
        else:
            assert changed[15:45, 25:55].mean() > 0.9
            assert not changed[:, 75:].any()


FACES = {f"{number}.png" for number in range(6)}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_a_class_is_made_once_in_each_process(src: Path, package: Path, tmp_path: Path, engine) -> None:
    out = tmp_path / "out"
    summary = run(src, out, detector="own_faces:Counting", engine=engine, workers=2, device="cpu")
    assert (summary.exit_status, summary.with_regions, summary.copied) == (0, 6, 1)
    hidden_is_right(src, out, FACES)
    made = (tmp_path / "log").read_text().splitlines()
    assert len(set(made)) == len(made) == (1 if engine == "threads" else 2)
    record = json.loads((out / ".fastblur" / "run.json").read_text())["parameters"]
    assert (record["detector"], record["detector_version"]) == ("own_faces:Counting", "4.2")
    assert summary.parameters["detector"] == "own_faces:Counting"


@pytest.mark.slow
@pytest.mark.ray
def test_ray_imports_it(src: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", f"{package}:{sys.path[0]}")
    # Its own cluster: without an address Ray would take any other that runs on this machine.
    ray.init(address="local", num_cpus=2, log_to_driver=False, configure_logging=False, include_dashboard=False)
    try:
        out = tmp_path / "out"
        summary = run(src, out, detector="own_faces:Counting", engine="ray", workers=1, device="cpu")
        assert (summary.exit_status, summary.with_regions) == (0, 6)
        hidden_is_right(src, out, FACES)
    finally:
        ray.shutdown()


def test_a_callable_is_called_by_one_thread_at_a_time(src: Path, tmp_path: Path) -> None:
    inside = []

    def detector(images):
        inside.append(threading.get_ident())
        assert len(inside) == 1
        found = [[BOX] if image.shape[2] > 50 else [] for image in images]
        inside.clear()
        return found

    out = tmp_path / "out"
    summary = run(src, out, detector=detector, workers=4, device="cpu")
    assert (summary.exit_status, summary.with_regions, summary.copied) == (0, 6, 1)
    hidden_is_right(src, out, FACES)
    record = json.loads((out / ".fastblur" / "run.json").read_text())["parameters"]
    assert record["detector"].endswith(":test_a_callable_is_called_by_one_thread_at_a_time.<locals>.detector")
    assert record["detector_version"] == f"sha256 {hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}"


def test_a_run_with_another_version_of_it_is_another_run(src: Path, tmp_path: Path) -> None:
    class Finder:
        version = "1"

        def __call__(self, images):
            return [[] for _ in images]

    run(src, tmp_path / "out", detector=Finder(), device="cpu")
    Finder.version = "2"
    with pytest.raises(UsageError, match="detector_version was '1' and is '2'"):
        run(src, tmp_path / "out", detector=Finder(), device="cpu")


WRONG = {
    "raises": (lambda images: 1 / 0, "ZeroDivisionError"),
    "None": (lambda images: None, "it gave a NoneType, expected Regions, or a list with the boxes of each of"),
    "too few": (lambda images: [], "it gave boxes for 0 images, expected 1"),
    "relative": (lambda images: [[[0.1, 0.1, 0.6, 0.6]] for _ in images], "as if in parts of the image"),
    "reversed": (lambda images: [[[60, 50, 20, 10]] for _ in images], "expected x0 <= x1 and y0 <= y1"),
    "NaN": (lambda images: [[[float("nan"), 1, 2, 3]] for _ in images], "expected finite coordinates"),
    "outside": (lambda images: [[[500, 500, 600, 600]] for _ in images], "lies outside its image of"),
    "scores": (lambda images: ([[BOX] for _ in images], [[] for _ in images]), "has 0 scores, expected 1"),
    "one for all": (lambda images: np.array([BOX]), "it gave a ndarray, expected Regions, or a list"),
}


@pytest.mark.parametrize("name", WRONG)
def test_images_in_which_it_fails_are_not_written(src: Path, tmp_path: Path, name) -> None:
    detector, reason = WRONG[name]
    out = tmp_path / "out"
    summary = run(src, out, detector=detector, device="cpu")
    assert (summary.exit_status, summary.failed, summary.with_regions, summary.copied) == (1, 7, 0, 0)
    assert files_below(out) == set()
    assert all(reason in why and why.startswith("detect: ") for why in failures(out).values())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"detector": "own_faces"}, "detector is 'own_faces', expected 'centerface'.*or one of your own as 'package"),
        ({"detector": "no_such_module:x"}, "there is no module 'no_such_module'"),
        ({"detector": "own_faces:missing"}, "the module has no 'missing'"),
        ({"detector": "own_faces:__name__"}, "which is a str, expected a callable"),
        ({"detector": "own_faces:plain", "threshold": 0.4}, "threshold has no effect with a detector of your own"),
        ({"detector": len, "detect_size": 640}, "detect_size has no effect with a detector of your own"),
        ({"detector": len, "engine": "processes"}, "a detector that other processes cannot import"),
        ({"detector": len, "engine": "ray"}, "a detector that other processes cannot import"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_written(src: Path, package, tmp_path, options, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        run(src, tmp_path / "out", device="cpu", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("def detector(images) return []", "cannot be imported: SyntaxError: expected ':'"),
        (
            "class detector:\n    def __init__(self, path): ...",
            "cannot be made: TypeError: detector.__init__() missing",
        ),
        ("class detector:\n    def __init__(self):\n        1 / 0", "cannot be made: ZeroDivisionError"),
    ],
)
def test_a_broken_one_is_wrong_usage_and_not_a_bug(src: Path, package: Path, tmp_path: Path, text, sentence) -> None:
    name = f"own_{abs(hash(text))}"
    (package / f"{name}.py").write_text(text)
    for command in ("run", "detect"):
        out = tmp_path / f"{command}.jsonl"
        done = CliRunner().invoke(app, [command, str(src), str(out), "--detector", f"{name}:detector"])
        assert done.exit_code == 2
        assert f"fastblur: detector '{name}:detector' {sentence}" in done.output
        assert "Traceback" not in done.output


def test_what_is_no_detector() -> None:
    with pytest.raises(TypeError, match="detector is a int, expected a name or a callable"):
        RunConfig(("a",), "b", detector=3)


@pytest.mark.slow
def test_the_command_imports_it_from_the_current_folder(
    src: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(package)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(package)])
    sys.modules.pop("own_faces", None)
    done = CliRunner().invoke(app, ["run", str(src), str(tmp_path / "out"), "--detector", "own_faces:detector"])
    assert done.exit_code == 0, done.output
    hidden_is_right(src, tmp_path / "out", {*FACES, "small.png"} - {"small.png"})
    wrong = CliRunner().invoke(app, ["run", str(src), str(tmp_path / "no"), "--detector", "own_faces:wrong"])
    assert wrong.exit_code == 1
    found = CliRunner().invoke(app, ["detect", str(src), str(tmp_path / "f.jsonl"), "--detector", "own_faces:Counting"])
    assert found.exit_code == 0, found.output
    lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert {line["detector"] for line in lines} == {"own_faces:Counting"}
    assert {line["detector_version"] for line in lines} == {"4.2"}
    assert {len(line["scores"]) for line in lines} == {0, 1}


def test_detect_takes_a_callable(src: Path, tmp_path: Path) -> None:
    found = detect(
        src, tmp_path / "f.jsonl", detector=lambda images: [[BOX]] * len(images), device="cpu", others="skip"
    )
    assert (found.images, found.failed) == (7, 0)

"""The command line: its options, its refusals and its exit status."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from typer.testing import CliRunner

import fastblur
from fastblur.cli import app
from fastblur.cli_detect import detect_command
from fastblur.cli_run import run_command
from fastblur.errors import UsageError
from fastblur.need import MissingPackage
from fastblur.pipeline.detect_files import detect
from fastblur.pipeline.errors import RunStopped
from fastblur.pipeline.run_files import run
from tests.pipeline.helpers import decoded, detail, encoded, failures, files_below
from tests.signals import default_signals, ignored_sigint

FACE = (175, 60, 275, 190)
COMMAND = [sys.executable, "-c", "from fastblur.cli import main; main()"]


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """A folder with a face, and a picture without one."""
    data = pytest.importorskip("skimage.data")
    root = tmp_path / "src"
    root.mkdir()
    (root / "face.png").write_bytes(encoded(np.asarray(data.astronaut()), "PNG", compress_level=1))
    (root / "black.jpg").write_bytes(encoded(np.zeros((40, 60, 3), np.uint8), "JPEG"))
    return root


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    path = tmp_path / "boxes.json"
    box = dict(zip(("x0", "y0", "x1", "y1"), FACE, strict=True))
    path.write_text(json.dumps([{"url": "face.png", "bboxes": [box]}, {"url": "black.jpg", "bboxes": []}]))
    return path


def call(*arguments: object) -> "tuple[int, str, str]":
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def refusals(errors: str) -> list[str]:
    """The lines on standard error that are no progress, which a busy machine shows."""
    return [line for line in errors.splitlines() if " images, " not in line]


def test_version_and_help() -> None:
    assert call("--version") == (0, f"fastblur {fastblur.__version__}\n", "")
    status, text, _ = call("--help")
    assert status == 0
    assert "run" in text
    assert "demo" in text
    status, text, _ = call("run", "--help")
    assert status == 0
    assert "--scope" in text


def options_of(command: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Type and default of the parameters of a command, by the names that the function behind it has for them."""
    renamed = {"src": "source", "dst": "destination", "json": "report"}
    hints = get_type_hints(command)
    parameters = inspect.signature(command).parameters.values()
    return {renamed.get(one.name, one.name): (hints[one.name], one.default) for one in parameters}


def literal_choices(hint: Any) -> tuple[str, ...] | None:
    """The values of a Literal type, or of an optional one; None for other types."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next(filter(None, map(literal_choices, get_args(hint))), None)


@pytest.mark.parametrize(("command", "function"), [(run_command, run), (detect_command, detect)])
def test_every_option_is_one_of_the_function(command: Callable[..., Any], function: Callable[..., Any]) -> None:
    options, expected = options_of(command), options_of(function)
    assert options.keys() - {"debug"} == expected.keys() - {"progress"}
    for name in options.keys() - {"debug"}:
        assert options[name][1] == expected[name][1], name
        if name != "detector":  # which takes more than fastblur's names
            assert literal_choices(options[name][0]) == literal_choices(expected[name][0]), name


def test_a_folder_with_a_detector(src: Path, tmp_path: Path) -> None:
    status, text, errors = call("run", src, tmp_path / "out")
    assert (status, refusals(errors)) == (0, [])
    assert "images        2" in text
    assert "with regions  1, 1 regions hidden" in text
    assert "copied        1" in text
    assert files_below(tmp_path / "out") == {"face.png", "black.jpg"}
    assert detail(decoded(tmp_path / "out/face.png")) < 0.25 * detail(decoded(src / "face.png"))


def test_every_option_reaches_the_run(src: Path, boxes: Path, tmp_path: Path) -> None:
    status, _, errors = call(
        "run", src, tmp_path / "out", "--boxes", boxes, "--unlisted", "detect", "--detector", "centerface",
        "--threshold", "0.5", "--detect-size", "256", "--method", "blur", "--recipe", "ilsvrc", "--strength", "0.2",
        "--margin", "0.3", "--feather", "0.04", "--shape", "ellipse", "--device", "cpu", "--workers", "2",
        "--overwrite", "--json", tmp_path / "report.json", "--format", "images", "--max-pixels", "1000000",
        "--engine", "threads", "--on-error", "stop", "--scope", "region", "--strip-metadata",
    )  # fmt: skip
    assert (status, refusals(errors)) == (0, [])
    parameters = json.loads((tmp_path / "report.json").read_text())["parameters"]
    expected = {
        "source": str(src), "boxes": str(boxes), "unlisted": "detect", "format": "images", "max_pixels": 1000000,
        "detector": "centerface", "threshold": 0.5, "detect_size": 256, "method": "blur", "recipe": "ilsvrc",
        "strength": 0.2, "margin": 0.3, "feather": 0.04, "shape": "ellipse", "scope": "region", "device": "cpu",
        "workers": 2, "engine": "threads", "strip_metadata": True,
    }  # fmt: skip
    assert {name: parameters[name] for name in expected} == expected
    status, _, _ = call(
        "run",
        src,
        tmp_path / "p",
        "--boxes",
        boxes,
        "--method",
        "pixelate",
        "--blocks",
        "4",
        "--json",
        tmp_path / "p.json",
    )
    assert json.loads((tmp_path / "p.json").read_text())["parameters"]["blocks"] == 4
    status, _, _ = call("run", src, tmp_path / "f", "--boxes", boxes, "--method", "fill", "--color", "1,2,3")
    assert decoded(tmp_path / "f/face.png")[125, 225].tolist() == [1, 2, 3]


def test_a_failed_image_gives_status_1(src: Path, tmp_path: Path) -> None:
    (src / "bad.jpg").write_bytes(b"no image")
    status, text, _ = call("run", src, tmp_path / "out")
    assert status == 1
    assert f"failed        1, listed in {tmp_path / 'out' / '.fastblur' / 'failures.jsonl'}" in text
    assert list(failures(tmp_path / "out")) == ["bad.jpg"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["{tmp}/absent", "{tmp}/out"], "does not exist"),
        (["{tmp}/boxes.json", "{tmp}/out"], "no file of images"),
        (["{src}", "{src}"], "is SRC"),
        (["{src}", "{src}/out"], "lies in SRC"),
        (["{src}", "{tmp}"], "holds SRC"),
        (["{src}", "{tmp}/boxes.json"], "is a file"),
        (["{src}", "{tmp}/full"], "is not empty"),
        (["{src}/face.png", "{src}/face.png"], "replace SRC itself"),
        (["{src}/face.png", "{tmp}/face.jpg"], "another suffix"),
        (["{src}", "{tmp}/out", "--recipe", "nothing"], "'nothing'"),
        (["{src}", "{tmp}/out", "--strength", "-1"], "strength is -1.0"),
        (["{src}", "{tmp}/out", "--margin", "-1"], "margin is -1.0"),
        (["{src}", "{tmp}/out", "--feather", "nan"], "feather is nan"),
        (["{src}", "{tmp}/out", "--threshold", "2"], "threshold is 2.0"),
        (["{src}", "{tmp}/out", "--detect-size", "-5"], "detect_size is -5"),
        (["{src}", "{tmp}/out", "--workers", "0"], "workers is 0"),
        (["{src}", "{tmp}/out", "--detector", "nothing"], "detector is 'nothing', expected 'centerface'"),
        (["{src}", "{tmp}/out", "--detector", "no_such_module:x"], "there is no module 'no_such_module'"),
        (["{src}", "{tmp}/out", "--unlisted", "copy"], "unlisted has no effect"),
        (["{src}", "{tmp}/out", "--blocks", "4"], "blocks has no effect"),
        (["{src}", "{tmp}/out", "--boxes", "{tmp}/absent.json"], "absent.json"),
        (["{src}", "{tmp}/out", "--boxes", "{src}/face.png"], "is not JSON"),
        (["{src}", "{tmp}/out", "--boxes", "{tmp}/bad.json"], "finite numbers"),
        (["{src}", "{tmp}/out", "--json", "{tmp}/absent/report.json"], "cannot be written"),
        (["{src}", "{tmp}/boxes.json/out"], "cannot be written"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(
    src: Path, boxes: Path, tmp_path: Path, arguments: list[str], word: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    (tmp_path / "bad.json").write_text(boxes.read_text().replace("275", "NaN"))
    status, text, errors = call("run", *(part.format(src=src, tmp=tmp_path) for part in arguments))
    assert status == 2
    assert word in errors
    assert errors.startswith("fastblur: ")
    assert errors.count("\n") == 1
    assert text == ""
    assert not (tmp_path / "out").exists()
    assert files_below(src) == {"face.png", "black.jpg"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "a"],
        ["run", "a", "b", "--method", "smear"],
        ["run", "a", "b", "--scope", "batch"],
        ["walk"],
        ["run", "a", "b", "--nothing"],
    ],
)
def test_what_the_parser_refuses_has_status_2(arguments: list[str]) -> None:
    status, text, errors = call(*arguments)
    assert (status, text) == (2, "")
    assert "Usage" in errors
    assert "Traceback" not in errors


@pytest.mark.slow
def test_the_process_ends_with_the_status(src: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def status(*arguments: object) -> int:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=600, env=environment, check=False
        )
        assert "Traceback" not in done.stderr
        return done.returncode

    assert status("run", src, tmp_path / "out") == 0
    assert status("run", src, tmp_path / "out") == 0, "there is nothing left to do"
    assert status("run", src, tmp_path / "out", "--method", "fill") == 2
    (src / "bad.jpg").write_bytes(b"no image")
    assert status("run", src, tmp_path / "out", "--overwrite") == 1


def raising(error: BaseException) -> Callable[..., Any]:
    def function(*_: object, **__: object) -> Any:
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("workers is 0, expected 1 to 9"), 2),
        (MissingPackage("the package x is missing"), 2),
        (RunStopped("the run stopped"), 1),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_what_is_raised_on_purpose_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, debug: bool
) -> None:
    monkeypatch.setattr("fastblur.pipeline.run_files.run", raising(error))
    monkeypatch.setattr("fastblur.pipeline.detect_files.detect", raising(error))
    for command in (["run", "a", "b"], ["detect", "a", "b.jsonl"]):
        got, text, errors = call(*command, *(["--debug"] if debug else []))
        assert (got, text) == (status, "")
        assert errors.endswith(f"fastblur: {error}\n")
        assert errors.count("\n") == 1 or debug
        assert ("Traceback" in errors) == debug


@pytest.mark.parametrize(
    "error", [ValueError("no"), TypeError("no"), OSError("no"), ImportError("no"), KeyError("no"), RuntimeError("no")]
)
def test_a_bug_shows_its_traceback_and_has_status_70(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("fastblur.pipeline.run_files.run", raising(error))
    status, text, errors = call("run", "a", "b")
    assert (status, text) == (70, "")
    assert errors.startswith("Traceback")
    assert "in function" in errors
    assert errors.endswith(
        f"fastblur: this {type(error).__name__} is a bug of fastblur: please report it with the lines above\n"
    )


def test_a_bug_in_a_real_run_has_status_70(src: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastblur.pipeline.run_files.check_destination", raising(ValueError("no")))
    status, _, errors = call("run", src, tmp_path / "out")
    assert status == 70
    assert "Traceback" in errors
    assert not (tmp_path / "out").exists()


POSIX = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")


class Started:
    """A run over 400 images by one worker that has written at least one of them."""

    def __init__(self, folder: Path, dispositions: Callable[[], None], *options: str) -> None:
        data = pytest.importorskip("skimage.data")
        self.image = encoded(np.asarray(data.astronaut()), "PNG", compress_level=1)
        (folder / "src").mkdir()
        names = [f"{number}.png" for number in range(400)]
        for name in names:
            (folder / "src" / name).write_bytes(self.image)
        box = dict(zip(("x0", "y0", "x1", "y1"), FACE, strict=True))
        (folder / "boxes.json").write_text(json.dumps([{"url": name, "bboxes": [box]} for name in names]))
        self.out = folder / "out"
        command = [
            "run",
            str(folder / "src"),
            str(self.out),
            "--boxes",
            str(folder / "boxes.json"),
            "--workers",
            "1",
            *options,
        ]
        self.process = subprocess.Popen(
            [*COMMAND, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=dispositions
        )
        while self.process.poll() is None and not (self.out.is_dir() and any(self.out.glob("*.png"))):
            time.sleep(0.05)

    def ended(self) -> tuple[int, str, str]:
        text, errors = self.process.communicate(timeout=600)
        return self.process.returncode, text, errors


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_process(tmp_path: Path, number: signal.Signals, status: int) -> None:
    started = Started(tmp_path, default_signals)
    started.process.send_signal(number)
    got, text, errors = started.ended()
    assert got == status, errors
    assert "Traceback" not in errors
    assert "interrupted   before all images were done; the same command goes on from here" in text
    written = files_below(started.out)
    assert 0 < len(written) < 400
    assert all(name.endswith(".png") for name in written), "no temporary file is left"
    limit = 0.3 * detail(decoded(started.image))
    assert all(detail(decoded(started.out / name)) < limit for name in written)


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("engine", ["threads", "processes"])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_at_once_are_one(tmp_path: Path, second: signal.Signals, engine: str) -> None:
    """A terminal's, and that of a program that passes it on."""
    started = Started(tmp_path, default_signals, "--engine", engine)
    started.process.send_signal(signal.SIGINT)
    started.process.send_signal(second)
    got, text, errors = started.ended()
    assert got in (130, 143), errors
    assert "Traceback" not in errors
    assert "interrupted   before all images were done; the same command goes on from here" in text
    assert all(name.endswith(".png") for name in files_below(started.out)), "no temporary file is left"


@pytest.mark.slow
@POSIX
def test_sigint_that_was_ignored_at_the_start_stays_ignored(tmp_path: Path) -> None:
    started = Started(tmp_path, ignored_sigint)
    started.process.send_signal(signal.SIGINT)
    status, text, errors = started.ended()
    assert status == 0, errors
    assert "interrupted" not in text
    assert len(files_below(started.out)) == 400


def test_without_its_packages_it_says_which() -> None:
    code = "import sys; sys.modules['typer'] = None; from fastblur.cli import main"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "fastblur: the package typer is missing, expected it installed: pip install 'fastblur[run]'\n"
    )


def test_help_comes_without_the_heavy_packages() -> None:
    code = (
        "import sys; from fastblur.cli import app\n"
        "try: app(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numba', 'kornia', 'onnxruntime', 'PIL'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stderr.strip() == "[]"

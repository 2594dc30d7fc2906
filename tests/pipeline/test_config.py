"""The options of a run: what is refused, and what stays the same on the way to a worker."""

import inspect
import pickle
import re
import sys
from typing import Any

import pytest

from fastblur.errors import UsageError
from fastblur.pipeline import run
from fastblur.pipeline.config import OPTION_NAMES, RunConfig, check_workers, resolve_device

DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(run).parameters.items()
    if name not in ("source", "destination", "progress")
}


def config(**options: Any) -> RunConfig:
    return RunConfig.from_options({"source": "src", "destination": "dst", **DEFAULTS, "device": "cpu", **options})


def test_every_argument_of_run_has_its_place() -> None:
    fields = RunConfig.__dataclass_fields__
    plural = {"image_column": "image_columns", "box_category": "box_categories"}
    names = {plural.get(name, name) for name in DEFAULTS.keys() - OPTION_NAMES}
    assert names | {"destination", "sources", "method_options"} == fields.keys()
    built = config()
    for name, field in fields.items():
        if name not in ("sources", "destination", "method_options"):
            assert getattr(built, name) == field.default, f"{name} has two defaults"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"engine": "cloud"}, "engine is 'cloud', expected 'auto', 'processes', 'threads' or 'ray'"),
        ({"on_error": "ask"}, "on_error is 'ask', expected 'continue' or 'stop'"),
        ({"format": "zip"}, "format is 'zip', expected 'images', 'webdataset' or 'table'"),
        ({"boxes": "a.json", "unlisted": "drop"}, "unlisted is 'drop', expected 'fail', 'copy' or 'detect'"),
        ({"unlisted": "copy"}, "unlisted has no effect without boxes"),
        ({"boxes": "a.json", "box_column": "boxes"}, "boxes and box_column were given, expected one of them"),
        ({"boxes": "a.json", "detector": "yunet"}, "detector has no effect with boxes"),
        ({"box_column": "boxes", "threshold": 0.5}, "threshold has no effect with boxes"),
        ({"workers": 0}, "workers is 0, expected 1 to 1024"),
        ({"workers": 1025}, "workers is 1025"),
        ({"max_pixels": 0}, "max_pixels is 0"),
        ({"threshold": float("nan")}, "threshold is nan, expected 0..1"),
        ({"detect_size": 63}, "detect_size is 63, expected at least 64"),
        ({"method": "smear"}, "method is 'smear'"),
        ({"recipe": "strong"}, "recipe is 'strong'"),
        ({"recipe": 3}, "recipe is a int"),
        ({"strength": 0.01}, "strength is 0.01, expected at least 0.05"),
        ({"scope": "face"}, "scope is 'face'"),
        ({"method": "fill", "color": "red"}, "color is 'red'"),
        ({"method": "fill", "blocks": 4}, "blocks has no effect with method 'fill'"),
        ({"device": "tpu"}, "device is 'tpu', expected 'auto', 'cpu' or 'cuda'"),
        ({"source": "memory://src", "engine": "processes"}, "engine is 'processes' for memory://"),
        ({"destination": "memory://dst", "engine": "ray"}, "engine is 'ray' for memory://"),
    ],
)
def test_what_does_not_fit_is_wrong_usage(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        config(**options)


def test_processes_are_refused_on_cuda() -> None:
    with pytest.raises(UsageError, match="engine is 'processes' on CUDA"):
        RunConfig(("src",), "dst", device="cuda", engine="processes")


def test_it_reaches_another_process_as_it_is() -> None:
    sent = config(method="fill", color="1,2,3", margin=0.2, source="file:///src", boxes="boxes.json")
    assert (sent.sources, sent.method_options) == (("/src",), {"color": "1,2,3", "margin": 0.2})
    assert pickle.loads(pickle.dumps(sent)) == sent


def test_the_output_is_named_as_any_process_can(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert config(destination="out").output == str(tmp_path / "out")
    assert config(destination="s3://bucket/out").output == "s3://bucket/out"


def test_when_a_detector_looks() -> None:
    assert config().detects
    assert not config(boxes="boxes.json").detects
    assert not config(box_column="boxes").detects
    assert config(boxes="boxes.json", unlisted="detect").detects


def test_the_scope_reaches_the_operator() -> None:
    _, parameters = config(boxes="boxes.json", recipe="default", scope="image").build_stages()
    assert (parameters["recipe"], parameters["scope"], parameters["strength"]) == ("default", "image", 0.15)


def test_workers_and_devices_of_detect_are_checked_alike() -> None:
    check_workers(None)
    assert resolve_device("cpu") == "cpu"
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        with pytest.raises(UsageError, match="this machine has no CUDA device"):
            resolve_device("cuda")

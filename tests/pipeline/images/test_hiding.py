"""Images in which a stage fails: they fail alone, and leave no file."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fastblur.pipeline import config, run
from tests.pipeline.helpers import FACE, NAMES, failures, files_below

Write = Callable[[dict[str, list[tuple[float, float, float, float]]]], Path]


def test_an_image_that_stops_the_operator_fails_alone(
    numbered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = config.make_hide

    def make_hide(*args: object, **options: object) -> object:
        hide, parameters = real(*args, **options)

        def stopped(pictures: list, boxes: list) -> None:
            for picture, some in zip(pictures, boxes, strict=True):  # those before the bad one are hidden already
                if picture.pixels.shape[1] == 44:
                    raise MemoryError("no more")
                hide([picture], [some])

        return stopped, parameters

    box = (2.0, 3.0, 15.0, 14.0)
    corners = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{"url": f"{width}.png", "bboxes": [corners]} for width in range(40, 48)]))
    run(numbered, tmp_path / "undisturbed", boxes=boxes)
    monkeypatch.setattr(config, "make_hide", make_hide)
    run(numbered, tmp_path / "out", boxes=boxes, workers=1)
    assert failures(tmp_path / "out") == {"44.png": "hide: MemoryError: no more"}
    names = {f"{width}.png" for width in range(40, 48) if width != 44}
    assert files_below(tmp_path / "out") == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "undisturbed" / name).read_bytes()


@pytest.mark.parametrize("step", ["rewrite", "hide", "encode", "write"])
def test_a_step_that_fails_leaves_no_file(
    src: Path, tmp_path: Path, write_boxes: Write, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def broken(*args: object, **options: object) -> None:
        if step == "write" and ".fastblur" in str(args[1]):
            return real(*args)
        raise MemoryError("no more") if step != "write" else OSError(errno.ENAMETOOLONG, "File name too long")

    real = os.replace
    if step == "hide":
        monkeypatch.setattr(config, "make_hide", lambda *args, **options: (broken, {}))
    elif step == "rewrite":
        monkeypatch.setattr("fastblur.pipeline.images.rewriting.Rewriter.rewrite", broken)
        monkeypatch.setattr(config, "load_compiled", lambda: None)
    elif step == "encode":
        monkeypatch.setattr("fastblur.pipeline.images.hiding.encode", broken)
    else:
        monkeypatch.setattr("fastblur.pipeline.storage.local.os.replace", broken)
    boxes = write_boxes({"a/face.png": [FACE], "face é 1.jpg": [FACE], "a/b/plain.JPEG": []})
    summary = run(src, tmp_path / "out", boxes=boxes, jpeg="blocks" if step == "rewrite" else "encode")
    why = "write: File name too long" if step == "write" else f"{step}: MemoryError: no more"
    failed = {"rewrite": {"face é 1.jpg"}, "write": NAMES}.get(step, {"a/face.png", "face é 1.jpg"})
    assert failures(tmp_path / "out") == dict.fromkeys(failed, why)
    assert files_below(tmp_path / "out") == NAMES - failed
    assert (summary.failed, summary.exit_status) == (len(failed), 1)
    assert not list((tmp_path / "out").glob(".fastblur/tmp/*"))
